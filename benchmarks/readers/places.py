"""Where clips lie: a folder on disk or a zip archive, both as folders of named files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError, StoreError, UsageError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".avi", ".mkv", ".webm", ".mov", ".gif", ".mpg", ".mpeg")
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")

# A member beyond either limit is a zip bomb or a mistake; video and image files hardly compress.
MOST_BYTES = 8 * 2**30
MOST_INFLATION, INFLATION_FLOOR = 100, 64 * 2**20

# What Python raises for an archive or member that is damaged, has a password, or is packed in an unknown way.
UNREADABLE = (OSError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error)


@dataclass(frozen=True)
class File:
    """A file as it is listed.

    Attributes:
        name: its name within its folder.
        size: in bytes.
        stamp: time of its last change on disk, checksum in an archive: it changes when the file does.
    """

    name: str
    size: int
    stamp: int


@dataclass
class Folder:
    """A folder on disk.

    Attributes:
        root: paths of files are relative to it, with `/`.
        rejected: folders and files that could not be listed; `folders` adds them.
    """

    root: Path
    rejected: list[Rejected] = field(default_factory=list)

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """Relative path of every folder below the root, itself included, with its files; hidden ones are left out.

        Links to folders are followed once. Raises `ClipError` if the root cannot be listed.
        """
        waiting, seen = [""], set()
        while waiting:
            folder = waiting.pop()
            try:
                status = (self.root / folder).stat()
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                below, files = self.listing(folder)
            except OSError as error:
                if folder == "":
                    raise ClipError(f"cannot read {self.root}: {error.strerror}") from error
                self.rejected.append(Rejected(printable(folder), f"cannot be read: {error.strerror}"))
                continue
            waiting += [join(folder, name) for name in sorted(below, reverse=True)]
            yield folder, files

    def listing(self, folder: str) -> tuple[list[str], list[File]]:
        """Names of the folders and the files in one folder."""
        below, files = [], []
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                try:
                    status = entry.stat()
                except OSError as error:
                    path = printable(join(folder, entry.name))
                    self.rejected.append(Rejected(path, f"broken link: {error.strerror}"))
                    continue
                if stat.S_ISDIR(status.st_mode):
                    below.append(entry.name)
                elif stat.S_ISREG(status.st_mode):
                    files.append(File(entry.name, status.st_size, status.st_mtime_ns))
        return below, files

    def open_file(self, path: str) -> IO[bytes]:
        """One file for reading. Raises `OSError`."""
        return (self.root / path).open("rb")

    def local(self, path: str) -> AbstractContextManager[Path]:
        """A path on disk that leads to one file, for as long as the context is open."""
        return nullcontext(self.root / path)


@dataclass
class ZipFolder:
    """A zip archive, or a folder within one; its members are read from the archive, which is never unpacked.

    Names of members are names only and never become paths on disk, so a name such as `../x` does no harm.

    Attributes:
        root: path of the archive.
        archive: the opened archive.
        members: its files by their path below the folder that counts.
        rejected: always empty: an archive either lists all its names or cannot be opened at all.
    """

    root: Path
    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]
    rejected: list[Rejected] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, within: str = "") -> ZipFolder:
        """List an archive. Raises `ClipError` for a file that is no readable archive.

        Where the archive of a folder holds that folder (`data.zip` with `data/...`), paths begin below it, as they
        would on disk.
        """
        try:
            archive = zipfile.ZipFile(path)
        except UNREADABLE as error:
            raise ClipError(f"{path} is not a readable zip archive: {error}") from error
        members = {name: info for name, info in named_members(archive).items() if not name.endswith("/")}
        prefix = (within.strip("/") or path.stem) + "/"
        if within or all(name.startswith(prefix) or is_stray(name) for name in members):
            members = {name.removeprefix(prefix): members[name] for name in members if name.startswith(prefix)}
        return cls(path, archive, members)

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """As `Folder.folders`."""
        grouped: dict[str, list[File]] = {"": []}
        for path, info in self.members.items():
            folder, _, name = path.rpartition("/")
            if not is_stray(path):
                grouped.setdefault(folder, []).append(File(name, info.file_size, info.CRC))
        yield from grouped.items()

    def open_file(self, path: str) -> IO[bytes]:
        """One member for reading. Raises `ClipError` for one that is damaged, has a password or is absurdly large."""
        info, name = self.members[path], path.rpartition("/")[2]
        if info.file_size > MOST_BYTES or info.file_size > max(INFLATION_FLOOR, MOST_INFLATION * info.compress_size):
            raise ClipError(f"{name} is refused: {info.file_size:,} bytes unpacked from {info.compress_size:,}")
        try:
            return self.archive.open(info)
        except UNREADABLE as error:
            raise ClipError(f"{name} cannot be unpacked: {error}") from error

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """One member as a temporary file. Raises `ClipError` as `open_file`, `StoreError` where there is no room."""
        with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as file:
            try:
                with self.open_file(path) as member:
                    shutil.copyfileobj(member, file)
                file.flush()
            except UNREADABLE as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise StoreError(f"no room in {tempfile.gettempdir()} to unpack {path} of {self.root}") from error
                raise ClipError(f"cannot be unpacked: {error}") from error
            yield Path(file.name)


Place = Folder | ZipFolder


def open_place(path: Path, within: str = "") -> Place:
    """A folder or a zip archive. Raises `UsageError` for a path that does not exist, `ClipError` for another file."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except OSError as error:
        raise ClipError(f"cannot read {path}: {error.strerror}") from error
    if is_folder:
        return Folder(path / within)
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        raise ClipError(f"{path} is neither a folder nor a zip archive; name the folder that holds the videos")
    return ZipFolder.open(path, within)


def named_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What an archive holds, by path; those of folders end in `/`. Backslashes of old Windows tools become `/`."""
    return {info.filename.replace("\\", "/").lstrip("/"): info for info in archive.infolist()}


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name was left by the system and holds no data of the user."""
    return name.startswith(".") or name == "__MACOSX"


def is_stray(path: str) -> bool:
    """Whether any part of a member's name is hidden; `..` counts as hidden."""
    return any(is_hidden(part) for part in path.split("/"))


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def printable(path: str) -> str:
    """A path that can be printed and hashed, whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
