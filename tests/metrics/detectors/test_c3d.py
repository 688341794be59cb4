"""C3D against outputs of the chainer network, its known-wrong twins, its invariances, and published files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from media_makers import noise
from torch import Tensor, nn

from latte_eval.core.errors import ClipError, WeightsError
from latte_eval.evaluation.golden.detectors import mean_clip
from latte_eval.evaluation.golden.files import Golden
from latte_eval.metrics.detectors import C3D, open_detector
from latte_eval.metrics.detectors import c3d as c3d_module
from latte_eval.metrics.detectors.c3d import CPU_BATCH, SCALE, crop_mean, max_pool, resize_aligned
from latte_eval.metrics.detectors.network import relative_difference

LOGITS_TOLERANCE = 3e-5
PROBABILITY_TOLERANCE = 1e-5
STATS_TOLERANCE = 1e-4
SMALL = {"conv1a": 4, "conv2a": 6, "conv3a": 8, "conv3b": 8, "conv4a": 8, "conv4b": 8, "conv5a": 8, "conv5b": 8}


class Reference:
    """Weights, input and outputs of the golden file."""

    def __init__(self, golden: Golden):
        self.golden, self.meta = golden, golden.meta
        self.state, self.mean = golden.state, mean_clip(golden)
        self.clips = torch.from_numpy(golden.clip("clip"))

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.golden[name])


@pytest.fixture(scope="module")
def reference(golden: Callable[[str], Golden]) -> Reference:
    return Reference(golden("c3d_ucf101"))


@pytest.fixture(scope="module")
def reference_network(reference: Reference) -> C3D:
    return C3D.from_state_dict(reference.state, mean=reference.mean)


@pytest.fixture(scope="module")
def network() -> C3D:
    return C3D.seeded()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C3D of the same shape with few channels."""
    monkeypatch.setattr(c3d_module, "CONVOLUTIONS", SMALL)
    monkeypatch.setattr(c3d_module, "DENSE", {"fc6": 16, "fc7": 16, "fc8": 101})


def logits(network: C3D, clips: Tensor) -> Tensor:
    with torch.no_grad():
        return network.logits(clips)


def test_logits_layers_and_probabilities_equal_the_reference(reference: Reference, reference_network: C3D) -> None:
    outputs = {"pre": reference_network.prepared(reference.clips)}

    def keep(name: str, layer: nn.Module) -> Any:  # the ReLU after the layer works in place, so it is kept as well
        return layer.register_forward_hook(lambda _, __, output: outputs.update({name: output}))

    hooks = [keep(name, layer) for name, layer in reference_network.named_layers().items()]
    found = logits(reference_network, reference.clips)
    for hook in hooks:
        hook.remove()
    assert relative_difference(found, reference["a_fc8"]) < LOGITS_TOLERANCE
    assert (found.softmax(1) - reference["a_prob"]).abs().max() < PROBABILITY_TOLERANCE
    assert relative_difference(outputs["fc7"], reference["a_fc7"]) < LOGITS_TOLERANCE
    stored = reference["a_layer_stats"], reference["a_layer_samples"]
    for layer, stats, samples in zip(reference.meta["layers"], *stored, strict=True):
        if layer in outputs:
            check_layer(outputs[layer], stats, samples, reference.meta["layer_shapes"][layer])


def check_layer(values: Tensor, stats: Tensor, samples: Tensor, shape: list[int]) -> None:
    values = values.double().contiguous()
    assert list(values.shape) == shape
    found, scale = torch.stack([values.mean(), values.std(correction=0), values.min(), values.max()]), values.std()
    assert ((found - stats).abs() / scale).max() < STATS_TOLERANCE
    places = torch.linspace(0, values.numel() - 1, 16, dtype=torch.float64).floor().long()
    assert ((values.flatten()[places] - samples).abs() / scale).max() < STATS_TOLERANCE


