"""Archives: nothing of an unknown one runs; a known one is compared with the native network made from its tensors."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latte_eval.benchmarks.speed.unfused_i3d import scripted
from latte_eval.core.errors import WeightsError
from latte_eval.metrics.detectors import I3D, archive, i3d, open_detector, verify
from latte_eval.metrics.detectors.archive import load_tensors, native_or_archive, open_archive
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.i3d_names import units

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def save(module: nn.Module, path: Path) -> str:
    data = io.BytesIO()
    torch.jit.save(module, data)
    path.write_bytes(data.getvalue())
    return hashlib.sha256(data.getvalue()).hexdigest()


@pytest.fixture
def doubling(tmp_path: Path) -> tuple[Path, str]:
    return tmp_path / "doubling.pt", save(torch.jit.script(Doubling()), tmp_path / "doubling.pt")


@pytest.fixture(scope="module")
def published() -> torch.jit.ScriptModule:
    """An archive as the published one is: hassony2's names, called (clips, rescale, resize, return_features)."""
    return scripted(seeded_state(0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(i3d, "CPU_BATCH", 1)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def pin(module: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install an archive as the I3D and pin its hash."""
    sha256 = save(module, folder / "i3d_torchscript.pt")
    for room in (i3d, verify):
        monkeypatch.setattr(room, "I3D_ARCHIVE", replace(i3d.I3D_ARCHIVE, sha256=sha256))
    return sha256


def clip() -> Tensor:
    return torch.randint(0, 256, (1, 3, 9, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_pinned_hash_opens_an_archive(doubling: tuple[Path, str]) -> None:
    module, sha256 = open_archive(*doubling)
    assert module(torch.tensor(3.0)) == 6 and sha256 == doubling[1]


@pytest.mark.parametrize("pinned", ["0" * 64, None])
def test_an_unknown_archive_is_not_loaded(
    pinned: str | None, doubling: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("the archive was loaded"))
    with pytest.raises(WeightsError, match=f"{doubling[1]}.*{pinned or 'no hash is published'}.*--trust"):
        open_archive(doubling[0], pinned)


def test_trust_opens_an_unknown_archive(doubling: tuple[Path, str]) -> None:
    assert open_archive(doubling[0], None, trust=True)[1] == doubling[1]


def test_the_bytes_that_were_hashed_are_the_bytes_that_run(
    doubling: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = doubling

    def read_and_swap(path: Path) -> bytes:
        data = path.read_bytes()
        path.write_bytes(b"another archive, put there between the hash and the load")
        return data

    monkeypatch.setattr(archive, "read_bytes", read_and_swap)
    assert open_archive(path, sha256)[0](torch.tensor(3.0)) == 6


@pytest.mark.parametrize("content", [b"", b"this is a text file", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pt is not a TorchScript archive") as error:
        open_archive(path, hashlib.sha256(content).hexdigest())
    assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        open_archive(tmp_path / "absent.pt", None, trust=True)


def test_opening_an_archive_says_nothing_on_stderr(
    doubling: tuple[Path, str], recwarn: pytest.WarningsRecorder
) -> None:
    recwarn.clear()
    open_archive(*doubling)
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(("factor", "used"), [(1 + 5e-5, "native"), (1 + 5e-4, "archive"), (float("nan"), "archive")])
def test_the_probe_decides_who_answers(factor: float, used: str) -> None:
    choice = native_or_archive(lambda x: factor * x, lambda x: x, torch.ones(3))
    assert choice.used == used and bool(choice.note) == (used == "archive")
    assert choice.forward(torch.ones(1)).isfinite().all()


def test_an_archive_that_agrees_gives_the_native_network(
    published: torch.jit.ScriptModule, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = pin(published, folder, monkeypatch)
    detector = open_detector("i3d")
    assert (detector.used, detector.sha256, detector.comparable, detector.note) == ("native", sha256, True, "")
    assert detector.record()["pinned"] is True
    assert detector.agreement is not None and 0 < detector.agreement < 1e-5
    expected = published(clip(), True, True, True)
    assert (detector(clip())["features"] - expected).abs().max() < 1e-4


def test_an_archive_that_differs_answers_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_epsilon = scripted(seeded_state(0), eps=1e-5)
    pin(other_epsilon, folder, monkeypatch)
    detector = open_detector("i3d")
    assert detector.used == "archive" and "the archive is used" in detector.note
    assert detector.agreement is not None and detector.agreement > 1e-3
    expected = other_epsilon(clip(), True, True, True)
    assert torch.equal(detector(clip())["features"], expected)
    frames_last = clip().contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(detector(frames_last)["features"], expected)


def test_an_archive_without_tensors_answers_itself(
    published: torch.jit.ScriptModule, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = torch.jit.freeze(published)
    assert not frozen.state_dict()
    pin(frozen, folder, monkeypatch)
    detector = open_detector("i3d")
    assert (detector.used, detector.agreement) == ("archive", None) and "missing" in detector.note


def test_an_unpinned_i3d_opens_on_trust_and_says_so(published: torch.jit.ScriptModule, folder: Path) -> None:
    sha256 = save(published, folder / "i3d_torchscript.pt")
    with pytest.raises(WeightsError, match=f"has sha256 {sha256} instead of bec6519f"):
        open_detector("i3d", offline=True)
    detector = open_detector("i3d", trust=True)
    assert detector.sha256 == sha256 and not detector.comparable and "not comparable" in detector.note
    assert detector.record()["pinned"] is False


def piergiaj_state() -> dict[str, Tensor]:
    """The seeded weights in piergiaj's naming, as VideoGPT's file has them."""
    short = {name: short for name, short, _ in units()}
    state = {}
    for key, value in seeded_state(0).items():
        unit, part, leaf = key.rsplit(".", 2)
        state[f"{short[unit]}.{part.replace('batch3d', 'bn')}.{leaf}"] = value
    return state


def test_the_state_dict_of_videogpt_opens_where_there_is_no_archive(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "i3d_pretrained_400.pt"
    torch.save(piergiaj_state(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(i3d, "I3D_STATE", replace(i3d.I3D_STATE, sha256=sha256))
    detector = open_detector("i3d", offline=True)
    assert (detector.used, detector.agreement, detector.sha256) == ("native", None, sha256)
    assert "not compared" in detector.note and detector.weights is i3d.I3D_STATE
    assert torch.equal(detector(clip())["features"], I3D.seeded()(clip()))


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_state_dict_that_would_run_code_does_not(tmp_path: Path) -> None:
    path, sign = tmp_path / "weights.pt", tmp_path / "it-ran"
    torch.save({"conv": Bomb(sign)}, path)
    with pytest.raises(WeightsError, match=r"weights\.pt is not a file of weights"):
        load_tensors(path)
    assert not sign.exists()


@pytest.mark.parametrize("wrong", [b"", b"a text file", [1, 2]])
def test_what_holds_no_tensors_is_named(wrong: object, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(wrong) if isinstance(wrong, bytes) else torch.save(wrong, path)
    with pytest.raises(WeightsError, match=r"weights\.pt (is not a file of weights|holds a list)"):
        load_tensors(path)
