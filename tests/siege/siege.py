"""What every siege shares: seeded trials, each in a process of its own, counted by what came of them.

    python tests/siege/checkpoint.py --trials 2000 --seed 0

prints one line, such as

    checkpoint: 2000 trials, seed 0: 1312 refused, 688 the same weights, 0 wrong, 0 code run, 0 hung, 0 traceback, 41 s

and ends with status 1 if anything was wrong; then each bad trial follows on a line of its own. `--only 17` repeats
trial 17, and `--keep FOLDER` leaves its files there. `--seconds 600` ends it sooner, with the trials so far. Trial i of
a seed is the same whatever trials run beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import json
import math
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Outcomes that fail a siege: a false result, code of a file that ran, no end, an error that is not said in one line,
# a process that the system ended, such as by SIGSEGV.
BAD = ("wrong", "code run", "hung", "traceback", "crashed")

# Bad trials that are described, at most.
SHOWN = 10


class Wrong(Exception):
    """A trial that ended with a false result; the text says which."""


class CodeRun(Exception):
    """A trial in which something of an untrusted file was executed."""


@dataclass(frozen=True)
class Siege:
    """What is tried, how often and how long.

    Attributes:
        name: the first word of the printed line.
        trial: called with what `prepare` made, the trial's own random numbers and an empty folder. Gives the outcome
            in words, one of `outcomes`. Raises `Wrong` or `CodeRun`; any other exception counts as a traceback.
        outcomes: what a trial may end with.
        prepare: called once with a folder; makes what all trials start from. They must not change it.
        trials: how many there are by hand.
        seconds: a trial that takes longer hangs.
        memory: bytes that a trial may map beyond those of the process that it is forked from; None for no limit.
    """

    name: str
    trial: Callable[[Any, random.Random, Path], str]
    outcomes: tuple[str, ...]
    prepare: Callable[[Path], Any] = lambda folder: None
    trials: int = 1000
    seconds: float = 20.0
    memory: int | None = None


@dataclass
class Report:
    """What came of the trials of a siege.

    Attributes:
        counts: trials by outcome.
        bad: (number of the trial, outcome, what happened).
    """

    siege: Siege
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, number: int, outcome: str, detail: str) -> None:
        """Count one trial."""
        self.counts[outcome] += 1
        if outcome in BAD:
            self.bad.append((number, outcome, detail))

    def __str__(self) -> str:
        counts = ", ".join(f"{self.counts[outcome]} {outcome}" for outcome in (*self.siege.outcomes, *BAD))
        return f"{self.siege.name}: {self.counts.total()} trials, seed {self.seed}: {counts}, {self.seconds:.0f} s"

    @property
    def described(self) -> list[str]:
        """The first bad trials, a line each."""
        return [
            f"  trial {number}: {outcome}: {detail} (again: --seed {self.seed} --only {number})"
            for number, outcome, detail in self.bad[:SHOWN]
        ]


def besiege(
    siege: Siege, numbers: Sequence[int], seed: int, keep: Path | None = None, seconds: float = math.inf
) -> Report:
    """Run these trials of a seed, one after the other.

    Args:
        keep: where the files of the trials stay; None deletes them.
        seconds: after which no further trial begins.
    """
    report, start = Report(siege, seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        material = siege.prepare(made(Path(folder) / "material"))
        for number in numbers:
            if time.monotonic() - start > seconds:
                break
            place = made((keep or Path(folder)) / f"trial-{number}")
            report.note(number, *isolated(siege, material, random.Random(f"{siege.name} {seed} {number}"), place))
            if keep is None:
                shutil.rmtree(place, ignore_errors=True)
    report.seconds = time.monotonic() - start
    return report


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def isolated(siege: Siege, material: Any, chance: random.Random, folder: Path) -> tuple[str, str]:
    """The outcome of a trial in a forked process, which has imported everything already, and what happened."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        run_trial(siege, material, chance, folder, writing)
    os.close(writing)
    try:
        said = read_until(reading, time.monotonic() + siege.seconds)
    finally:
        os.close(reading)
        kill_group(child)  # also what it started
        _, status = os.waitpid(child, 0)
    if said is None:
        return "hung", f"no end after {siege.seconds:g} s"
    if not said:
        number = os.waitstatus_to_exitcode(status)
        return "crashed", signal.Signals(-number).name if number < 0 else f"it ended with status {number}"
    outcome, detail = json.loads(said)
    return outcome, detail


def kill_group(child: int) -> None:
    """End a trial's process, if it did not end yet, and the processes that it started."""
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            end(child, signal.SIGKILL)


def read_until(pipe: int, deadline: float) -> bytes | None:
    """All that comes through a pipe up to its end; None where it is still open at the deadline."""
    said = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(pipe, 2**16)
        if not part:
            return said
        said += part


def run_trial(siege: Siege, material: Any, chance: random.Random, folder: Path, pipe: int) -> None:
    """In the forked process: run the trial, say its outcome through the pipe, end."""
    gc.freeze()  # what the parent left to be collected may wait for threads, which a fork does not have
    os.setsid()
    faulthandler.disable()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    limit_memory(siege.memory)
    said = outcome_of(siege, material, chance, folder)
    os.write(pipe, json.dumps(said).encode())
    os._exit(0)


def outcome_of(siege: Siege, material: Any, chance: random.Random, folder: Path) -> tuple[str, str]:
    """What a trial ends with, and what happened where that is bad."""
    try:
        outcome = siege.trial(material, chance, folder)
    except Wrong as error:
        return "wrong", str(error)[:500]
    except CodeRun as error:
        return "code run", str(error)[:500]
    except BaseException as error:  # also SystemExit and KeyboardInterrupt, which no trial may raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"[:500]
    return (outcome, "") if outcome in siege.outcomes else ("wrong", f"the trial ended with {outcome!r}")


def limit_memory(extra: int | None) -> None:
    """Let this process map this many further bytes, and no core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if extra is not None and Path("/proc/self/statm").exists():
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + extra, mapped + extra))


def main(siege: Siege) -> None:
    """The command line of one siege."""
    parser = argparse.ArgumentParser(description=f"The siege {siege.name}: {siege.trials} trials.")
    parser.add_argument("--trials", type=int, default=siege.trials)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one trial")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after these no further trial begins")
    parser.add_argument("--keep", type=Path, help="a folder in which the files of the trials stay")
    options = parser.parse_args()
    numbers = range(options.trials) if options.only is None else [options.only]
    report = besiege(siege, numbers, options.seed, options.keep, options.seconds)
    print(report, *report.described, sep="\n", flush=True)
    sys.exit(1 if report.bad else 0)
