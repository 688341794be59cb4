"""Checkpoints made to do harm end in one line that names the file: no hang, no flood of memory, no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from command_line import latte_eval
from hostile_checkpoints import EMA, HOSTILE, ODD
from repository import ROOT
from siege.siege import Siege, Wrong, besiege

from latte_eval.core.errors import CheckpointError
from latte_eval.core.statuses import Status
from latte_eval.sampler import load_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials run in forked processes")

# Bytes that opening a file of a few kilobytes may take.
MEMORY = 2**30


def refused(path, expected):
    """Raise `Wrong` unless a file is refused in one line, by the library and by the command line."""
    try:
        load_checkpoint(path)
    except CheckpointError as error:
        check_line(str(error), path.name, expected)
    else:
        raise Wrong("it was loaded")
    done = latte_eval("inspect", path)
    if done.returncode != Status.FAILED or done.stdout or done.stderr.count("\n") != 1:
        raise Wrong(f"inspect ended with {done.returncode}: {done.stderr[-300:]}")
    check_line(done.stderr.strip(), path.name, expected)


def check_line(line, name, expected):
    if len(line) > 600 or not line.isprintable():
        raise Wrong(f"{len(line)} characters: {line[:300]!r}")
    if "alloc" in line or "MemoryError" in line:
        raise Wrong(f"it was tried: {line}")
    if name not in line or not re.search(expected, line):
        raise Wrong(f"does not say {expected!r} of {name}: {line}")


def refuse_hostile(name, folder):
    make, expected = HOSTILE[name]
    make(folder / "bad.pt")
    refused(folder / "bad.pt", expected)


def load_odd(name, folder):
    ODD[name](folder / "odd.pt")
    path = next(folder.iterdir())
    found = load_checkpoint(path)
    if found.iteration is not None or not all(torch.equal(found[key], value) for key, value in EMA.items()):
        raise Wrong(f"iteration {found.iteration}, {len(found)} weights")
    done = latte_eval("inspect", path)
    if done.returncode or done.stderr:
        raise Wrong(done.stderr)


def what_is_bad(trial, name):
    """The outcome of a trial and what happened, where that is bad; else nothing."""
    siege = Siege("hostile", lambda *given: trial(name, given[2]) or "held", ("held",), seconds=30, memory=MEMORY)
    return besiege(siege, [0], 0).bad


@pytest.fixture(scope="module")
def found():
    """By its name, what is bad of each trial. All are forks of one new process: that of the tests may hold threads and
    other things that a fork does not bear."""
    places = [str(ROOT), str(ROOT / "tests")]
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_checkpoints_are_refused_in_one_line(name, found):
    assert not found[name]


@pytest.mark.parametrize("name", ODD)
def test_odd_things_beside_the_weights_do_no_harm(name, found):
    assert not found[name]


if __name__ == "__main__":
    every = [*((refuse_hostile, name) for name in HOSTILE), *((load_odd, name) for name in ODD)]
    print(json.dumps({name: what_is_bad(trial, name) for trial, name in every}))
