"""Two commands in turns, each turn a process that starts anew: imports, weights, reading, network, distance."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from latte_eval.benchmarks.speed.measured import Measured, Timed, relative
from latte_eval.core.errors import LatteEvalError

# A side for one turn: `make()` gives its command. It must not find what an earlier turn computed.
MakeCommand = Callable[[], "Command"]


def last_value(stdout: str) -> float:
    """The entry `value` of the last line, which is JSON."""
    return float(json.loads(stdout.splitlines()[-1])["value"])


@dataclass(frozen=True)
class Command:
    """What to run, and how to read its value from what it printed."""

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    value: Callable[[str], float] = last_value


def cold_turns(ours: MakeCommand, theirs: MakeCommand, turns: int) -> Measured:
    """Run both in turns. Raises `LatteEvalError` for a command that fails."""
    runs = [(run(ours()), run(theirs())) for _ in range(turns)]
    fast, slow = (joined(list(side)) for side in zip(*runs, strict=True))
    assert fast.value is not None and slow.value is not None
    return Measured(fast, slow, relative(fast.value, slow.value))


def run(command: Command) -> Timed:
    """Seconds, memory and value of one process."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command.arguments, stdout=out, stderr=err, env={**os.environ, **command.environment})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            last = (err.read().strip().splitlines() or ["it said nothing"])[-1]
            raise LatteEvalError(f"{' '.join(command.arguments[:3])} ended with status {process.returncode}: {last}")
        busy = usage.ru_utime + usage.ru_stime
        return Timed([seconds], command.value(out.read()), usage.ru_maxrss // 1024, (busy,))


def joined(runs: list[Timed]) -> Timed:
    """The turns of one side together; the value is that of the last."""
    peaks = [each.peak_mib for each in runs if each.peak_mib is not None]
    seconds, busy = ([second for each in runs for second in getattr(each, name)] for name in ("seconds", "cpu_seconds"))
    return Timed(seconds, runs[-1].value, max(peaks, default=None), tuple(busy))
