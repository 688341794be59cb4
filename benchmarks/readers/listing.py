"""Which files are one video: a video file, or all frames in one folder. And what else lies there."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from PIL import UnidentifiedImageError

from latte_eval.benchmarks.readers import decoders
from latte_eval.benchmarks.readers.animations import MOVING_SUFFIXES, moves
from latte_eval.benchmarks.readers.array_files import IN_ARCHIVES
from latte_eval.benchmarks.readers.arrays import ARRAY_SUFFIXES, count_videos
from latte_eval.benchmarks.readers.entries import Entry, natural_key
from latte_eval.benchmarks.readers.faults import faults_refused
from latte_eval.benchmarks.readers.images import DAMAGE
from latte_eval.benchmarks.readers.judging import judged
from latte_eval.benchmarks.readers.places import (
    FRAME_SUFFIXES,
    VIDEO_SUFFIXES,
    File,
    Folder,
    Place,
    join,
    printable,
)
from latte_eval.benchmarks.readers.sequences import find_frames
from latte_eval.benchmarks.readers.tars import TarFolder, stretch_of
from latte_eval.core.errors import ClipError

# What reads files of these suffixes, which no reader here does.
FFMPEG, UNPACK = "ffmpeg -i IN OUT.mp4 converts it", "unpack it, or name it alone"
WHAT_READS = {
    **dict.fromkeys((".rm", ".rmvb", ".dv", ".nut", ".264", ".h264", ".265", ".h265", ".hevc", ".obu", ".mj2"), FFMPEG),
    **dict.fromkeys((".heic", ".heif"), "pillow-heif reads it"), ".exr": "OpenEXR reads it",
    ".tfrecord": "TensorFlow reads it",
    ".mat": "scipy.io reads it",
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"), UNPACK),
}  # fmt: skip


# Answers a question, in JSON types, about a file that has to be opened for it; the text says which, and how it is now.
Look = Callable[[str, Callable[[], Any]], Any]


@dataclass
class Listing:
    """What listed folders hold.

    Attributes:
        entries: what should be one video each.
        unused: suffix -> number of files that belong to no entry.
        beside: images beside video files.
        about: images among frames that are no frames, such as covers.
        look: gives the answer that another process of this run found, or asks.
    """

    entries: list[Entry] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    beside: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)
    look: Look = field(default=lambda at, ask: ask(), repr=False)

    def add_folder(self, place: Place, folder: str, files: Sequence[File]) -> None:
        """Note the video files directly in a folder, or else its images as one video, or else its arrays."""
        images = [file for file in files if has_suffix(file, FRAME_SUFFIXES)]
        moving = moving_suffixes(place, folder, images, self.look)
        videos = [file for file in files if has_suffix(file, (*VIDEO_SUFFIXES, *moving))]
        images = [file for file in images if not has_suffix(file, moving)]
        for file in videos:
            self.entries.append(Entry(printable(join(folder, file.name)), "video", folder, (file.name,), stamp([file])))
        if videos:
            self.beside += [printable(join(folder, file.name)) for file in images]
        elif images:
            self.add_frames(folder, {file.name: file for file in images})
        arrays = [file for file in files if has_suffix(file, array_suffixes(place)) and not videos and not images]
        for file in arrays:
            self.add_array(place, folder, file)
        known = {file.name for file in (*videos, *images, *arrays)}
        self.unused += Counter(suffix_of(file) for file in files if file.name not in known)
        self.unused += Counter(map(suffix_of, images)) if videos else Counter()

    def add_frames(self, folder: str, images: dict[str, File]) -> None:
        """Note the images of one folder by name: one video, and what is no frame of it."""
        found = find_frames(list(images))
        mark = stamp([images[name] for name in found.names], found.problem)
        self.entries.append(Entry(printable(folder) or ".", "frames", folder, found.names, mark, found.problem))
        self.about += [printable(join(folder, name)) for name in found.others]
        self.unused += Counter(suffix_of(images[name]) for name in found.others)

    def add_array(self, place: Place, folder: str, file: File) -> None:
        """Note the videos of one array file.

        Where a person named that file and nothing else, they are called by their numbers alone: so an array gives the
        same clips and the same interval from a file of any name and format, and from memory.
        """
        array, alone = getattr(place, "array", ""), getattr(place, "is_one_array", False)
        path = printable(join(folder, file.name)) + (f":{array}" if array else "")
        entry = Entry(path, "array", folder, (file.name,), stamp([file]), array=array)
        count, problem = self.look(f"videos in {path} {entry.stamp}", lambda: count_or_problem(place, entry))
        for number in range(count):
            many = f"{number:06d}" if alone else f"{path}/{number:06d}"
            name = path if problem or (count == 1 and not alone) else many
            mark = stamp([file], problem + array)
            self.entries.append(dataclasses.replace(entry, path=name, stamp=mark, problem=problem, number=number))

    @property
    def counts(self) -> str:
        """Suffixes of the files that were not used, with their numbers and what would read them."""
        hints = {suffix: f" ({WHAT_READS[suffix]})" for suffix in self.unused if suffix in WHAT_READS}
        return ", ".join(f"{count:,} {suffix}{hints.get(suffix, '')}" for suffix, count in self.unused.most_common())

    @property
    def notes(self) -> list[str]:
        """What a person should know of the files that were not used."""
        notes = [f"not used: {self.counts}"] if self.unused else []
        for paths, what in ((self.beside, "beside video files: not taken for frames"),
                            (self.about, "among frames without being one, by their names")):  # fmt: skip
            if paths:
                notes.append(f"{len(paths):,} images {what} (such as {paths[0]})")
        return notes


def find_entries(place: Place, folders: Iterable[tuple[str, list[File]]], look: Look | None = None) -> Listing:
    """Every entry in listed folders of a place, and what else they hold. Raises `MachineFault`."""
    listing = Listing(look=look) if look else Listing()
    for folder, files in folders:
        listing.add_folder(place, folder, files)
    return listing


def count_or_problem(place: Place, entry: Entry) -> tuple[int, str]:
    """How many videos an array file holds, and nothing; or one, and why it cannot be used. Raises `MachineFault`."""
    found = judged(place, entry, lambda: count_in(place, entry))
    return (1, str(found)) if isinstance(found, ClipError) else (found, "")


def count_in(place: Place, entry: Entry) -> int:
    """How many videos an array file holds, all of its values looked at. Raises `ClipError` and `OSError`."""
    return count_videos(stretch_of(place, entry.files[0]), entry.array, posixpath.splitext(entry.names[0])[1])


def array_suffixes(place: Place) -> tuple[str, ...]:
    """Suffixes of arrays that can be mapped where they lie: in a zip archive none can."""
    return ARRAY_SUFFIXES if isinstance(place, Folder) else IN_ARCHIVES if isinstance(place, TarFolder) else ()


def moving_suffixes(place: Place, folder: str, images: Sequence[File], look: Look) -> tuple[str, ...]:
    """Suffixes of the images in one folder of which the first has several frames: each such image is a video."""
    first: dict[str, File] = {}
    for file in sorted(images, key=lambda file: natural_key(file.name)):
        first.setdefault(suffix_of(file), file)
    known = {suffix: file for suffix, file in first.items() if suffix in MOVING_SUFFIXES}
    return tuple(suffix for suffix, file in known.items() if look(
        f"moves {printable(join(folder, file.name))} {file.size} {file.stamp}", partial(file_moves, place, folder, file)
    ))  # fmt: skip


def file_moves(place: Place, folder: str, file: File) -> bool:
    """Whether an image has several frames; False for one that is damaged, which examining it will say.

    Raises `MachineFault`.
    """
    path = join(folder, file.name)
    try:
        with faults_refused(printable(path)):
            return has_frames(place, path)
    except (ClipError, MemoryError, *DAMAGE):
        return False


def has_frames(place: Place, path: str) -> bool:
    """The same. Raises one of `DAMAGE` where it cannot be read, `ClipError` and `MachineFault`."""
    try:
        with place.open_file(path) as handle:
            return moves(handle)
    except UnidentifiedImageError:  # of a format whose decoder reads the header
        with place.local(path) as local:
            return decoders.count_frames(local, printable(path)) > 1


def suffix_of(file: File) -> str:
    """The suffix of a file in small letters, or words where it has none."""
    return printable(posixpath.splitext(file.name)[1].lower()) or "without suffix"


def has_suffix(file: File, suffixes: tuple[str, ...]) -> bool:
    return file.name.lower().endswith(suffixes)


def stamp(files: Iterable[File], problem: str = "") -> str:
    """A hash that changes when a file is added, removed, renamed or written; never that of a folder with a problem."""
    listing = "\n".join(f"{printable(file.name)}\t{file.size}\t{file.stamp}" for file in files)
    return hashlib.sha256((listing + problem).encode()).hexdigest()
