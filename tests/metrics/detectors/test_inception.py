"""Inception against outputs of the reference network, its known-wrong twins, its invariances, and seeded weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from media_makers import noise
from torch import Tensor

from latte_eval.core.errors import ClipError
from latte_eval.evaluation.golden.files import Golden
from latte_eval.metrics.detectors import InceptionV3, open_detector
from latte_eval.metrics.detectors import inception as inception_module
from latte_eval.metrics.detectors import inception_network as network_module
from latte_eval.metrics.detectors.inception import CPU_BATCH
from latte_eval.metrics.detectors.inception_network import resize_tf1
from latte_eval.metrics.detectors.network import relative_difference

FEATURES_TOLERANCE = 2e-5  # a float64 network differs by 3e-6
STATS_TOLERANCE = 1e-4
RESIZE_TOLERANCE = 0.01  # grey levels; TensorFlow 1 computes positions in float32
SIZES = ["64x80", "256x256", "299x299"]


class Reference:
    """Weights, inputs and outputs of the golden file."""

    def __init__(self, golden: Golden):
        self.golden, self.meta, self.state = golden, golden.meta, golden.tensors()

    def images(self, size: str) -> Tensor:
        return torch.from_numpy(self.golden.clip(size)[:, :, 0])

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.golden[name])


@pytest.fixture(scope="module")
def reference(golden: Callable[[str], Golden]) -> Reference:
    return Reference(golden("inception_fid"))


@pytest.fixture(scope="module")
def reference_network(reference: Reference) -> InceptionV3:
    return InceptionV3.from_state_dict(reference.state)


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    return InceptionV3.seeded()


def run(network: InceptionV3, images: Tensor) -> Tensor:
    """Features of the batch as it is, which costs less than filling it up."""
    with torch.no_grad():
        return network.batch_outputs(images)["features"]


@pytest.mark.parametrize("size", SIZES)
def test_features_and_probabilities_equal_the_reference(
    size: str, reference: Reference, reference_network: InceptionV3
) -> None:
    outputs = reference_network.outputs(reference.images(size))
    logits = reference[f"{size}_logits_unbiased"]
    assert relative_difference(outputs["features"], reference[f"{size}_2048"]) < FEATURES_TOLERANCE
    assert relative_difference(outputs["features"], reference[f"{size}_2048_grid"]) < FEATURES_TOLERANCE
    assert relative_difference(outputs["features"] @ reference_network.head.T, logits) < FEATURES_TOLERANCE
    assert torch.allclose(outputs["probabilities"], logits.softmax(1), rtol=1e-4, atol=1e-7)


def test_the_bias_of_the_head_is_left_out(reference: Reference, reference_network: InceptionV3) -> None:
    probabilities = reference_network.outputs(reference.images("64x80"))["probabilities"]
    biased = reference["64x80_logits"].softmax(1)
    assert relative_difference(probabilities, biased) > 0.1
    logits = probabilities.log() + reference.state["fc.bias"]
    assert torch.allclose(logits.softmax(1), biased, rtol=1e-4, atol=1e-7)


def test_layers_equal_the_reference(reference: Reference, reference_network: InceptionV3) -> None:
    names = {"MaxPool_1": "maxpool1", "MaxPool_2": "maxpool2", "AvgPool": "avgpool"}
    outputs: dict[str, Tensor] = {}

    def keep(layer: str) -> Any:
        module = getattr(reference_network.trunk, names.get(layer, layer))
        return module.register_forward_hook(lambda _, __, output: outputs.update({layer: output.double().contiguous()}))

    hooks = [keep(layer) for layer in reference.meta["layers"]]
    run(reference_network, reference.images("256x256"))
    for hook in hooks:
        hook.remove()
    stored = reference["256x256_layer_stats"], reference["256x256_layer_samples"]
    for layer, stats, samples in zip(reference.meta["layers"], *stored, strict=True):
        values = outputs[layer]
        assert list(values.shape) == reference.meta["layer_shapes"]["256x256"][layer]
        found = torch.stack([values.mean(), values.std(correction=0), values.min(), values.max()])
        scale = values.square().mean().sqrt()
        assert ((found - stats).abs() / scale).max() < STATS_TOLERANCE
        places = torch.linspace(0, values.numel() - 1, 16, dtype=torch.float64).floor().long()
        assert ((values.flatten()[places] - samples).abs() / scale).max() < STATS_TOLERANCE


@pytest.mark.parametrize("size", SIZES)
def test_the_resize_equals_that_of_tensorflow_1(size: str, reference: Reference) -> None:
    resized = resize_tf1(reference.images(size))[0]
    for kind in ("tf1", "grid"):
        patch, corner = reference[f"{size}_resize_{kind}_patch"], reference[f"{size}_resize_{kind}_corner"]
        assert (resized[:, 140:156, 140:156] - patch).abs().max() < RESIZE_TOLERANCE
        assert (resized[:, -8:, -8:] - corner).abs().max() < RESIZE_TOLERANCE


def test_the_resize_of_a_ramp_starts_at_the_first_pixel_and_holds_the_last() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 3, 4)
    assert torch.allclose(resize_tf1(ramp, 8)[0, 0, 0], torch.tensor([0, 0.5, 1, 1.5, 2, 2.5, 3, 3]))
    assert torch.equal(resize_tf1(torch.full((1, 3, 1, 1), 7.0), 5), torch.full((1, 3, 5, 5), 7.0))


def half_pixel_resize(images: Tensor) -> Tensor:
    return F.interpolate(images.float(), (299, 299), mode="bilinear", align_corners=False)


def pool_with_padding(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (inception_module, "resize_tf1", half_pixel_resize),
        (network_module, "mean_pool", pool_with_padding),
        (network_module, "max_pool", network_module.mean_pool),
        (inception_module, "EPS", 1e-5),
    ],
    ids=["half-pixel resize", "torchvision's average pools", "average in the last block", "epsilon of torch"],
)
def test_known_wrong_networks_are_seen(
    module: ModuleType, name: str, wrong: Any, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong)
    features = run(InceptionV3.from_state_dict(reference.state), reference.images("64x80"))
    assert relative_difference(features, reference["64x80_2048"]) > 10 * FEATURES_TOLERANCE


def test_an_image_has_the_same_features_in_every_batch(network: InceptionV3) -> None:
    images = noise(CPU_BATCH + 1, 3, 24, 20)
    together = network(images)
    assert together.shape == (CPU_BATCH + 1, 2048) and together.dtype == torch.float32
    assert torch.equal(network(images[-1:]), together[-1:])
    assert torch.equal(network(images[[3, 1]]), together[[3, 1]])


@pytest.mark.parametrize("size", [(16, 16), (64, 80), (1, 400)])
def test_images_of_any_size_are_taken(size: tuple[int, int], network: InceptionV3) -> None:
    features = run(network, noise(1, 3, *size))
    assert features.shape == (1, 2048) and features.isfinite().all() and 0.05 < features.std() < 5


def test_no_images_give_no_features(network: InceptionV3) -> None:
    assert network(noise(0, 3, 16, 16)).shape == (0, 2048)
    assert inception_module.on_frames(network.outputs)(noise(0, 3, 5, 16, 16))["probabilities"].shape == (0, 5, 1008)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(2, 3, 16, 16), r"torch.float32 \(2, 3, 16, 16\)"),
        (noise(2, 1, 16, 16), r"torch.uint8 \(2, 1, 16, 16\)"),
        (noise(2, 16, 16, 3), r"\(2, 16, 16, 3\)"),
        (noise(3, 16, 16), r"\(3, 16, 16\)"),
        (noise(2, 3, 0, 16), r"\(2, 3, 0, 16\)"),
    ],
)
def test_other_inputs_are_refused_with_their_shape(images: Tensor, said: str, network: InceptionV3) -> None:
    with pytest.raises(ClipError, match=said):
        network(images)


def test_autocast_does_not_reach_the_network(network: InceptionV3) -> None:
    images = noise(1, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = network(images)
    assert inside.dtype == torch.float32 and torch.equal(inside, network(images))


def test_seeded_weights_are_the_same_bits_everywhere(network: InceptionV3) -> None:
    kernel = network.convolutions()["Mixed_6e.branch7x7_2"].weight.contiguous()
    assert hashlib.sha256(kernel.numpy().astype("<f4").tobytes()).hexdigest()[:16] == "22d5f26a4eac8afd"
    assert kernel.sum((1, 2, 3)).abs().max() < 1e-5
    first = network.convolutions()["Conv2d_1a_3x3"].weight
    assert not torch.equal(InceptionV3.seeded(1).convolutions()["Conv2d_1a_3x3"].weight, first)


def test_the_seeded_detector_says_what_it_is(network: InceptionV3) -> None:
    detector, clips = open_detector("inception-seeded"), noise(2, 3, 2, 16, 16)
    assert (detector.name, detector.weights, detector.used) == ("inception-seeded", None, "native")
    assert not detector.comparable and "not comparable" in detector.note and len(detector.sha256) == 64
    outputs = detector(clips)
    assert torch.equal(outputs["features"][1], network(clips[1].transpose(0, 1)))
    assert torch.allclose(outputs["probabilities"].sum(2), torch.ones(2, 2), atol=1e-5)


def test_seeded_features_tell_images_apart(network: InceptionV3) -> None:
    outputs = network.outputs(pictures())
    spread = outputs["features"].std(0).square().mean().sqrt() / outputs["features"].square().mean().sqrt()
    assert spread > 0.15  # 0.05 with plain He-scaled weights
    probabilities = outputs["probabilities"].double()
    score = (probabilities * (probabilities / probabilities.mean(0)).log()).sum(1).mean().exp()
    assert 1.2 < score < 8


def pictures() -> Tensor:  # -> [8, 3, 16, 16] uint8
    """Flat colours, gradients, boards, noise."""
    ramp, place = torch.linspace(0, 255, 16), torch.arange(16) // 4
    dark, light, board = torch.zeros(16, 16), torch.full((16, 16), 255.0), (place[:, None] + place) % 2 * 255.0
    planes = torch.stack([dark, light, ramp.expand(16, 16), ramp[:, None].expand(16, 16), board])
    channels = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [2, 2, 2], [0, 3, 1], [4, 4, 4], [4, 0, 2]])
    return torch.cat([planes[channels].byte(), noise(1, 3, 16, 16)])
