"""DINOv2: positions by the hub as a formula, preprocessing, both ways of naming, what it refuses, rules for frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from latte_eval.core.errors import ClipError, UsageError, WeightsError
from latte_eval.core.features import Features, framed
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.golden.vision_transformers import hub_positions
from latte_eval.files.weights import DINOV2_LARGE, file_sha256
from latte_eval.metrics import frechet_distance_between, kernel_distance_subsets
from latte_eval.metrics.detectors import dinov2 as dinov2_module
from latte_eval.metrics.detectors import open_detector
from latte_eval.metrics.detectors import transformer as transformer_module
from latte_eval.metrics.detectors.dinov2 import (
    POSITIONS,
    RECIPE,
    DINOv2,
    config_of,
    dinov2_from_file,
    preprocess,
    resized_positions,
    seeded_shapes,
)
from latte_eval.metrics.detectors.network import probe_clips, relative_difference
from latte_eval.metrics.rows import METRICS

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def network() -> DINOv2:
    return DINOv2.seeded()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return probe_clips(3, 40, 56)[0].transpose(0, 1)


def test_positions_are_resized_as_the_hub_does() -> None:
    table = torch.randn(1, 1 + 37 * 37, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = resized_positions(table)
    assert torch.equal(found[:, 0], table[:, 0])
    grid = table[0, 1:].reshape(37, 37, 4).numpy()
    assert np.abs(found[0, 1:].reshape(16, 16, 4).numpy() - hub_positions(grid)).max() < 1e-6
    by_size = F.interpolate(table[:, 1:].reshape(1, 37, 37, 4).permute(0, 3, 1, 2), size=(16, 16), mode="bicubic")
    assert relative_difference(found[:, 1:], by_size.permute(0, 2, 3, 1).flatten(1, 2)) > 0.05
    small = torch.randn(1, 257, 4)
    assert resized_positions(small) is small
    with pytest.raises(WeightsError, match="square grid"):
        resized_positions(torch.zeros(1, 300, 4))


def test_pixels_are_those_of_pil(images: Tensor) -> None:
    frame = Image.fromarray(images[1].permute(1, 2, 0).numpy()).resize((224, 224), Image.Resampling.BICUBIC)
    want = (np.asarray(frame) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(preprocess(images)[1].permute(1, 2, 0).numpy() - want).max() < 1e-5
    with pytest.raises(ClipError, match="uint8"):
        preprocess(images.float())


def test_the_feature_is_the_class_token_after_the_last_norm(network: DINOv2, images: Tensor) -> None:
    found = network(images)
    assert found.shape == (3, 64)
    with torch.no_grad():
        whole = network.encoder(pixel_values=preprocess(images))
    assert relative_difference(found, whole.pooler_output) < 1e-5
    assert relative_difference(found, whole.last_hidden_state[:, 1:].mean(1)) > 0.01


def test_an_image_depends_on_no_other_and_size_does_not_matter(network: DINOv2, images: Tensor) -> None:
    assert torch.equal(network(images)[2:], network(images[2:]))
    assert torch.isfinite(network(probe_clips(1, 300, 500)[:, :, 0])).all()


def test_a_wrong_way_with_positions_is_seen(network: DINOv2, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dinov2_module, "OFFSET", 0.0)
    assert relative_difference(DINOv2.seeded()(images), network(images)) > 1e-4


def test_a_file_is_read_under_the_names_of_the_hub(network: DINOv2, images: Tensor, tmp_path: Path) -> None:
    """`facebook/dinov2-large` has names that newer versions of transformers write in another way."""
    state = transformer_module.seeded_tensors(seeded_shapes(), RECIPE, 0)
    assert "encoder.layer.0.attention.attention.query.weight" in state
    save_file(state, tmp_path / "file.safetensors")
    detector = dinov2_from_file(tmp_path / "file.safetensors", "cpu", "dinov2", DINOV2_LARGE)
    assert not detector.record()["pinned"] and detector.sha256 == file_sha256(tmp_path / "file.safetensors")
    assert torch.equal(detector(images[:1, :, None])["features"][:, 0], network(images[:1]))
    newer = {name.replace("attention.attention.query", "attention.q_proj"): value for name, value in state.items()}
    assert len(newer) == len(state)
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(WeightsError, match="not a file of weights"):
        dinov2_from_file(tmp_path / "bad.safetensors", "cpu", "dinov2", DINOV2_LARGE)


@pytest.mark.parametrize(("width", "heads"), [(384, 6), (768, 12), (1024, 16)])
def test_heads_are_those_of_the_published_sizes(width: int, heads: int) -> None:
    state = {"embeddings.cls_token": torch.zeros(1, 1, width), "encoder.layer.0.x": torch.zeros(1),
             "embeddings.patch_embeddings.projection.weight": torch.zeros(1, 3, 14, 14)}  # fmt: skip
    config = config_of(state)
    assert (config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]) == (width, heads, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layernorm.weight": None}, "layernorm.weight"),
        ({"register_tokens": torch.zeros(1, 4, 64)}, "register_tokens"),
        ({POSITIONS: None}, "no tensor 'embeddings.position_embeddings'"),
        ({"embeddings.patch_embeddings.projection.weight": torch.zeros(64, 3, 16, 16)}, "patches of 16 pixels"),
    ],
)
def test_a_file_of_another_network_is_refused(change: dict[str, Tensor | None], words: str) -> None:
    state = transformer_module.seeded_tensors(seeded_shapes(), RECIPE, 0)
    changed = {name: value for name, value in {**state, **change}.items() if value is not None}
    with pytest.raises(WeightsError, match=words):
        DINOv2.from_state_dict(changed)


def test_the_detector_gives_a_row_a_frame() -> None:
    detector = open_detector("dinov2-seeded")
    assert detector(probe_clips(3, 40, 56))["features"].shape == (1, 3, 64) and not detector.comparable


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer_module.importlib.util, "find_spec", lambda name: None)
    for name in ("dinov2", "dinov2-small", "dinov2-seeded"):
        with pytest.raises(UsageError, match=r"DINOv2 needs transformers: pip install 'latte-eval\[features\]'"):
            open_detector(name, offline=True)


def test_frame_rules() -> None:
    tables = [np.random.default_rng(i).standard_normal((12, 4, 5)).astype("f4") for i in range(2)]
    fake, real = (Features({"features": t}, list(range(12)), [f"v{i}" for i in range(12)], []) for t in tables)
    rows = {"all": lambda t: t.reshape(-1, 5), "first": lambda t: t[:, 0], "mean": lambda t: t.mean(1)}
    for rule, taken in rows.items():
        protocol, sides = Protocol(frame_rule=rule), (taken(tables[1]), taken(tables[0]))
        for metric, want in (("fd-dinov2", frechet_distance_between), ("kd-dinov2", kernel_distance_subsets)):
            row = METRICS[metric].under(protocol)
            value = want(*sides)
            value = value[0] if isinstance(value, tuple) else value
            assert row.measure(fake, real, False, lambda done, total: None).value == pytest.approx(value, rel=1e-5)
        contrast = METRICS["fd-dinov2"].under(protocol).contrast
        assert contrast and contrast(fake, fake, real, 0.0, None).value == pytest.approx(0, abs=1e-9)
        assert framed(fake, rule).indices == fake.indices
    assert METRICS["is"].under(Protocol(frame_rule="mean")).measure is METRICS["is"].measure
    assert {len(framed(fake, rule).outputs["features"].shape) for rule in ("first", "mean")} == {2}
