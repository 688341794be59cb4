"""`--detector NETWORK=FILE`: somebody's own weights, recorded by hash and compared with nothing published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latte_eval.compare.comparable import Conditions, standing
from latte_eval.compare.comparable import differences as find_differences
from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.request import Request
from latte_eval.files.weights import file_sha256
from latte_eval.metrics.detectors import open_detector
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.network import probe_clips
from latte_eval.metrics.detectors.own import detector_row, of_protocol


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
    for name in ("c3d=x.npz", "i3d-seeded=x.pt", "i3d="):
        with pytest.raises(UsageError, match=r"NETWORK=FILE, and NETWORK is i3d, i3d-port, inception, "):
            Request(metrics=("fvd", "is"), detectors=(name,))
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
