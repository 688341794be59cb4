"""VideoMAE V2 against outputs of the reference network, its known-wrong twins, its key map, and what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from latte_eval.core.errors import ClipError, UsageError, WeightsError
from latte_eval.evaluation.golden.files import Golden
from latte_eval.files.weights import VIDEOMAE_V2, file_sha256
from latte_eval.metrics import frechet_distance_between
from latte_eval.metrics.detectors import VideoMAE, open_detector
from latte_eval.metrics.detectors import transformer as transformer_module
from latte_eval.metrics.detectors import videomae as videomae_module
from latte_eval.metrics.detectors.network import probe_clips, relative_difference
from latte_eval.metrics.detectors.videomae import (
    FIXED,
    config_of,
    mapped_state,
    preprocess,
    seeded_shapes,
    sinusoids,
    videomae_from_file,
)

transformers = pytest.importorskip("transformers")
TOLERANCE = 1e-5
HEADS = 4


@pytest.fixture(scope="module")
def stored(golden: Callable[[str], Golden]) -> Golden:
    return golden("videomae_v2")


@pytest.fixture(scope="module")
def clip(stored: Golden, seeded: Any) -> Callable[[str], Tensor]:
    return lambda name: torch.from_numpy(seeded.seeded_clip(name, stored.meta["inputs"][name][1], stored.meta["seed"]))


@pytest.fixture(scope="module")
def network(stored: Golden) -> VideoMAE:
    return VideoMAE.from_state_dict(stored.tensors(), heads=HEADS)


def off(stored: Golden, features: Tensor, name: str = "small") -> float:
    return relative_difference(features, torch.from_numpy(stored[f"{name}_features"]))


@pytest.mark.parametrize("name", ["square", "wide", "small"])
def test_features_are_those_of_the_reference(
    stored: Golden, clip: Callable[[str], Tensor], network: VideoMAE, name: str
) -> None:
    clips = clip(name)
    assert off(stored, network(clips), name) < TOLERANCE
    pixels = preprocess(clips).double()
    assert (float(pixels.mean()), float(pixels.std(correction=0))) == pytest.approx(stored[f"{name}_pre_mean_std"])


def test_positions_and_tokens(stored: Golden, clip: Callable[[str], Tensor], network: VideoMAE) -> None:
    assert np.array_equal(sinusoids(2048, 88)[[0, 1, 2, 255, 256, 2047]].numpy(), stored["pos_rows"])
    embeddings: Any = network.encoder.embeddings
    tokens = embeddings.patch_embeddings(preprocess(clip("square")))[:, :4]
    assert relative_difference(tokens, torch.from_numpy(stored["square_tokens_0_3"])) < TOLERANCE


def normalised(clips: Tensor) -> Tensor:
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (preprocess(clips) - mean) / std


def antialiased(clips: Tensor) -> Tensor:
    frames = clips.transpose(1, 2).flatten(0, 1).float() / 255
    return F.interpolate(frames, (224, 224), mode="bilinear", antialias=True).unflatten(0, (len(clips), -1))


def blue_first(clips: Tensor) -> Tensor:
    return preprocess(clips).flip(2)


@pytest.mark.parametrize(("twin", "clips", "least"), [(normalised, "small", 0.5), (antialiased, "square", 1e-3),
                                                      (blue_first, "small", 0.01)])  # fmt: skip
def test_wrong_preprocessing_is_seen(
    stored: Golden, clip: Callable[[str], Tensor], network: VideoMAE, monkeypatch: pytest.MonkeyPatch,
    twin: Callable[[Tensor], Tensor], clips: str, least: float,
) -> None:  # fmt: skip
    monkeypatch.setattr(videomae_module, "preprocess", twin)
    assert off(stored, network(clip(clips)), clips) > least > 10 * TOLERANCE


def test_wrong_weights_are_seen(stored: Golden, clip: Callable[[str], Tensor]) -> None:
    state = stored.tensors()
    zeroed = {name: value * 0 if name.endswith(("q_bias", "v_bias")) else value for name, value in state.items()}
    assert off(stored, VideoMAE.from_state_dict(zeroed, heads=HEADS)(clip("small"))) > 0.1
    assert off(stored, VideoMAE.from_state_dict(state, heads=8)(clip("small"))) > 1e-3
    swapped = {**state, "fc_norm.weight": state["blocks.0.norm1.weight"]}
    assert off(stored, VideoMAE.from_state_dict(swapped, heads=HEADS)(clip("small"))) > 1e-3


def test_an_eps_of_another_size_is_seen(
    stored: Golden, clip: Callable[[str], Tensor], network: VideoMAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videomae_module, "EPS", 1e-2)
    assert off(stored, network(clip("small"))) > 10 * TOLERANCE


def test_the_distance_is_that_of_the_reference(stored: Golden, seeded: Any) -> None:
    """CD-FVD divides covariances by N."""
    seed, width = stored.meta["seed"], stored.meta["config"]["width"]
    real = seeded.seeded_normal("real", (300, width), seed).astype("f8") + 0.3
    fake = 1.2 * seeded.seeded_normal("fake", (260, width), seed).astype("f8")
    want = pytest.approx(stored["fvd_value"][0], rel=1e-6)
    assert frechet_distance_between(real, fake) == want
    assert frechet_distance_between(real, fake, ddof=1) != want


def test_features_depend_on_no_other_clip(stored: Golden, clip: Callable[[str], Tensor], network: VideoMAE) -> None:
    clips = clip("square")
    alone = network(clips[1:])
    assert torch.equal(network(clips)[1:], alone)
    of_arrays: Any = stored.state
    assert torch.equal(VideoMAE.from_state_dict(of_arrays, heads=HEADS)(clips[1:]), alone)


def test_the_map_has_every_tensor_of_the_published_network() -> None:
    """ViT-g: 40 blocks of width 1408; nothing is allocated."""
    width, mlp = 1408, 6144
    small = seeded_shapes()
    scale = {64: width, 128: mlp, 192: 3 * width}
    shapes = {name: tuple(scale.get(side, side) for side in shape) for name, shape in small.items()}
    blocks = {f"blocks.{i}.{name.split('.', 2)[2]}": shape for name, shape in shapes.items()
              if name.startswith("blocks.0.") for i in range(40)}  # fmt: skip
    rest = {name: shape for name, shape in shapes.items() if not name.startswith("blocks.")}
    state = {name: torch.empty(shape, device="meta") for name, shape in {**rest, **blocks}.items()}
    config = config_of(state, 16)
    with torch.device("meta"):
        own = transformers.VideoMAEModel(transformers.VideoMAEConfig(**config, **FIXED)).state_dict()
    mapped = {transformer_module.named_as(name, own): value for name, value in mapped_state(state, 40).items()}
    assert {name: value.shape for name, value in mapped.items()} == {name: value.shape for name, value in own.items()}
    assert 1.0e9 < sum(value.numel() for value in own.values()) < 1.02e9


def test_biases_that_transformers_drops_are_missed(stored: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    load = transformer_module.load_mapped

    def dropping(network: torch.nn.Module, state: dict[str, Tensor], who: str) -> None:
        load(network, {name: value * 0 if "query.bias" in name else value for name, value in state.items()}, who)

    monkeypatch.setattr(videomae_module, "load_mapped", dropping)
    with pytest.raises(WeightsError, match="does not keep encoder.layer.0.*(query.bias|q_proj.bias|q_bias)"):
        VideoMAE.from_state_dict(stored.tensors(), heads=HEADS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc_norm.weight": None}, "no tensor 'fc_norm.weight'"),
        ({"blocks.1.attn.q_bias": None}, "no tensor 'blocks.1.attn.q_bias'"),
        ({"pos_embed": torch.zeros(1, 2048, 88)}, "unknown .'pos_embed'"),
        ({"blocks.2.gamma_1": torch.zeros(88)}, "tensors"),
        ({"blocks.0.mlp.fc2.weight": torch.zeros(88, 99)}, "shape"),
        ({"patch_embed.proj.weight": torch.zeros(88, 3, 14, 14)}, "patch_embed.proj.weight has the shape"),
        ({"patch_embed.proj.weight": torch.zeros(90, 3, 2, 14, 14)}, "a width that 4 heads divide"),
    ],
)
def test_a_file_of_another_network_is_refused(stored: Golden, change: dict[str, Any], words: str) -> None:
    state = {name: value for name, value in {**stored.tensors(), **change}.items() if value is not None}
    with pytest.raises(WeightsError, match=words):
        VideoMAE.from_state_dict(state, heads=HEADS)


def test_a_file_whose_biases_are_gone_is_refused(tmp_path: Any) -> None:
    shapes, path = seeded_shapes(), tmp_path / "file.pth"
    state = transformer_module.seeded_tensors(shapes, "x")
    torch.save({"module": {name: value.half() for name, value in state.items()}}, path)
    detector = videomae_from_file(path, "cpu")
    assert detector.weights is VIDEOMAE_V2 and not detector.record()["pinned"]
    assert detector.sha256 == file_sha256(path)
    zeroed = {name: value * 0 if name.endswith(("q_bias", "v_bias")) else value for name, value in state.items()}
    torch.save({"module": zeroed}, path)
    with pytest.raises(WeightsError, match="all zero"):
        videomae_from_file(path, "cpu")


def test_clips_of_another_length_are_refused(network: VideoMAE) -> None:
    for frames in (8, 17, 32):
        with pytest.raises(ClipError, match=f"needs clips of 16 frames; these have {frames}"):
            network(probe_clips(frames))


def test_large_frames_are_taken(network: VideoMAE) -> None:
    large = probe_clips(16, 300, 400)
    assert torch.isfinite(network(large)).all()


def test_the_seeded_one_is_small_and_says_so() -> None:
    detector = open_detector("videomae-seeded")
    assert detector.min_frames == detector.max_frames == 16 and not detector.comparable and "seeded" in detector.note
    clips = torch.cat([probe_clips(16), probe_clips(16).flip(2), probe_clips(16) // 2])
    features = detector(clips)["features"]
    assert features.shape == (3, 64)
    assert torch.equal(open_detector("videomae-seeded")(clips)["features"], features)
    assert relative_difference(features[1:2], features[:1]) > 1e-3  # it sees the order of frames


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer_module.importlib.util, "find_spec", lambda name: None)
    for name in ("videomae", "videomae-seeded"):
        with pytest.raises(UsageError, match=r"VideoMAE needs transformers: pip install 'latte-eval\[features\]'"):
            open_detector(name, offline=True)


@pytest.mark.parametrize("failing", ["import torchvision\nraise RuntimeError('operator nms does not exist')", "x = 1"])
def test_a_transformers_that_fails_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """One of another torch, or one too old to have the network."""
    (tmp_path / "transformers.py").write_text(failing)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "transformers")
    try:
        with pytest.raises(UsageError, match=r"VideoMAE needs transformers, which is installed but fails: .*features"):
            open_detector("videomae-seeded")
    finally:
        sys.modules.pop("transformers", None)
