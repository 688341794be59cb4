"""Files that grow by lines: what two jobs append at the same time is not lost; lines are read with their numbers."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import TypeVar

from latte_eval.core.errors import StoreError, TornLine
from latte_eval.core.notices import notice
from latte_eval.files.locks import locked
from latte_eval.files.pipes import is_waiting_pipe
from latte_eval.files.whole_files import to_disk

T = TypeVar("T")


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append whole lines under a lock, so that two jobs at once lose nothing.

    Half a line at the end, which a stopped job left, is closed first: nothing is glued to it. Raises `StoreError` where
    the lines cannot be written whole, as on a full disk: then none of them is in the file.
    """
    append_chosen(path, lambda: lines)


def append_chosen(path: Path, choose: Callable[[], Sequence[str]]) -> None:
    """As `append_lines`, for the lines that `choose` gives once the lock is held: it may look at those in the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            text = "".join(line + "\n" for line in choose())
            with path.open("ab", buffering=0) as file:
                write_or_undo(file, ("\n" * (bool(text) and ends_in_half_a_line(path)) + text).encode())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; what was in it is kept") from error


def write_or_undo(file: FileIO, data: bytes) -> None:
    """Append all bytes and bring them to the disk; where that fails, cut the file back to its length before."""
    before = os.fstat(file.fileno())
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        to_disk(file.fileno())
    except BaseException:
        if stat.S_ISREG(before.st_mode):
            file.truncate(before.st_size)
        raise


def ends_in_half_a_line(path: Path) -> bool:
    """Whether a file does not end with a newline; a pipe or a terminal has no end."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers, from 1. Raises `StoreError`; `what` names them.

    Only a newline ends a line: names may hold other characters that Python's `splitlines` takes for ends of lines.
    """
    if is_waiting_pipe(path):
        raise StoreError(f"{path} is a named pipe; give a file, or <(command)")
    try:
        lines = [decode(line) for line in path.read_bytes().split(b"\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {what} from {path}: {error}") from error
    return [(n, line) for n, line in enumerate(lines, 1) if line.strip()]


def decode(line: bytes) -> str:
    """A line as text; one that was cut within a letter too. Raises `UnicodeDecodeError` for what is no UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise
        return line.decode(errors="replace")


def parse_lines(path: Path, what: str, parse: Callable[[str, int], T], newest_counts: bool = False) -> list[T]:
    """What `parse` makes of the lines of a file and their numbers. A torn line is passed over with a notice.

    Raises `StoreError`; also for a torn line at the end where the newest counts, for it may be that one.
    """
    found, lines = [], read_lines(path, what)
    for number, line in lines:
        try:
            found.append(parse(line, number))
        except TornLine as error:
            if newest_counts and number == lines[-1][0]:
                raise TornLine(f"{error}, so what is newest cannot be told; write it again or delete it") from error
            notice(f"{error}: it is passed over")
    return found
