"""Where clips lie: a folder on disk or a zip archive, both as folders of named files."""

from __future__ import annotations

import errno
import lzma
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from latte_eval.benchmarks.readers.faults import refuse_fault
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".avi", ".mkv", ".webm", ".mov", ".qt", ".gif", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".ts",
    ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogg", ".y4m", ".ivf", ".mxf", ".apng",
)  # fmt: skip
FRAME_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".avif", ".tga",
)  # fmt: skip

# A member beyond either limit is a zip bomb or a mistake; video and image files hardly compress.
MOST_BYTES = 8 * 2**30
MOST_INFLATION, INFLATION_FLOOR = 100, 64 * 2**20

# Bytes that are read at the head, the middle and the tail of a file to tell it from another.
PIECE = 4096

# Why a link leads nowhere.
BROKEN_LINK = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)

# What Python raises for an archive or member that is damaged, has a password, or is packed in an unknown way.
UNREADABLE = (OSError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError)


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
        rejected: links that lead nowhere; `folders` adds them.
        repeated: (folder, where it was seen first) for folders that links lead to again; `folders` adds them.
    """

    root: Path
    rejected: list[Rejected] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """Relative path of every folder below the root, itself included, with its files; hidden ones are left out.

        Links to folders are followed once. Raises `ClipError` if the root cannot be listed, `MachineFault` if another
        folder cannot.
        """
        waiting, seen = [""], dict[tuple[int, int], str]()
        while waiting:
            folder = waiting.pop()
            try:
                status = (self.root / folder).stat()
                first = seen.setdefault((status.st_dev, status.st_ino), folder)
                if first != folder:
                    self.repeated.append((folder, first))
                    continue
                below, files = self.listing(folder)
            except OSError as error:
                if folder == "":
                    raise ClipError(f"cannot read {self.root}: {error.strerror}") from error
                refuse_fault(error, printable(folder))
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
                    if not (entry.is_symlink() and error.errno in BROKEN_LINK):
                        refuse_fault(error, path)
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

    def content(self, path: str) -> bytes:
        """Bytes from the head, the middle and the tail of a file: they differ where a file was replaced by another of
        the same size and time. Raises `OSError`."""
        with self.open_file(path) as file:
            return pieces_of(file, 0, file.seek(0, os.SEEK_END))

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
        rejected, repeated: always empty: an archive has no links, and its names can be listed or it cannot be opened.
    """

    root: Path
    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]
    rejected: list[Rejected] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, within: str = "") -> ZipFolder:
        """List an archive. Raises `ClipError` for a file that is no readable archive, and `MachineFault`.

        Where the archive of a folder holds that folder (`data.zip` with `data/...`), paths begin below it, as they
        would on disk.
        """
        try:
            archive = zipfile.ZipFile(path)
        except UNREADABLE as error:
            refuse_fault(error, str(path))
            raise ClipError(f"{path} is not a readable zip archive: {archive_problem(path, error)}") from error
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

    def content(self, path: str) -> bytes:
        """Nothing: the checksum of a member is in its stamp."""
        return b""

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """One member as a temporary file. Raises `ClipError` as `open_file`, `MachineFault` where there is no room."""
        with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as file:
            try:
                with self.open_file(path) as member:
                    shutil.copyfileobj(member, file)
                file.flush()
            except UNREADABLE as error:
                refuse_fault(error, f"{path} of {self.root}")
                raise ClipError(f"cannot be unpacked: {error}") from error
            yield Path(file.name)


class Place(Protocol):
    """Where files lie: `Folder`, `ZipFolder`, or `TarFolder` of tars.py."""

    root: Path
    rejected: list[Rejected]
    repeated: list[tuple[str, str]]

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """Relative path of every folder, with its files."""

    def open_file(self, path: str) -> IO[bytes]:
        """One file for reading."""

    def content(self, path: str) -> bytes:
        """Bytes that change with the content of a file; none where its stamp does."""

    def local(self, path: str) -> AbstractContextManager[Path]:
        """A path on disk that leads to one file, for as long as the context is open."""


def pieces_of(file: IO[bytes], start: int, size: int) -> bytes:
    """The head, the middle and the tail of the bytes start..start+size of a file, `PIECE` bytes each."""
    pieces = []
    for offset in (0, size // 2, max(0, size - PIECE)):
        file.seek(start + offset)
        pieces.append(file.read(min(PIECE, size - offset)))
    return b"".join(pieces)


def archive_problem(path: Path, error: Exception) -> str:
    """What is wrong with a zip archive. The list of its members stands at its end: a cut one has lost that first."""
    with suppress(OSError), path.open("rb") as file:
        if isinstance(error, zipfile.BadZipFile) and file.read(4) == b"PK\3\4":
            size = file.seek(0, os.SEEK_END)
            return f"it is cut short: it ends after {size:,} bytes without the list of its files; copy it again"
    return str(error)


def named_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What an archive holds, by path; those of folders end in `/`. Backslashes of old Windows tools become `/`."""
    return {info.filename.replace("\\", "/").lstrip("/"): info for info in archive.infolist()}


# Characters that end a line or steer a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name was left by the system and holds no data of the user."""
    return name.startswith(".") or name == "__MACOSX"


def is_stray(path: str) -> bool:
    """Whether any part of a member's name is hidden; `..` counts as hidden."""
    return any(is_hidden(part) for part in path.split("/"))


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def printable(path: str) -> str:
    """A path that can be printed on one line and hashed, whatever bytes its name holds."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
