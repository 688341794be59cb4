"""Files that are whole or absent, even if several processes write them at the same time."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from latte_eval.core.errors import StoreError, first_line
from latte_eval.core.notices import notice

# What the names of unfinished files end with.
UNFINISHED = ".partial"


def unfinished_path(path: Path) -> Path:
    """A name beside `path` that no other process takes, on any machine."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{UNFINISHED}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename. Raises `StoreError`, leaving nothing behind."""
    partial = unfinished_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; what was finished before is kept") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file: an empty file `.NAME.lock` beside it, which stays.

    Some network file systems have no locks, and some folders cannot be written: then the work goes on without, which is
    safe for one writer at a time, and a notice says so.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with contextlib.ExitStack() as held:
        refused: Exception | None = None
        try:
            held.enter_context(lock)
        except (OSError, NotImplementedError) as error:
            refused = error
        yield
    if refused:
        notice(f"{path} was written without a lock ({first_line(refused)}): one job at a time may write it")


def check_writable(path: Path) -> None:
    """Raise `StoreError` if `path` could not be written as a file: asked before the work whose outcome it will hold."""
    if path.is_dir():
        raise StoreError(f"cannot write {path}: it is a folder")
    try:
        make_writable(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def make_writable(folder: Path) -> None:
    """Make a folder if it is absent, and write to it once. Raises `OSError` where that cannot be done."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = unfinished_path(folder / "writable")
    probe.touch()
    probe.unlink()
