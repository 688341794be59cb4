"""Inception against outputs of the reference network, its known-wrong twins, its invariances, and published files."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.errors import ClipError, WeightsError
from latte_eval.evaluation.golden.files import Golden
from latte_eval.files.weights import Weights
from latte_eval.metrics.detectors import InceptionV3, open_detector
from latte_eval.metrics.detectors import inception as inception_module
from latte_eval.metrics.detectors import inception_network as network_module
from latte_eval.metrics.detectors.inception import CPU_BATCH
from latte_eval.metrics.detectors.inception_network import build_trunk, resize_tf1
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


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


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


class ArchiveConv(nn.Module):
    """Convolution and batch-norm with the tensor names of NVIDIA's archive: weight, beta, mean, var."""

    def __init__(self, inp: int, out: int, **shape: Any):
        super().__init__()
        conv = nn.Conv2d(inp, out, bias=False, **shape)
        self.stride, self.padding = conv.stride, conv.padding
        self.weight = nn.Parameter(torch.randn(conv.weight.shape) * (2 / conv.weight[0].numel()) ** 0.5)
        self.beta = nn.Parameter(0.1 * torch.randn(out))
        self.register_buffer("mean", 0.1 * torch.randn(out))
        self.register_buffer("var", 0.5 + torch.rand(out))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, None, self.stride, self.padding)
        return F.relu(F.batch_norm(x, self.mean, self.var, None, self.beta, eps=1e-3))


