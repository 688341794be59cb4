"""`--detector NETWORK=FILE`: somebody's own weights, recorded by hash and compared with nothing published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from latte_eval.compare.comparable import Conditions, standing
from latte_eval.compare.comparable import differences as find_differences
from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.request import Request
from latte_eval.files.weights import file_sha256
from latte_eval.metrics.detectors import C3D, dinov2, open_detector, videomae, vjepa
from latte_eval.metrics.detectors.c3d import files_sha256
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.network import probe_clips
from latte_eval.metrics.detectors.own import detector_row, of_protocol
from latte_eval.metrics.detectors.transformer import seeded_tensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    torch.save({"state_dict": seeded_state(7)}, folder / "my_i3d.pt")
    return folder


def test_it_is_known_by_its_hash(folder: Path) -> None:
    detector = open_detector(f"i3d={folder / 'my_i3d.pt'}")
    record = detector.record()
    assert record == {"name": "i3d=my_i3d.pt", "sha256": file_sha256(folder / "my_i3d.pt"), "comparable": False,
                      "used": "native", "agreement": None}  # fmt: skip
    assert "own weights" in detector.note
    features = detector(probe_clips(9))["features"]
    assert features.shape == (1, 400) and not torch.equal(
        features, open_detector("i3d-seeded")(probe_clips(9))["features"]
    )
    published = Conditions({"detector": {"comparable": True, "pinned": True}}, published=True)
    found = standing(find_differences(Conditions({"detector": record}), published))
    assert found.grade == "not comparable" and "i3d=my_i3d.pt is not the published one" in found.reasons[0]


def test_a_relative_file_is_found_where_weights_lie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate opens the detector by the name in an accepted result, on another machine."""
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(folder))
    assert open_detector("i3d=my_i3d.pt").sha256 == file_sha256(folder / "my_i3d.pt")


def test_what_cannot_be_had_is_said_in_one_line(folder: Path) -> None:
    with pytest.raises(WeightsError, match="absent.pt, which is no file"):
        open_detector("i3d=absent.pt")
    (folder / "bad.pt").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="bad.pt is not a file of weights"):
        open_detector(f"i3d={folder / 'bad.pt'}")
    for name in ("c3d=x.npz,", "i3d-seeded=x.pt", "i3d=", "dinov2-base=x.pt"):
        with pytest.raises(UsageError, match=r"NETWORK=FILE, and NETWORK is i3d, .* is c3d, vjepa, vjepa-unprojected"):
            Request(metrics=("fvd", "is", "fd-dinov2"), detectors=(name,))
    with pytest.raises(UsageError, match="Did you mean i3d"):
        detector_row("i3f=x.pt")
    with pytest.raises(UsageError, match="serves none of: fid"):
        Request(metrics=("fid",), detectors=("i3d=x.pt",))


def test_it_serves_the_metrics_of_its_network() -> None:
    request = Request(metrics=("fvd", "fid", "prdc"), detectors=("i3d=a/x.pt",))
    assert request.detector_names() == ["i3d=a/x.pt", "inception"]
    assert not request.is_trial
    assert of_protocol("inception=a=b.pth", Protocol(fid_resize="clean")) == "inception-clean=a=b.pth"
    clean = Request(metrics=("fid",), detectors=("inception=x.pth",), params=("fid_resize=clean",))
    assert clean.detector_names() == ["inception-clean=x.pth"]


def test_a_network_of_two_files_is_known_by_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The C3D with its mean clip. Its weights are views of one value, so that the file is small."""
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    state = {name: torch.full((1,), 0.001).expand(value.shape) for name, value in C3D().layers.state_dict().items()}
    torch.save(state, tmp_path / "mine.pt")
    for name, level in (("mean.npz", 90.0), ("other.npz", 30.0)):
        np.savez(tmp_path / name, mean=np.full((3, 16, 128, 171), level, np.float32))
    paths = {name: tmp_path / name for name in ("mine.pt", "mean.npz", "other.npz", "mean2.npz")}
    found = open_detector("c3d=mine.pt,mean.npz")
    assert found.name == "c3d=mine.pt,mean.npz" and not found.comparable and "pinned" not in found.record()
    assert found.sha256 == files_sha256(paths["mine.pt"], paths["mean.npz"])
    assert found(probe_clips(16))["probabilities"].shape == (1, 101)
    with pytest.raises(WeightsError, match=r"mean clip .* name yours with --detector c3d=mine.pt,FILE, or .*c3d-mean"):
        open_detector("c3d=mine.pt")
    paths["other.npz"].rename(paths["mean2.npz"])
    published = open_detector("c3d=mine.pt")
    assert published.name == "c3d=mine.pt" and published.sha256 == files_sha256(paths["mine.pt"], paths["mean2.npz"])
    with pytest.raises(WeightsError, match="no array 'mean'"):
        np.savez(paths["mean.npz"], average=np.zeros(3))
        open_detector("c3d=mine.pt,mean.npz")


@pytest.mark.parametrize("network", ["videomae", "dinov2", "vjepa", "vjepa-unprojected"])
def test_networks_of_transformers_take_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    torch.save(seeded_tensors(videomae.seeded_shapes(), "own"), "videomae.pt")
    save_file(seeded_tensors(dinov2.seeded_shapes(), "own"), "dinov2.safetensors")
    torch.save({"target_encoder": seeded_tensors(vjepa.encoder_shapes(), "own")}, "encoder.pt")
    torch.save(seeded_tensors(vjepa.probe_shapes(), "own"), "probe.pt")
    files = {"videomae": "videomae.pt", "dinov2": "dinov2.safetensors"}.get(network, "encoder.pt,probe.pt")
    own = open_detector(f"{network}={files}")
    assert own.name == f"{network}={files}" and not own.comparable and own.weights is None
    assert own.sha256 == (files_sha256 if "," in files else file_sha256)(*map(Path, files.split(",")))
    features = own(probe_clips(16))["features"]
    seeded = f"{network.removesuffix('-unprojected')}-seeded"
    assert not torch.allclose(features, open_detector(seeded)(probe_clips(16))["features"])


def test_whether_the_projection_is_applied_is_told_by_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    for name, shapes in (("encoder.pt", vjepa.encoder_shapes()), ("probe.pt", vjepa.probe_shapes())):
        torch.save(seeded_tensors(shapes, "own"), name)
    one, other = (open_detector(f"{name}=encoder.pt,probe.pt") for name in ("vjepa", "vjepa-unprojected"))
    assert one.name != other.name and one.sha256 == other.sha256
    assert not torch.allclose(one(probe_clips(16))["features"], other(probe_clips(16))["features"])
