"""Kills: a command is ended by SIGKILL, SIGTERM or SIGINT, or in a write; the same command then gives the same bits.

The place is drawn from all calls that change the disk, from all bytes that a file may have, or from the time that the
command takes.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from siege.siege import Siege, Wrong, main
from siege.toy_runs import (
    ACCEPT,
    EVALUATE,
    STATS,
    STOPPED,
    Ended,
    Steps,
    Toys,
    begin,
    check_said,
    check_same,
    drawn,
    finish,
    prepare,
    register_toys,
    run,
    signal_itself,
)

STATUSES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
COMMANDS = {"evaluate": EVALUATE, "stats": STATS, "gate": ACCEPT}


def trial(toys: Toys, chance: random.Random, folder: Path) -> str:
    name = chance.choices(list(COMMANDS), (6, 3, 2))[0]
    toys.begin_in(folder, *(["run"] if name == "gate" else []))
    ends = [disturbed(toys, name, chance, folder) for _ in range(chance.choice((1, 1, 2, 3)))]
    check_said(run(folder, *COMMANDS[name]), [0])
    CHECKS[name](toys.folder, folder)
    return next((end for end in ends if end != "ended before"), "ended before")


def disturbed(toys: Toys, name: str, chance: random.Random, folder: Path) -> str:
    """Run a command that is ended on the way; what ended it."""
    number, way = chance.choice(list(STATUSES)), chance.choice(("at a step", "at a step", "in a write", "at a time"))
    before: Callable[[], object] = int
    if way == "at a step":
        before = stop_at(drawn(chance, toys.steps[name]), number)
    elif way == "in a write":
        before = stop_in_write(int(2 ** chance.uniform(0, 12)))
    child = begin(folder, COMMANDS[name], before=before)
    timer = threading.Timer(chance.random() * toys.seconds[name], lambda: signal_process(child, number))
    if way == "at a time":
        timer.start()
    ended = finish(child, folder)
    timer.cancel()
    return what_ended(ended, number)


def signal_process(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def stop_at(step: int, number: int) -> Callable[[], object]:
    """A signal to the process itself at one of its steps."""
    return lambda: sys.setprofile(Steps(step, signal_itself(number)))


def stop_in_write(size: int) -> Callable[[], object]:
    """The system ends the process within a write, after so many bytes of any one file."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return limit


def what_ended(ended: Ended, number: int) -> str:
    """Raises `Wrong` for an end that is neither that of the command nor that of the signal."""
    # SIGTERM and SIGINT before it listens, or after.
    if ended.status in (-signal.SIGKILL, -signal.SIGXFSZ, -signal.SIGTERM, -signal.SIGINT):
        return "killed"
    check_said(ended, [0, STATUSES[number]])
    if ended.status and STOPPED not in ended.err:
        raise Wrong(f"it does not say that the same command continues: {ended.err[-300:]}")
    return "stopped" if ended.status else "ended before"


def check_stats(undisturbed: Path, found: Path) -> None:
    if (found / "real.safetensors").read_bytes() != (undisturbed / "real.safetensors").read_bytes():
        raise Wrong("the file of statistics has other bytes")


def check_accepted(undisturbed: Path, found: Path) -> None:
    """Raise `Wrong` unless all lines are whole, and say and hold what the undisturbed one does."""
    from latte_eval.gate.accepted import read_accepted

    register_toys()
    ours, (theirs,) = read_accepted(found / "accepted.jsonl"), read_accepted(undisturbed / "accepted.jsonl")
    for line in ours:
        line.sides()
        if (line.result, line.features) != (theirs.result, theirs.features):
            raise Wrong(f"line {line.line} of accepted.jsonl is another one")


CHECKS: dict[str, Callable[[Path, Path], None]] = {
    "evaluate": lambda undisturbed, found: check_same(found / "run", undisturbed / "run"),
    "stats": check_stats,
    "gate": check_accepted,
}

SIEGE = Siege("kills", trial, ("killed", "stopped", "ended before"), prepare, trials=500, seconds=120)

if __name__ == "__main__":
    main(SIEGE)