class Archive(nn.Module):
    """An unfused Inception that is called as NVIDIA's archive is: the resize is written as a grid."""

    def __init__(self, layers: nn.Module, scale: float = 128.0):
        super().__init__()
        self.layers, self.scale = layers, scale
        self.output = nn.Linear(2048, 1008)

    def forward(
        self, img: Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        count, channels, height, width = img.shape
        x = img.float()
        theta = torch.eye(2, 3)
        theta[0, 2] += 1 / width - 1 / 299
        theta[1, 2] += 1 / height - 1 / 299
        grid = F.affine_grid(theta.unsqueeze(0).repeat([count, 1, 1]), [count, channels, 299, 299], False)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
        features = self.layers((x - 128) / self.scale).reshape(-1, 2048)
        if return_features:
            return features
        bias = None if no_output_bias else self.output.bias
        return F.softmax(F.linear(features, self.output.weight, bias), 1)


@pytest.fixture(scope="module")
def archive() -> Archive:
    torch.manual_seed(0)
    with torch.no_grad():
        return Archive(build_trunk(ArchiveConv).eval()).eval()


def scripted(archive: Archive, path: Path) -> Path:
    """The archive as a TorchScript file."""
    traced = torch.jit.trace(archive.layers, torch.zeros(1, 3, 299, 299), check_trace=False)
    torch.jit.save(torch.jit.script(Archive(traced, archive.scale)), path)
    return path


def install(path: Path, record: Weights, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Make `path` the file that the record pins."""
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(path.parent))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(path.parent / "cache"))
    return dataclasses.replace(record, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=None)


def test_folding_changes_nothing_and_foreign_names_are_taken_by_order_and_shape(archive: Archive) -> None:
    images = noise(1, 3, 20, 30)
    outputs = InceptionV3.from_state_dict(archive.state_dict()).outputs(images)
    with torch.no_grad():
        features, probabilities = archive(images, return_features=True), archive(images, no_output_bias=True)
    assert relative_difference(outputs["features"], features) < FEATURES_TOLERANCE
    assert relative_difference(outputs["probabilities"], probabilities) < 1e-4


def test_vectors_that_nobody_knows_are_taken_in_order(archive: Archive) -> None:
    state = archive.state_dict()
    unknown = {".beta": ".p", ".mean": ".q", ".var": ".r"}
    nameless = {name.replace(leaf := Path(name).suffix, unknown.get(leaf, leaf)): each for name, each in state.items()}
    assert same_weights(InceptionV3.from_state_dict(nameless), InceptionV3.from_state_dict(state))


def same_weights(ours: nn.Module, theirs: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.fixture(scope="module")
def state(archive: Archive) -> dict[str, Tensor]:
    """The weights of `archive` with the names of pytorch-fid and torch-fidelity."""
    leaves = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}
    found = {"fc.weight": archive.output.weight.detach(), "fc.bias": archive.output.bias.detach()}
    for name, value in archive.layers.state_dict().items():
        module, _, leaf = name.rpartition(".")
        found[f"{module}.{leaves[leaf]}"] = value
        found[f"{module}.bn.num_batches_tracked"] = torch.tensor(7)
    return found


def test_names_of_pytorch_fid_and_a_prefix_give_the_same_network(archive: Archive, state: dict[str, Tensor]) -> None:
    ours = InceptionV3.from_state_dict(state)
    assert same_weights(ours, InceptionV3.from_state_dict(archive.state_dict()))
    assert same_weights(ours, InceptionV3.from_state_dict({f"module.{name}": each for name, each in state.items()}))
    assert same_weights(ours, InceptionV3.from_state_dict({f"net.base.{name}": each for name, each in state.items()}))


def test_weights_of_batch_norm_count(state: dict[str, Tensor]) -> None:
    doubled = state | {"Conv2d_1a_3x3.bn.weight": torch.full((32,), 2.0)}
    ours, theirs = (InceptionV3.from_state_dict(each).convolutions()["Conv2d_1a_3x3"] for each in (doubled, state))
    assert torch.allclose(ours.weight, 2 * theirs.weight)


def test_other_networks_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"head must be \[1008, 2048\]; found \[1000, 2048\]"):
        InceptionV3.from_state_dict(state | {"fc.weight": torch.zeros(1000, 2048)})
    absent = "Mixed_6a.branch3x3.bn.running_var"
    with pytest.raises(WeightsError, match=f"{absent} is missing"):
        InceptionV3.from_state_dict({name: each for name, each in state.items() if name != absent})
    with pytest.raises(WeightsError, match=r"Conv2d_1a_3x3 is \[32, 1, 3, 3\], not \[32, 3, 3, 3\]"):
        InceptionV3.from_state_dict(state | {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)})
    with pytest.raises(WeightsError, match=r"no kernel \[32, 3, 3, 3\] is left for Conv2d_1a_3x3"):
        InceptionV3.from_state_dict({"layer.weight": torch.zeros(5, 5)})


def test_the_archive_is_opened_and_its_native_twin_answers(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scripted(archive, tmp_path / "inception-2015-12-05.pt")
    record = install(path, inception_module.INCEPTION_ARCHIVE, monkeypatch)
    monkeypatch.setattr(inception_module, "INCEPTION_ARCHIVE", record)
    detector, clips = open_detector("inception"), noise(2, 3, 2, 16, 24)
    assert (detector.used, detector.weights, detector.note, detector.comparable) == ("native", record, "", True)
    assert detector.agreement is not None and detector.agreement < 2e-5 and detector.sha256 == record.sha256
    outputs = detector(clips)
    assert {name: tuple(each.shape) for name, each in outputs.items()} == {
        "features": (2, 2, 2048), "probabilities": (2, 2, 1008)
    }  # fmt: skip
    with torch.no_grad():
        features = archive(clips[1, :, :1].transpose(0, 1), return_features=True)
    assert relative_difference(outputs["features"][1, :1], features) < FEATURES_TOLERANCE


def test_an_archive_that_disagrees_answers_itself(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Archive(archive.layers, scale=127.5)
    other.output = archive.output
    path = scripted(other, tmp_path / "inception-2015-12-05.pt")
    record = install(path, inception_module.INCEPTION_ARCHIVE, monkeypatch)
    monkeypatch.setattr(inception_module, "INCEPTION_ARCHIVE", record)
    detector, clips = open_detector("inception"), noise(1, 3, 1, 16, 24)
    assert detector.used == "archive" and "the archive is used" in detector.note
    assert detector.agreement is not None and detector.agreement > 1e-4
    with torch.no_grad():
        features = torch.jit.load(path)(clips[:, :, 0], return_features=True)
    assert relative_difference(detector(clips)["features"][:, 0], features) < 1e-6


def test_the_state_dict_is_used_where_it_is_installed(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(state, path)
    record = install(path, inception_module.INCEPTION_STATE, monkeypatch)
    monkeypatch.setattr(inception_module, "INCEPTION_STATE", record)
    detector = open_detector("inception", offline=True)
    assert (detector.used, detector.weights, detector.sha256) == ("native", record, record.sha256)
    assert detector.comparable and "not compared with inception-2015-12-05.pt" in detector.note
    images = noise(1, 3, 16, 24)
    assert torch.equal(detector(images[:, :, None])["features"][:, 0], InceptionV3.from_state_dict(state)(images))


def test_without_files_and_network_the_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match="inception-2015-12-05.pt.*inception-seeded"):
        open_detector("inception", offline=True)


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
