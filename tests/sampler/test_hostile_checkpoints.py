"""Checkpoints made to do harm end in one line that names the file: no hang, no flood of memory, no traceback."""

from __future__ import annotations

import os
import re

import pytest
import torch
from command_line import latte_eval
from hostile_checkpoints import EMA, HOSTILE, ODD
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


def check(trial):
    report = besiege(
        Siege("hostile", lambda *given: trial(given[2]) or "held", ("held",), seconds=60, memory=MEMORY), [0], 0
    )
    assert not report.bad, report.bad[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_checkpoints_are_refused_in_one_line(name):
    make, expected = HOSTILE[name]

    def trial(folder):
        make(folder / "bad.pt")
        refused(folder / "bad.pt", expected)

    check(trial)


@pytest.mark.parametrize("name", ODD)
def test_odd_things_beside_the_weights_do_no_harm(name):
    def trial(folder):
        ODD[name](folder / "odd.pt")
        path = next(folder.iterdir())
        found = load_checkpoint(path)
        if found.iteration is not None or not all(torch.equal(found[key], value) for key, value in EMA.items()):
            raise Wrong(f"iteration {found.iteration}, {len(found)} weights")
        done = latte_eval("inspect", path)
        if done.returncode or done.stderr:
            raise Wrong(done.stderr)

    check(trial)