def half_pixel_resize(images: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(images.float(), (height, width), mode="bilinear", align_corners=False)


def centred_crop(mean: Tensor) -> Tensor:
    return mean[:, :, 8:120, 29:141]


def floor_pool(x: Tensor, window: tuple[int, int, int]) -> Tensor:
    """7 becomes 3; padded, so that the first dense layer still fits."""
    pooled = F.max_pool3d(x, window, window)
    return F.pad(pooled, (0, 1, 0, 1)) if pooled.shape[-1] == 3 else pooled


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("resize_aligned", half_pixel_resize),
        ("crop_mean", centred_crop),
        ("SCALE", 1.0),
        ("max_pool", floor_pool),
    ],
    ids=["half-pixel resize", "centred crop of the mean", "input (clip - 128) / 128", "pools that round down"],
)
def test_known_wrong_networks_are_seen(
    name: str, wrong: Any, reference: Reference, reference_network: C3D, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = reference_network.mean.clone()
    monkeypatch.setattr(c3d_module, name, wrong)
    reference_network.mean.copy_(c3d_module.crop_mean(torch.from_numpy(reference.mean)))
    found = logits(reference_network, reference.clips[:1])
    reference_network.mean.copy_(mean)
    assert relative_difference(found, reference["a_fc8"][:1]) > 100 * LOGITS_TOLERANCE
    if name == "SCALE":
        assert relative_difference(found, reference["b_fc8"][:1]) < LOGITS_TOLERANCE


@pytest.mark.parametrize("case", ["ramp", "up", "down"])
def test_the_resize_equals_that_of_chainer(case: str, reference: Reference) -> None:
    expected = reference[f"resize_{case}_out"]
    found = resize_aligned(reference[f"resize_{case}_in"], *expected.shape[2:])
    assert relative_difference(found, expected) < 5e-6
    assert relative_difference(half_pixel_resize(reference[f"resize_{case}_in"], *expected.shape[2:]), expected) > 0.01


def test_pools_equal_those_of_chainer(reference: Reference) -> None:
    assert torch.equal(max_pool(reference["pool_in"], (2, 2, 2)), reference["pool_out"])


def test_channels_are_swapped_and_the_mean_is_taken_off_its_centre(small: None) -> None:
    mean = torch.arange(171.0).expand(3, 16, 128, 171).clone()
    mean[2] += 1000
    network = C3D.from_state_dict(zero_state(), mean=mean)
    clips = torch.zeros(1, 3, 16, 4, 4, dtype=torch.uint8)
    clips[:, 0] = 255
    prepared = network.prepared(clips)
    assert prepared.shape == (1, 3, 16, 112, 112)
    assert torch.equal(prepared[0, 0, 3, 5], -torch.arange(8.0, 120.0))
    assert torch.allclose(prepared[0, 2, 3, 5], 255 * SCALE - 1000 - torch.arange(8.0, 120.0))


def zero_state() -> dict[str, Tensor]:
    return {f"{name}{leaf}": value for name, leaf, value in tensors(".weight", ".bias", 0.0)}


def tensors(weight: str, bias: str, spread: float) -> list[tuple[str, str, Tensor]]:
    """Random weights and biases of a small C3D: layer, leaf, values."""
    torch.manual_seed(0)
    found = []
    for name, layer in c3d_module.build_layers().items():
        first = layer.weight
        gain = (2 / first[0].numel()) ** 0.5 / (64 if name == "conv1a" else 1)
        found += [(name, weight, torch.randn(first.shape) * gain * spread)]
        found += [(name, bias, torch.randn(len(first)) * 0.1 * spread)]
    return found


def test_torch_names_chainer_names_and_order_give_the_same_network(small: None) -> None:
    mean = torch.full((3, 16, 128, 171), 100.0)
    torch_names = {f"{name}.{leaf}": value for name, leaf, value in tensors("weight", "bias", 1.0)}
    chainer = {f"{name}/{leaf}": value.numpy() for name, leaf, value in tensors("W", "b", 1.0)}
    foreign = {f"{place}": value for place, value in enumerate(torch_names.values())} | {"mean": mean}
    expected = C3D.from_state_dict(torch_names, mean=mean).state_dict()
    for state in (chainer, foreign):
        found = C3D.from_state_dict(state, mean=mean.numpy()).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_missing_and_misshapen_tensors_are_named(small: None) -> None:
    mean, state = torch.zeros(3, 16, 128, 171), zero_state()
    with pytest.raises(WeightsError, match="fc8.bias is missing"):
        C3D.from_state_dict({name: value for name, value in state.items() if name != "fc8.bias"}, mean=mean)
    with pytest.raises(WeightsError, match=r"weight of fc8 is \[400, 16\], not \[101, 16\]"):
        C3D.from_state_dict(state | {"fc8.weight": torch.zeros(400, 16)}, mean=mean)
    with pytest.raises(WeightsError, match=r"no weight \[4, 3, 3, 3, 3\] with its bias is left for conv1a"):
        C3D.from_state_dict({"layer": torch.zeros(3)}, mean=mean)
    with pytest.raises(WeightsError, match=r"mean clip is \[3, 16, 112, 171\], not \[3, 16, 128, 171\]"):
        C3D.from_state_dict(state, mean=torch.zeros(3, 16, 112, 171))


def test_a_crop_of_the_mean_is_taken_as_it_is() -> None:
    mean = torch.randn(3, 16, 128, 171)
    assert torch.equal(crop_mean(crop_mean(mean)[None]), crop_mean(mean))


def test_a_clip_has_the_same_probabilities_in_every_batch(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    network, clips, counts = C3D.seeded(), noise(CPU_BATCH + 1, 3, 16, 16, 20), []
    logits = network.logits
    monkeypatch.setattr(network, "logits", lambda batch: (counts.append(len(batch)), logits(batch))[1])
    together = network(clips)
    assert together.shape == (CPU_BATCH + 1, 101) and together.dtype == torch.float32
    assert torch.allclose(together.sum(1), torch.ones(CPU_BATCH + 1))
    assert torch.equal(network(clips[-1:]), together[-1:])
    assert counts == [CPU_BATCH] * 3


def test_no_clips_give_no_probabilities(small: None) -> None:
    assert C3D.seeded()(noise(0, 3, 16, 8, 8)).shape == (0, 101)


@pytest.mark.parametrize("frames", [15, 17, 128])
def test_other_lengths_are_refused_with_both_numbers(frames: int, small: None) -> None:
    with pytest.raises(ClipError, match=f"exactly 16 frames; these have {frames}"):
        C3D.seeded()(noise(1, 3, frames, 8, 8))


@pytest.mark.parametrize("clips", [torch.zeros(1, 3, 16, 8, 8), noise(1, 16, 3, 8, 8), noise(3, 16, 8, 8)])
def test_other_layouts_are_refused(clips: Tensor, small: None) -> None:
    with pytest.raises(ClipError, match="uint8"):
        C3D.seeded()(clips)


def test_seeded_weights_are_the_same_bits_everywhere(network: C3D) -> None:
    weight = network.named_layers()["conv3a"].weight.contiguous()
    assert hashlib.sha256(weight.numpy().astype("<f4").tobytes()).hexdigest()[:16] == "4db0af4130f8c923"


def test_the_seeded_detector_says_what_it_is(small: None) -> None:
    detector, clips = open_detector("c3d-seeded"), noise(1, 3, 16, 8, 8)
    assert (detector.name, detector.weights, detector.used, detector.min_frames) == ("c3d-seeded", None, "native", 16)
    assert not detector.comparable and "not comparable" in detector.note and len(detector.sha256) == 64
    assert "pinned" not in detector.record()
    assert torch.equal(detector(clips)["probabilities"], C3D.seeded()(clips))
    with pytest.raises(ClipError, match="c3d-seeded needs clips of at least 16 frames; these have 8"):
        detector(noise(1, 3, 8, 8, 8))
    with pytest.raises(ClipError, match="exactly 16 frames; these have 32"):
        detector(noise(1, 3, 32, 8, 8))


def test_seeded_probabilities_tell_clips_apart(network: C3D) -> None:
    ramp = torch.linspace(0, 255, 16).expand(3, 16, 16, 16)
    moving = torch.stack([ramp[:, 0].roll(step, 2) for step in range(16)], 1)
    clips = torch.stack([ramp, ramp.transpose(2, 3), moving, 255 - ramp]).byte()
    probabilities = network(clips).double()
    score = (probabilities * (probabilities / probabilities.mean(0)).log()).sum(1).mean().exp()
    assert 1.1 < score < 3.9


class Archive(nn.Module):
    """A C3D whose tensors have other names, called as StyleGAN-V's archive is."""

    def __init__(self, network: C3D, scale: float):
        super().__init__()
        layers = list(network.named_layers().values())
        self.convolutions, self.dense = nn.ModuleList(layers[:8]), nn.ModuleList(layers[8:])
        self.register_buffer("shift", 128 - network.mean)
        self.scale = scale

    def forward(self, clips: Tensor) -> Tensor:
        n, c, t, h, w = clips.shape
        frames = clips.flip(1).transpose(1, 2).reshape(n * t, c, h, w).float() / self.scale - 1
        frames = F.interpolate(frames, size=(112, 112), mode="bilinear", align_corners=True)
        x = frames.reshape(n, t, c, 112, 112).transpose(1, 2) * 128 + self.shift
        for place, convolution in enumerate(self.convolutions):
            x = F.relu(convolution(x))
            if place == 0:
                x = F.max_pool3d(x, (1, 2, 2), (1, 2, 2))
            elif place in (1, 3, 5, 7):
                x = F.max_pool3d(x, 2, 2, ceil_mode=True)
        x = x.flatten(1)
        for place, layer in enumerate(self.dense):
            x = layer(x)
            x = F.relu(x) if place < 2 else x
        return x.softmax(1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights."""
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def published(small: None) -> C3D:
    mean = 100 + 10 * torch.randn(3, 16, 128, 171, generator=torch.Generator().manual_seed(1))
    return C3D.from_state_dict({f"{n}.{leaf}": value for n, leaf, value in tensors("weight", "bias", 1.0)}, mean=mean)


def save_archive(network: C3D, path: Path, scale: float = 127.5) -> Archive:
    archive = Archive(network, scale).eval()
    torch.jit.save(torch.jit.script(archive), path)
    return archive


def save_arrays(home: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Weights and mean clip as tgan2 releases them."""
    state = {f"{name}/{leaf}": value.numpy() for name, leaf, value in tensors("W", "b", 1.0)}
    mean = np.full((3, 16, 128, 171), 100, np.float32)
    np.savez(home / "conv3d_deepnetA_ucf.npz", **state)
    np.savez(home / "mean2.npz", mean=mean)
    return state, mean


def test_the_archive_runs_only_on_trust(published: C3D, home: Path) -> None:
    save_archive(published, home / "c3d_ucf101.pt")
    with pytest.raises(WeightsError, match="only with --trust"):
        open_detector("c3d", offline=True)
    save_arrays(home)
    assert open_detector("c3d", offline=True).weights is c3d_module.C3D_STATE
    assert open_detector("c3d", trust=True, offline=True).weights is c3d_module.C3D_ARCHIVE


def test_the_archive_is_opened_and_its_native_twin_answers(published: C3D, home: Path) -> None:
    archive, clips = save_archive(published, home / "c3d_ucf101.pt"), noise(2, 3, 16, 20, 24)
    detector = open_detector("c3d", trust=True)
    assert (detector.used, detector.weights) == ("native", c3d_module.C3D_ARCHIVE)
    assert detector.agreement is not None and detector.agreement < 2e-5
    assert "no sha256 of the weights is published" in detector.note
    assert not detector.comparable and "opened on trust, not comparable" in detector.note
    assert detector.record()["pinned"] is False
    with torch.no_grad():
        assert torch.allclose(detector(clips)["probabilities"], archive(clips), atol=1e-6)


def test_an_archive_that_disagrees_answers_itself(published: C3D, home: Path) -> None:
    archive, clips = save_archive(published, home / "c3d_ucf101.pt", scale=100.0), noise(1, 3, 16, 20, 24)
    detector = open_detector("c3d", trust=True)
    assert detector.used == "archive" and "the archive is used" in detector.note
    with torch.no_grad():
        assert torch.allclose(detector(clips)["probabilities"], archive(clips), atol=1e-6)
    with pytest.raises(ClipError, match="exactly 16 frames; these have 20"):
        detector(noise(1, 3, 20, 8, 8))


def test_an_archive_without_a_mean_answers_itself(published: C3D, home: Path) -> None:
    published.mean = published.mean[:, :, :1, :1, :1].clone()
    save_archive(published, home / "c3d_ucf101.pt")
    detector = open_detector("c3d", trust=True)
    assert (detector.used, detector.agreement) == ("archive", None) and "mean clip was not found" in detector.note


def test_the_files_of_tgan2_are_used_where_they_are_installed(small: None, home: Path) -> None:
    state, mean = save_arrays(home)
    detector, clips = open_detector("c3d", offline=True), noise(1, 3, 16, 20, 24)
    assert (detector.used, detector.weights, detector.comparable) == ("native", c3d_module.C3D_STATE, True)
    assert detector.record()["pinned"] is False and "compare with care" in detector.note
    assert torch.equal(detector(clips)["probabilities"], C3D.from_state_dict(state, mean=mean)(clips))
    before = detector.sha256
    np.savez(home / "mean2.npz", mean=mean + 1)
    (home / "cache" / "mean2.npz.sha256").unlink()
    assert open_detector("c3d", offline=True).sha256 != before


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04 cut short"), "not an npz file of plain arrays"),
        (lambda path: np.savez(path, mean=np.array([{}], dtype=object)), "not an npz file of plain arrays"),
        (lambda path: np.savez(path, average=np.zeros(3)), "no array 'mean'; it has average"),
    ],
    ids=["damaged", "pickled", "another name"],
)
def test_damaged_and_foreign_files_are_refused(
    write: Callable[[Path], None], said: str, small: None, home: Path
) -> None:
    np.savez(home / "conv3d_deepnetA_ucf.npz", **{name: value.numpy() for name, value in zero_state().items()})
    write(home / "mean2.npz")
    with pytest.raises(WeightsError, match=said):
        open_detector("c3d", offline=True)
