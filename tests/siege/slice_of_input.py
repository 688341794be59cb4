"""The runner of the sieges sees every kind of bad end; a short seeded slice of each siege holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import hypothesis
import pytest

from siege import checkpoint, distances, video, zips
from siege.broken_statistics import BREAKS
from siege.siege import CodeRun, Siege, Wrong, besiege

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials run in forked processes")


def raises(error):
    raise error


def sleeps_beside_another():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    time.sleep(60)


ENDS = {
    "fine": (lambda: "fine", "fine", ""),
    "an outcome of nobody's": (lambda: "odd", "wrong", "'odd'"),
    "a false number": (lambda: raises(Wrong("2 is not 3")), "wrong", "2 is not 3"),
    "code of a file": (lambda: raises(CodeRun("a folder was made")), "code run", "a folder was made"),
    "no end": (sleeps_beside_another, "hung", "0.5 s"),
    "an exception": (lambda: {}["key"], "traceback", "KeyError: 'key'"),
    "an exit": (lambda: sys.exit(3), "traceback", "SystemExit: 3"),
    "a crash": (lambda: os.kill(os.getpid(), signal.SIGSEGV), "crashed", "SIGSEGV"),
    "an end without a word": (lambda: os._exit(7), "crashed", "status 7"),
    "too much memory": (lambda: bytearray(2**32) and "fine", "traceback", "MemoryError"),
}


@pytest.mark.parametrize("name", ENDS)
def test_every_kind_of_end_is_told(name):
    trial, outcome, detail = ENDS[name]
    siege = Siege("trial", lambda *_: trial(), ("fine",), seconds=0.5 if outcome == "hung" else 20, memory=2**30)
    report = besiege(siege, [4], 0)
    assert report.counts == {outcome: 1}
    assert [number for number, *_ in report.bad] == ([] if outcome == "fine" else [4])
    assert all(detail in said for *_, said in report.bad)


def test_a_trial_is_the_same_whatever_runs_beside_it(tmp_path):
    def trial(material, chance, folder):
        (folder / "drawn").write_text(f"{material} {chance.random()}")
        return "fine"

    siege = Siege("drawing", trial, ("fine",), prepare=lambda folder: "made")
    together, alone = besiege(siege, range(3), 5, tmp_path / "a"), besiege(siege, [2], 5, tmp_path / "b")
    drawn = [(tmp_path / name / "drawn").read_text() for name in ("a/trial-0", "a/trial-1", "a/trial-2", "b/trial-2")]
    assert drawn[2] == drawn[3] and len(set(drawn)) == 3 and drawn[0].startswith("made ")
    assert str(together).startswith("drawing: 3 trials, seed 5: 3 fine, 0 wrong, 0 code run, 0 hung,")
    assert alone.counts == {"fine": 1}


def test_after_its_seconds_a_siege_tells_what_it_did():
    siege = Siege("slow", lambda *_: time.sleep(0.2) or "fine", ("fine",))
    report = besiege(siege, range(100), 0, seconds=0.3)
    assert 1 <= report.counts.total() <= 2 and str(report).startswith("slow: ")


SLICES = {
    "checkpoint": (checkpoint.SIEGE, 30),
    "video": (replace(video.SIEGE, prepare=partial(video.prepare, names=("H.264", "VP8 in IVF", "GIF"))), 12),
    "zips": (zips.SIEGE, 4),
    "numbers": (distances.SIEGE, 3),
}


@pytest.mark.parametrize("name", SLICES)
def test_a_short_slice_holds(name):
    siege, trials = SLICES[name]
    report = besiege(siege, range(trials), 1)
    assert report.counts.total() == trials
    assert not report.bad, "\n".join([str(report), *report.described])


def test_every_property_of_the_statistics_has_a_mistake():
    assert set(BREAKS) == set(distances.PROPERTIES)


@pytest.mark.parametrize("check", BREAKS, ids=lambda check: check.__name__)
def test_every_property_of_the_statistics_sees_a_mistake(check, monkeypatch):
    """It holds without one for the same examples."""
    drawn = [hypothesis.Phase.generate]  # the smallest example would take longer
    assert distances.held(check, 0, drawn)
    monkeypatch.setattr(*BREAKS[check])
    with pytest.raises(Wrong, match=check.__name__):
        for seed in range(5):
            distances.held(check, seed, drawn)
