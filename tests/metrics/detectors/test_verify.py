"""The golden numbers of `doctor --verify`: what is computed, and what is said where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from latte_eval.benchmarks.speed.unfused_i3d import scripted
from latte_eval.files.weights import file_sha256
from latte_eval.metrics.detectors import i3d, verify
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.verify import Check, random_features, random_pair, zeros_ones


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path))
    monkeypatch.setattr(i3d, "CPU_BATCH", 1)
    return tmp_path


def corner(clips: Tensor) -> Tensor:  # [N, 3, T, 224, 224] -> [N, 4]
    return clips[:, 0, 0, 0, :4]


def test_without_weights_every_check_says_that_it_was_not_made(folder: Path) -> None:
    checks = list(verify.verify())
    assert {check.got for check in checks} == {check.ok for check in checks} == {None}
    assert all("could not check" in check.note and "not installed" in check.note for check in checks)
    assert {152.9175, 10.138084766713924} < {check.expected for check in checks}


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_with_an_archive_numbers_are_computed_and_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.jit.save(scripted(seeded_state(0)), path := folder / "i3d_torchscript.pt")
    for room in (i3d, verify):
        monkeypatch.setattr(room, "I3D_ARCHIVE", replace(i3d.I3D_ARCHIVE, sha256=file_sha256(path)))
    monkeypatch.setattr(verify, "ZEROS_ONES", {10: 569.2296})
    black_white, pair, agreement, *others = verify.verify(clips=2)
    assert black_white.got is not None and np.isfinite(black_white.got) and black_white.ok is False
    assert pair.got is not None and pair.got > 0 and pair.ok is False
    assert agreement.got is not None and agreement.ok is True
    assert [check.got for check in others] == [None, None]


@pytest.mark.parametrize(("got", "ok"), [(None, None), (10.2, True), (10.6, False), (float("nan"), False)])
def test_a_check_compares_within_its_tolerance(got: float | None, ok: bool | None) -> None:
    assert Check("name", 10.0, got, 0.5).ok is ok


def test_black_and_white_go_in_as_minus_one_and_one() -> None:
    assert zeros_ones(corner, frames=2, device="cpu") == 4 * 2**2


def test_the_random_pair_is_drawn_and_measured_as_published() -> None:
    clips = 3
    real, fake = (random_features(corner, seed, clips, "cpu").double().numpy() for seed in (2, 1))
    whole = np.random.RandomState(1).rand(clips, 16, 224, 224, 3).astype(np.float32)
    assert np.array_equal(fake, whole[:, 0, 0, :4, 0])
    real_cov, fake_cov = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(fake_cov @ real_cov).real
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(real_cov + fake_cov - 2 * root)
    assert random_pair(corner, clips, "cpu") == pytest.approx(expected, rel=1e-5)
