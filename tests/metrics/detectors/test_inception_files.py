"""Inception from the files in which it is published: NVIDIA's archive, and the state dict of pytorch-fid."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from media_makers import noise
from torch import Tensor, nn

from latte_eval.core.errors import WeightsError
from latte_eval.files.weights import Weights
from latte_eval.metrics.detectors import InceptionV3, open_detector
from latte_eval.metrics.detectors import inception as inception_module
from latte_eval.metrics.detectors.inception_network import build_trunk
from latte_eval.metrics.detectors.network import relative_difference

FEATURES_TOLERANCE = 2e-5  # a float64 network differs by 3e-6


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
