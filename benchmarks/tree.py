"""Listing a folder or a zip archive without reading pixels."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from latte_eval.benchmarks.readers.places import (
    FRAME_SUFFIXES,
    UNREADABLE,
    VIDEO_SUFFIXES,
    archive_problem,
    is_hidden,
    is_stray,
    named_members,
)
from latte_eval.core.errors import ClipError


class Tree:
    """Names below a folder on disk.

    Args:
        root: a folder. `open_tree` takes archives too.
    """

    def __init__(self, root: Path):
        self.root = root

    def listing(self, folder: str) -> tuple[list[str], list[str]]:
        """Sorted names of the sub-folders and of the files of one folder, hidden ones left out.

        Raises `ClipError` for a folder that is absent or cannot be read.
        """
        try:
            with os.scandir(self.root / folder) as entries:
                shown = [entry for entry in entries if not is_hidden(entry.name)]
                folders = sorted(entry.name for entry in shown if entry.is_dir())
                return folders, sorted(entry.name for entry in shown if not entry.is_dir())
        except OSError as error:
            raise ClipError(f"cannot read {self.root / folder}: {error.strerror}") from error

    def has_folder(self, folder: str) -> bool:
        return (self.root / folder).is_dir()

    def videos(self, folder: str = "") -> Iterator[str]:
        """Paths below `folder` of what would be one video each: a video file, or a folder that holds frames.

        Sub-folders that cannot be read are left out. Raises `ClipError` if `folder` itself cannot.
        """
        folders, files = self.listing(folder)
        prefix = PurePosixPath(folder)
        if any(name.lower().endswith(FRAME_SUFFIXES) for name in files):
            yield folder
        yield from (str(prefix / name) for name in files if name.lower().endswith(VIDEO_SUFFIXES))
        for name in folders:
            with suppress(ClipError):
                yield from self.videos(str(prefix / name))


class ZipTree(Tree):
    """Names inside a zip archive.

    Args:
        root: the archive, which `open` reads.
        names: paths of its members; those of folders end in `/`.
    """

    def __init__(self, root: Path, names: Iterable[str]):
        super().__init__(root)
        self.folders: dict[str, set[str]] = defaultdict(set)
        self.files: dict[str, set[str]] = defaultdict(set)
        for name in names:
            self.add(name)

    @classmethod
    def open(cls, root: Path) -> ZipTree:
        """List an archive, hidden members left out. Raises `ClipError` for one that cannot be read."""
        try:
            with zipfile.ZipFile(root) as archive:
                return cls(root, [name for name in named_members(archive) if not is_stray(name)])
        except UNREADABLE as error:
            raise ClipError(f"cannot read {root}: {archive_problem(root, error)}") from error

    def add(self, name: str) -> None:
        """Note a member and the folders around it."""
        path = PurePosixPath(name)
        if not name.endswith("/"):
            self.files[folder_key(path.parent)].add(path.name)
            path = path.parent
        while path.name:
            self.folders[folder_key(path.parent)].add(path.name)
            path = path.parent

    def listing(self, folder: str) -> tuple[list[str], list[str]]:
        key = folder_key(PurePosixPath(folder))
        return sorted(self.folders.get(key, ())), sorted(self.files.get(key, ()))

    def has_folder(self, folder: str) -> bool:
        path = PurePosixPath(folder)
        return path.name == "" or path.name in self.folders.get(folder_key(path.parent), ())


def folder_key(path: PurePosixPath) -> str:
    """The path of a folder as the key that `ZipTree` keeps it under: the root is empty."""
    return "" if str(path) == "." else str(path)


def open_tree(root: Path) -> Tree:
    """A folder or a zip archive. Raises `ClipError` for anything else."""
    if root.exists() and not (root.is_dir() or root.is_file()):
        raise ClipError(f"{root} is a pipe or a device: videos are read more than once, from files")
    if root.is_dir():
        return Tree(root)
    if not root.exists():
        raise ClipError(f"{root} does not exist")
    if root.suffix.lower() != ".zip":
        raise ClipError(f"{root} is neither a folder nor a zip archive")
    return ZipTree.open(root)
