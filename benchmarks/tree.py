"""Looking around in a folder or a zip archive without reading pixels."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from latte_eval.core.errors import ClipError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".avi", ".mkv", ".webm", ".mov", ".gif", ".mpg", ".mpeg")
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


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
                shown = [entry for entry in entries if not entry.name.startswith(".")]
                folders = sorted(entry.name for entry in shown if entry.is_dir())
                return folders, sorted(entry.name for entry in shown if not entry.is_dir())
        except OSError as error:
            raise ClipError(f"cannot read {self.root / folder}: {error.strerror}") from error

    def has_folder(self, folder: str) -> bool:
        return (self.root / folder).is_dir()

    def videos(self, folder: str = "") -> Iterator[str]:
        """Paths below `folder` of what would be one video each: a video file, or a folder that holds frames.

        Sub-folders that cannot be read are passed over. Raises `ClipError` if `folder` itself cannot.
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
    """Names inside a zip archive."""

    def __init__(self, root: Path):
        super().__init__(root)
        self.folders: dict[str, set[str]] = defaultdict(set)
        self.files: dict[str, set[str]] = defaultdict(set)
        try:
            with zipfile.ZipFile(root) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise ClipError(f"cannot read {root}: {error}") from error
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        path = PurePosixPath(name)
        if any(part.startswith((".", "__MACOSX")) for part in path.parts):
            return
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
    return "" if str(path) == "." else str(path)


def open_tree(root: Path) -> Tree:
    """A folder or a zip archive. Raises `ClipError` for anything else."""
    if root.is_dir():
        return Tree(root)
    if not root.exists():
        raise ClipError(f"{root} does not exist")
    if root.suffix.lower() != ".zip":
        raise ClipError(f"{root} is neither a folder nor a zip archive")
    return ZipTree(root)
