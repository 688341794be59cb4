"""The I3D against outputs of the reference network, its known-wrong twins, and its invariances."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from media_makers import noise
from torch import Tensor

from latte_eval.core.errors import ClipError, UsageError, WeightsError
from latte_eval.evaluation.golden.files import Golden
from latte_eval.metrics.detectors import I3D, open_detector
from latte_eval.metrics.detectors import i3d as i3d_module
from latte_eval.metrics.detectors.i3d import (
    CPU_BATCH,
    PORT_EPS,
    MaxPool,
    preprocess,
    same_padding,
    seeded_state,
)
from latte_eval.metrics.detectors.network import relative_difference

LOGITS_TOLERANCE = 2e-5  # 2e-6 was seen against float64 and against other orders of operation
STATS_TOLERANCE = 1e-4


class Reference:
    """Weights, inputs and outputs of one golden file."""

    def __init__(self, golden: Golden, seeded: ModuleType):
        self.golden, self.seeded, self.meta = golden, seeded, golden.meta

    @cached_property
    def state(self) -> dict[str, Tensor]:
        return self.golden.tensors()

    @cached_property
    def network(self) -> I3D:
        return I3D.from_state_dict(self.state)

    def clip(self, name: str) -> Tensor:
        return torch.from_numpy(self.golden.clip(name))

    def logits(self, name: str, suffix: str = "logits") -> Tensor:
        return torch.from_numpy(self.golden[f"{name}_{suffix}"])

    def piergiaj(self) -> dict[str, Tensor]:
        names = self.meta["names"]
        return {names[key]["piergiaj"]: value for key, value in self.state.items() if key in names}


REFERENCES: dict[str, Reference] = {}


@pytest.fixture
def reference(golden: Callable[[str], Any], seeded: ModuleType) -> Callable[[str], Reference]:
    def opened(name: str) -> Reference:
        if name not in REFERENCES:
            REFERENCES[name] = Reference(golden(name), seeded)
        return REFERENCES[name]

    return opened


@pytest.fixture(scope="module")
def network() -> I3D:
    return I3D.seeded()


def run(network: I3D, clips: Tensor) -> Tensor:
    """The network on the batch as it is, which costs less than filling it up."""
    return network.logits(preprocess(clips))


def layer_outputs(network: I3D, clips: Tensor) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_hook(lambda _, __, output, name=name: outputs.setdefault(name, output))
        for name, layer in network.layers.named_children()
    ]
    run(network, clips)
    for handle in handles:
        handle.remove()
    return outputs


@pytest.mark.parametrize("clip", ["t9", "t10big", "t15", "t16", "t32"])
def test_logits_equal_the_reference(clip: str, reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_ones")
    logits = run(golden.network, golden.clip(clip))
    assert relative_difference(logits, golden.logits(clip)) < LOGITS_TOLERANCE


def test_logits_equal_the_reference_where_batch_norm_has_weights(reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_seeded")
    logits = golden.network(golden.clip("t16"))
    assert relative_difference(logits, golden.logits("t16")) < LOGITS_TOLERANCE


def test_layers_equal_the_reference(reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_ones")
    outputs = layer_outputs(golden.network, golden.clip("t15"))
    assert list(outputs) == golden.meta["layers"]
    stored = [golden.golden[f"t15_layer_{part}"] for part in ("stats", "samples")]
    for layer, stats, samples in zip(outputs, *stored, strict=True):
        values = outputs[layer].double().contiguous()
        assert list(values.shape) == golden.meta["layer_shapes"]["t15"][layer]
        found = torch.stack([values.mean(), values.std(correction=0), values.min(), values.max()])
        scale = values.square().mean().sqrt()
        assert ((found - torch.from_numpy(stats)).abs() / scale).max() < STATS_TOLERANCE
        places = torch.linspace(0, values.numel() - 1, 16, dtype=torch.float64).floor().long()
        assert ((values.flatten()[places] - torch.from_numpy(samples)).abs() / scale).max() < STATS_TOLERANCE


@pytest.mark.parametrize("clip", ["t16", "t10big"])
def test_preprocessing_equals_the_reference(clip: str, reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_ones")
    pixels = preprocess(golden.clip(clip))
    patch = torch.from_numpy(golden.golden[f"{clip}_pre_frame0_patch"])
    assert torch.allclose(pixels[0, :, 0, 100:108, 100:108], patch, atol=1e-6)
    stats = torch.stack([pixels.double().mean(), pixels.double().std(correction=0)])
    assert torch.allclose(stats, torch.from_numpy(golden.golden[f"{clip}_pre_stats"][:2]), atol=1e-6)


def test_piergiaj_names_and_absent_batch_norm_weights_give_the_same_network(
    reference: Callable[[str], Reference],
) -> None:
    golden = reference("i3d_gamma_ones")
    state = {key: value for key, value in golden.piergiaj().items() if not key.endswith("bn.weight")}
    assert not any("branch" in key for key in state)
    ours, theirs = golden.network, I3D.from_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_features_of_two_sets_equal_the_reference(reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_ones")
    for side, index in (("real", 13), ("gen", 11)):
        path, _, shape = golden.meta["fvd"][side]
        clip = golden.seeded.seeded_clip(path.replace("<i>", str(index)), shape, golden.meta["seed"])
        features = torch.from_numpy(golden.golden[f"fvd_{side}_features"])[index]
        assert relative_difference(run(golden.network, torch.from_numpy(clip))[0], features) < LOGITS_TOLERANCE


def test_the_epsilon_of_the_port_is_seen(reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_ones")
    logits = run(I3D.from_state_dict(golden.state, PORT_EPS), golden.clip("t9"))
    assert relative_difference(logits, golden.logits("t9")) > 0.01
    assert relative_difference(logits, golden.logits("t9", "logits_eps1e5")) < LOGITS_TOLERANCE


@pytest.mark.parametrize(("clip", "wrong"), [("t10big", {"antialias": True}), ("t9", {"align_corners": True})])
def test_another_resize_is_seen(clip: str, wrong: dict[str, bool], reference: Callable[[str], Reference]) -> None:
    golden = reference("i3d_gamma_ones")
    frames = golden.clip(clip)[0].transpose(0, 1) / 255 * 2 - 1
    resized = F.interpolate(frames, (224, 224), mode="bilinear", **wrong)
    logits = golden.network.logits(resized.transpose(0, 1)[None])
    assert relative_difference(logits, golden.logits(clip)) > 0.01


@pytest.mark.parametrize(
    ("size", "side", "stride", "expected"),
    [(224, 7, 2, (2, 3)), (15, 7, 2, (3, 3)), (112, 3, 2, (0, 1)), (5, 3, 2, (1, 1)), (28, 3, 1, (1, 1)),
     (14, 2, 2, (0, 0)), (3, 2, 2, (0, 1)), (9, 1, 1, (0, 0))],
)  # fmt: skip
def test_padding_is_that_of_tensorflow(size: int, side: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, side, stride) == expected
    assert (size + sum(expected) - side) // stride + 1 == -(-size // stride)


@pytest.mark.parametrize("shape", [(5, 14, 9), (2, 7, 7), (1, 8, 3)])
@pytest.mark.parametrize(
    ("sides", "strides"),
    [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (2, 2, 2)), ((1, 3, 3), (1, 2, 2)), ((2, 2, 2), (2, 2, 2))],
)
def test_max_pooling_is_that_of_a_padded_input(
    shape: tuple[int, int, int], sides: tuple[int, int, int], strides: tuple[int, int, int]
) -> None:
    x = noise(2, 5, *shape).float()
    pads = [same_padding(*sizes) for sizes in zip(shape, sides, strides, strict=True)]
    padded = F.pad(x, [amount for pair in reversed(pads) for amount in pair])
    pooled = MaxPool(sides, strides)(x.contiguous(memory_format=torch.channels_last_3d))
    assert torch.equal(pooled, F.max_pool3d(padded, sides, strides))


def test_a_clip_has_the_same_logits_in_every_batch(network: I3D) -> None:
    clips = noise(CPU_BATCH + 1, 3, 9, 24, 20)
    together = network(clips)
    assert together.shape == (CPU_BATCH + 1, 400) and together.dtype == torch.float32
    assert torch.equal(network(clips[[-1, 1]]), together[[-1, 1]])


def test_autocast_does_not_reach_the_network(network: I3D) -> None:
    clips = noise(1, 3, 9, 16, 16)
    expected = run(network, clips)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(network, clips), expected)


@pytest.mark.parametrize("size", [(16, 16), (256, 340)])
def test_clips_of_any_size_are_taken(size: tuple[int, int], network: I3D) -> None:
    logits = run(network, noise(1, 3, 9, *size))
    assert logits.shape == (1, 400) and logits.isfinite().all() and 0.1 < logits.std() < 10


def test_no_clips_give_no_features(network: I3D, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i3d_module, "CPU_BATCH", 1)
    assert network(noise(0, 3, 9, 16, 16)).shape == (0, 400)


def test_short_clips_are_refused_with_both_numbers(network: I3D) -> None:
    with pytest.raises(ClipError, match="at least 9 frames; these have 8"):
        network(noise(1, 3, 8, 16, 16))


@pytest.mark.parametrize("clips", [torch.zeros(1, 3, 16, 16, 16), noise(1, 16, 3, 16, 16), noise(3, 16, 16, 16)])
def test_other_layouts_are_refused(clips: Tensor, network: I3D) -> None:
    with pytest.raises(ClipError, match="uint8"):
        network(clips)


def test_names_that_nobody_knows_are_taken_in_order(network: I3D) -> None:
    state = {f"tensor.{i}": value for i, value in enumerate(seeded_state(0).values())}
    found = I3D.from_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network.parameters(), strict=True))


def test_a_prefix_and_counters_of_batches_do_not_matter(network: I3D) -> None:
    state = {f"module.{name}": value for name, value in seeded_state(0).items()}
    state["module.conv3d_1a_7x7.batch3d.num_batches_tracked"] = torch.tensor(7)
    found = I3D.from_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network.parameters(), strict=True))


def test_missing_and_misshapen_tensors_are_named() -> None:
    state = seeded_state(0)
    del state["mixed_3b.branch_0.conv3d.weight"], state["conv3d_0c_1x1.conv3d.bias"]
    with pytest.raises(WeightsError, match="mixed_3b.branch_0.conv3d.weight, conv3d_0c_1x1.conv3d.bias missing"):
        I3D.from_state_dict(state)
    flow = seeded_state(0) | {"conv3d_1a_7x7.conv3d.weight": torch.zeros(64, 2, 7, 7, 7)}
    with pytest.raises(WeightsError, match=r"is \[64, 2, 7, 7, 7\] instead of \[64, 3, 7, 7, 7\]"):
        I3D.from_state_dict(flow)
    with pytest.raises(WeightsError, match="and 284 more missing, of 287 tensors"):
        I3D.from_state_dict({})


def test_seeded_weights_are_the_same_bits_everywhere() -> None:
    state = seeded_state(0)
    digest = hashlib.sha256(b"".join(value.numpy().astype("<f4").tobytes() for value in state.values()))
    assert digest.hexdigest() == "bc9aac9ed1c83f8c786a29452410456537d52e1a0ad6831435094aee12f1ad2b"
    kernel = state["mixed_5c.branch_1.1.conv3d.weight"]
    assert kernel.std() == pytest.approx((2 / kernel[0].numel()) ** 0.5, rel=0.01)
    assert not torch.equal(seeded_state(1)["conv3d_1a_7x7.conv3d.weight"], state["conv3d_1a_7x7.conv3d.weight"])


def test_the_seeded_detector_says_what_it_is(network: I3D, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i3d_module, "CPU_BATCH", 1)
    detector, clips = open_detector("i3d-seeded"), noise(1, 3, 9, 16, 16)
    assert (detector.name, detector.weights, detector.used, detector.min_frames) == ("i3d-seeded", None, "native", 9)
    assert not detector.comparable and "not comparable" in detector.note and len(detector.sha256) == 64
    assert torch.equal(detector(clips)["features"], network(clips))
    with pytest.raises(ClipError, match="i3d-seeded needs clips of at least 9 frames; these have 4"):
        detector(noise(1, 3, 4, 16, 16))


def test_an_unknown_detector_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean i3d-seeded"):
        open_detector("i3d-seded")
