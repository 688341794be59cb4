"""Files that are whole or absent, even if several processes write them at the same time."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from latte_eval.core.errors import AbsentFile, StoreError

T = TypeVar("T")

# What the names of unfinished files end with.
UNFINISHED = ".partial"


def unfinished_path(path: Path) -> Path:
    """A name beside `path` that no other process takes, on any machine."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{UNFINISHED}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename. Raises `StoreError`, leaving nothing behind.

    The bytes reach the disk before the name does: a machine that loses power leaves the old file or the new one.
    """
    write_and_place(path, data, put_in_place)


def write_replaceable(path: Path, data: bytes) -> None:
    """As `write_whole`, without the wait for the disk (10 ms): for one of many files that are made again at once."""
    write_and_place(path, data, Path.replace)


def write_and_place(path: Path, data: bytes, place: Callable[[Path, Path], object]) -> None:
    """Write a file beside `path`, which `place` renames; a pipe is written as it is. Raises `StoreError`."""
    partial = unfinished_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe, a terminal, /dev/null
            path.write_bytes(data)
            return
        partial.write_bytes(data)
        place(partial, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; what was finished before is kept") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def put_in_place(partial: Path, path: Path) -> None:
    """Give a finished file, or a folder, its name: all bytes are on the disk before. Raises `OSError`."""
    for finished in [partial] if partial.is_file() else sorted(partial.rglob("*")):
        if finished.is_file():
            with finished.open("rb+") as file:
                to_disk(file.fileno())
    if partial.is_dir():
        folder_to_disk(partial)
    partial.replace(path)
    folder_to_disk(path.parent)


def to_disk(file: int) -> None:
    """Wait until the bytes of an open file are on the disk. Pipes and terminals have none. Raises `OSError`."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def folder_to_disk(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can tell."""
    with contextlib.suppress(OSError):  # Windows opens no folders, and some network file systems refuse
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def patiently(read: Callable[[], T], seconds: float = 2.0) -> T:
    """What `read` gives, once it finds its file: another job may take it away for a moment, to look at it.

    Raises `AbsentFile` where it is still not there after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(AbsentFile):
            return read()
        time.sleep(0.02)
    return read()


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
