"""Small files by which processes on several machines tell each other who does what.

Nothing here needs locks: a file is made by one process only (`create`) and taken away by one only (`move`). The file
systems that clusters share promise both.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from latte_eval.core.errors import StoreError
from latte_eval.files.whole_files import unfinished_path, write_replaceable


class SharedFiles(Protocol):
    """What claims need of a file system; a simulation has one of its own."""

    def create(self, path: Path, data: bytes) -> bool:
        """Make a file with these bytes; False where it exists already."""

    def read(self, path: Path) -> bytes | None:
        """The bytes of a file; None where it is absent."""

    def replace(self, path: Path, data: bytes) -> None:
        """Give a file new bytes."""

    def move(self, path: Path, to: Path) -> bool:
        """Rename a file, without replacing another; False where it is absent, or another process was first."""

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""

    def names(self, folder: Path) -> list[str]:
        """The names in a folder; none where it is absent."""


class DiskFiles:
    """`SharedFiles` on a disk or a network file system. Raises `StoreError`."""

    def create(self, path: Path, data: bytes) -> bool:
        """The file appears with its bytes, by a hard link; where a file system has none, first empty."""
        partial = unfinished_path(path)
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(data)
                os.link(partial, path)
                return True
            except FileExistsError:
                return False
            except (NotImplementedError, OSError):
                return create_exclusively(path, data)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)

    def read(self, path: Path) -> bytes | None:
        with told(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def replace(self, path: Path, data: bytes) -> None:
        write_replaceable(path, data)

    def move(self, path: Path, to: Path) -> bool:
        with told(path):
            try:
                path.rename(to)
            except FileNotFoundError:
                return False
            return True

    def remove(self, path: Path) -> None:
        with told(path):
            path.unlink(missing_ok=True)

    def names(self, folder: Path) -> list[str]:
        with told(folder):
            try:
                return [path.name for path in folder.iterdir()]
            except FileNotFoundError:
                return []


def create_exclusively(path: Path, data: bytes) -> bool:
    """Make a file that is empty for a moment; False where it exists. Raises `OSError`."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Faults of the file system as `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot share work by {path}: {error.strerror}; what was finished before is kept") from error
