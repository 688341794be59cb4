"""Tar archives as places, also the shards of a WebDataset: members are read where they lie, nothing is unpacked."""

from __future__ import annotations

import io
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from latte_eval.benchmarks.readers.array_files import Stretch
from latte_eval.benchmarks.readers.faults import refuse_fault
from latte_eval.benchmarks.readers.places import File, Place, is_stray, pieces_of
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError

# Bytes that are copied at a time.
CHUNK_BYTES = 2**22

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True)
class Member:
    """Where a file lies in an uncompressed archive: bytes start..start+size."""

    archive: Path
    start: int
    size: int
    time: int


@dataclass
class TarFolder:
    """The files of one or more uncompressed tar archives.

    Attributes:
        root: the archive, or the folder of shards.
        members: its files by path; those of shards lie below the name of their shard.
        rejected: archives that cannot be read.
        repeated: always empty: links within archives are not followed.
    """

    root: Path
    members: dict[str, Member]
    rejected: list[Rejected] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """As `Folder.folders`."""
        grouped: dict[str, list[File]] = {}
        for path, member in self.members.items():
            folder, _, name = path.rpartition("/")
            grouped.setdefault(folder, []).append(File(name, member.size, member.time))
        yield from grouped.items()

    def open_file(self, path: str) -> IO[bytes]:
        """One member for reading, held in memory: for images, which are small. Raises `OSError`."""
        member = self.members[path]
        with member.archive.open("rb") as file:
            file.seek(member.start)
            return io.BytesIO(file.read(member.size))

    def content(self, path: str) -> bytes:
        """As `Folder.content`."""
        member = self.members[path]
        with member.archive.open("rb") as file:
            return pieces_of(file, member.start, member.size)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """One member as a temporary file. Raises `OSError`."""
        member = self.members[path]
        with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as target, member.archive.open("rb") as file:
            file.seek(member.start)
            for start in range(0, member.size, CHUNK_BYTES):
                target.write(file.read(min(CHUNK_BYTES, member.size - start)))
            target.flush()
            yield Path(target.name)


def stretch_of(place: Place, path: str) -> Stretch:
    """Where the bytes of a file of a folder or a tar archive lie. Raises `OSError`."""
    if isinstance(place, TarFolder):
        member = place.members[path]
        return Stretch(member.archive, member.start, member.size)
    return Stretch.whole(place.root / path)


def open_tar(path: Path) -> TarFolder:
    """One tar archive. Where it holds one folder of its own name, paths begin below that, as for a zip archive.

    Raises `ClipError` for one that is compressed or cannot be read.
    """
    if path.suffix.lower() != ".tar":
        raise ClipError(
            f"{path} is compressed: no video in it can be reached without unpacking all before it; "
            f"type mkdir videos && tar -xf {path} -C videos, and name that folder"
        )
    members, problem = list_members(path)
    if not members:
        raise ClipError(f"{path} is not a readable tar archive: {problem or 'it holds no files'}")
    prefix = f"{path.stem}/"
    if all(name.startswith(prefix) for name in members):
        members = {name.removeprefix(prefix): member for name, member in members.items()}
    return TarFolder(path, members, [Rejected(path.name, problem)] if problem else [])


def open_shards(folder: Path, shards: Sequence[Path]) -> TarFolder:
    """Tar archives that lie in one folder, as WebDataset writes them. Those that cannot be read are in `rejected`."""
    place = TarFolder(folder, {})
    for shard in shards:
        members, problem = list_members(shard)
        place.members |= {f"{shard.stem}/{name}": member for name, member in members.items()}
        if problem:
            place.rejected.append(Rejected(shard.name, problem))
    return place


def list_members(path: Path) -> tuple[dict[str, Member], str]:
    """The whole files of an archive by path, hidden ones left out, and what is wrong with it, or nothing.

    Raises `MachineFault`.
    """
    members: dict[str, Member] = {}
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                name = posixpath.normpath(info.name).lstrip("/")
                if not info.isreg() or info.issparse() or is_stray(name):
                    continue
                if info.offset_data + info.size > size:
                    return members, f"is cut short: {name} ends at byte {info.offset_data + info.size:,} of {size:,}"
                members[name] = Member(path, info.offset_data, info.size, int(info.mtime))
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        refuse_fault(error, path.name)
        return members, f"cannot be read to its end: {error}"
    return members, ""
