"""Checkpoints that a run folder has seen: one that has other bytes under its old name is told.

    RUN/checkpoints.jsonl   a line a checkpoint: path, size, time of change (ns), sha256, when it was seen (UTC)

Most formats of weights have no checksum. A bit that flips after the first use would load as other weights.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from latte_eval.core.errors import CheckpointError, StoreError, TornLine
from latte_eval.core.notices import notice
from latte_eval.core.processes import rank
from latte_eval.files.jsonl import append_lines, parse_lines

SEEN = "checkpoints.jsonl"


@dataclass(frozen=True)
class Seen:
    """A checkpoint as it was.

    Attributes:
        path: absolute.
        size: bytes of its files.
        time: of the last change of any of them, in nanoseconds.
        when: it was seen, UTC.
    """

    path: str
    size: int
    time: int
    sha256: str
    when: str


def note_seen(run: Path, checkpoint: Path, files: list[Path], sha256: str) -> None:
    """Write down that a run folder saw a checkpoint; one process does it.

    A file that was written anew since then is another checkpoint, and a notice says so. With the size and the time that
    it had, it is damaged.

    Raises:
        CheckpointError: it is damaged.
        StoreError: the run folder cannot be read or written.
    """
    if rank():
        return
    states, record = [file.stat() for file in files], run / SEEN
    size, time = sum(each.st_size for each in states), max(each.st_mtime_ns for each in states)
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    now = Seen(str(checkpoint.absolute()), size, time, sha256, when)
    before = newest(record, now.path)
    if before and before.sha256 == sha256:
        return
    if before and (before.size, before.time) == (now.size, now.time):
        raise CheckpointError(
            f"{checkpoint} is damaged: it has other bytes than on {before.when} (sha256 {sha256[:12]}, then "
            f"{before.sha256[:12]}), with the same size and time of change. Copy or download it again; if it is meant "
            f"to be another file, delete {record}"
        )
    if before:
        notice(
            f"{checkpoint} is not the file that this run folder saw on {before.when}: sha256 {sha256[:12]}, then "
            f"{before.sha256[:12]}. If nobody wrote it anew, it is damaged"
        )
    append_lines(record, [json.dumps(dataclasses.asdict(now))])


def newest(record: Path, path: str) -> Seen | None:
    """How a checkpoint was when it was seen last. Raises `StoreError`."""
    if not record.exists():
        return None
    lines = parse_lines(record, "checkpoints", lambda line, number: parse_seen(line, f"{record} line {number}"))
    return next((each for each in reversed(lines) if each.path == path), None)


def parse_seen(line: str, where: str) -> Seen:
    """One line, checked."""
    try:
        return Seen(**json.loads(line))
    except json.JSONDecodeError as error:
        raise TornLine(f"{where} is not a whole JSON line ({error.msg}); it was cut or edited") from error
    except TypeError as error:
        raise StoreError(f"{where} is no checkpoint that was seen; delete the line") from error
