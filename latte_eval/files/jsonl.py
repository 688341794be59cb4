"""Files that grow by lines: what two jobs append at the same time is not lost; lines are read with their numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from latte_eval.core.errors import StoreError
from latte_eval.files.whole_files import locked


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append whole lines under a lock, so that two jobs at the same time lose nothing. Raises `StoreError`."""
    text = "".join(line + "\n" for line in lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path), path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers, from 1. Raises `StoreError`; `what` names them.

    Only a newline ends a line: names may hold other characters that Python's `splitlines` takes for ends of lines.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {what} from {path}: {error}") from error
    return [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
