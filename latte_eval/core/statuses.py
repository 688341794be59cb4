"""Exit statuses of the command line: the one table. Help, docs, workflows and tests read it."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What a command exits with. A job may rely on 1 being a regression and nothing else."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    NOT_COMPARABLE = 3
    INCONCLUSIVE = 4
    FAILED = 5
    FAULT = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
    TERMINATED = 143  # 128 + SIGTERM


MEANINGS: dict[Status, str] = {
    Status.OK: "success; gate: pass, the new value is not worse than the rule allows",
    Status.REGRESSION: "gate: regression; no other command and no failure exits so",
    Status.USAGE: "usage; gate: also a rule tighter than the budget can tell, and the output offers one",
    Status.NOT_COMPARABLE: "not comparable: what decides a value differs, and each field is named",
    Status.INCONCLUSIVE: "gate: inconclusive, the truth is too near the line for this budget",
    Status.FAILED: "it could not be done (file, checkpoint, network, memory); data check, doctor: something is wrong",
    Status.FAULT: "a fault of latte-eval itself; stderr names the file with the traceback",
    Status.INTERRUPTED: "stopped from the keyboard; the same command continues",
    Status.TERMINATED: "stopped by SIGTERM, as schedulers send it; the same command continues",
}


def statuses_to_text() -> str:
    """The table, one line a status."""
    return "\n".join(f"{status:>5}  {meaning}" for status, meaning in MEANINGS.items())
