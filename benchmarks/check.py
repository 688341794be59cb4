"""Is this folder the right thing? What `data check` finds out before anybody waits for a number."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from latte_eval.benchmarks.dataset import WHOLE, Copy, Dataset, Found, read_split_lists, video_name
from latte_eval.benchmarks.readers.entries import Entry, class_of
from latte_eval.benchmarks.readers.images import Size
from latte_eval.benchmarks.readers.listing import find_entries
from latte_eval.benchmarks.readers.opening import open_place
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.reading import entry_size, read_entry, video_length
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

# A folder is a known copy where at least this share of its videos has the frame size of that copy.
COPY_SHARE = 0.95

Progress = Callable[[int], None]
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Video:
    """One video that could be read: its name, length, frame size (width, height) and class."""

    path: str
    frames: int
    size: Size
    class_name: str | None = None


@dataclass(frozen=True)
class Report:
    """What was found in a folder.

    Attributes:
        benchmark: what it was checked for.
        found: where the clips are.
        protocol: what it has to serve.
        videos: those that can be read, in order of path.
        unreadable: those that cannot, and folders that could not be listed.
        dropped: videos that the benchmark leaves out by name.
        empty: folders that hold nothing.
        others: files that are neither videos nor frames.
        listed: official list -> (videos of it that are there, videos in it).
    """

    benchmark: Dataset
    found: Found
    protocol: Protocol
    videos: list[Video]
    unreadable: list[Rejected]
    dropped: list[str]
    empty: list[str]
    others: int
    listed: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def needed(self) -> int:
        """Frames that a video must have."""
        return self.protocol.frames * self.protocol.real_stride

    @property
    def usable(self) -> list[Video]:
        return [video for video in self.videos if video.frames >= self.needed]

    @property
    def too_short(self) -> list[Video]:
        return [video for video in self.videos if video.frames < self.needed]

    @property
    def sizes(self) -> dict[Size, int]:
        """Videos by frame size, most frequent first."""
        return dict(Counter(video.size for video in self.videos).most_common())

    @property
    def missing_classes(self) -> list[str]:
        present = {video.class_name for video in self.usable}
        return [name for name in self.benchmark.classes if name not in present]

    @property
    def copy(self) -> Copy | None:
        """The known copy that this is, if nearly all videos have its frame size."""
        size, count = next(iter(self.sizes.items()), ((0, 0), 0))
        return self.benchmark.copies.get(size) if count >= COPY_SHARE * len(self.videos) else None

    @property
    def comparable(self) -> str:
        """What a distance measured on it can be compared with."""
        if self.found.split != self.benchmark.real_split:
            return f"numbers against the {self.found.split} split; the published rows take {self.benchmark.real_split}"
        if self.copy is None:
            return "nothing published: no known copy has frames of this size"
        expected = self.benchmark.expected.get(self.found.split)
        if expected is None:
            uncounted = f"no count is published, so nobody can tell whether {len(self.usable):,} videos are all"
            return f"{self.copy.comparable}; {uncounted}"
        if len(self.usable) < min(WHOLE * expected, self.protocol.real_clips or expected):
            return f"nothing published: {len(self.usable):,} videos where {expected:,} are expected"
        return self.copy.comparable

    @property
    def problems(self) -> list[str]:
        """Why the folder cannot serve the benchmark; empty where it can."""
        problems = []
        if len(self.usable) < 2:
            problems.append(f"{len(self.usable)} usable videos; a distance needs at least 2")
        if self.missing_classes:
            count = len(self.benchmark.classes)
            found = f"{count - len(self.missing_classes)} of {count} classes found"
            problems.append(f"{found}; missing {names(self.missing_classes)}")
        return problems

    @property
    def serves(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        expected = self.benchmark.expected.get(self.found.split)
        lengths = [video.frames for video in self.videos]
        return {
            "benchmark": self.benchmark.name,
            "path": str(self.found.path),
            "within": self.found.within,
            "layout": self.found.layout.title,
            "split": self.found.split,
            "listed": {name: list(counts) for name, counts in self.listed.items()},
            "videos": len(self.videos),
            "expected": expected,
            "usable": len(self.usable),
            "frames": {"total": sum(lengths), "shortest": min(lengths, default=0), "longest": max(lengths, default=0),
                       "median": statistics.median(lengths) if lengths else 0},
            "sizes": {f"{width}x{height}": count for (width, height), count in self.sizes.items()},
            "missing_classes": self.missing_classes,
            "too_short": {video.path: video.frames for video in self.too_short},
            "unreadable": {each.path: each.reason for each in self.unreadable},
            "left_out": self.dropped,
            "empty_folders": self.empty,
            "other_files": self.others,
            "copy": self.copy.title if self.copy else None,
            "comparable": self.comparable,
            "problems": self.problems,
            "serves": self.serves,
        }  # fmt: skip


def names(values: list[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


@dataclass(frozen=True)
class Inspection:
    """A benchmark's folder that has been found and listed, before its videos are looked at."""

    benchmark: Dataset
    found: Found
    root: Path
    place: Place
    entries: list[Entry]
    folders: dict[str, bool]  # whether each holds files
    others: int

    @classmethod
    def open(cls, benchmark: Dataset, root: Path, split: str | None = None) -> Inspection:
        """List the folder or zip archive that a person names.

        Raises:
            ClipError: it holds nothing that could be the benchmark, or another split, or another dataset.
        """
        found = benchmark.locate(root, split)
        place = open_place(found.path, found.within)
        listing = list(place.folders())
        listed = find_entries(place, listing)
        folders = {name: bool(files) for name, files in listing}
        return cls(benchmark, found, root, place, listed.entries, folders, sum(listed.unused.values()))

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def kept(self) -> list[Entry]:
        """The entries that count."""
        return [entry for entry in self.entries if self.found.keeps(entry.path)]

    def report(self, decode: bool = False, progress: Progress = lambda count: None) -> Report:
        """Look at every video.

        Args:
            decode: decode every frame too, which finds damage that headers do not show.
            progress: called with how many more videos have been looked at.
        """
        videos, unreadable = examine(self.benchmark, self.place, self.kept, decode, progress)
        left_out = [entry.path for entry in self.entries if not self.found.keeps(entry.path)]
        return Report(
            benchmark=self.benchmark,
            found=self.found,
            protocol=self.benchmark.protocol(),
            videos=videos,
            unreadable=[*self.place.rejected, *unreadable],
            dropped=sorted(left_out) if self.found.only is None else [],
            empty=sorted(empty_folders(self.folders)),
            others=self.others,
            listed=listed_videos(self.root, self.entries) if self.benchmark.classes else {},
        )


def examine(
    benchmark: Dataset, place: Place, entries: list[Entry], decode: bool, progress: Progress
) -> tuple[list[Video], list[Rejected]]:
    """Length, size and class of every entry, and those that cannot be read."""
    videos, unreadable = list[Video](), list[Rejected]()
    outcomes = side_by_side(lambda entry: look(place, entry, decode), entries, progress)
    for entry, outcome in zip(entries, outcomes, strict=True):
        if isinstance(outcome, Rejected):
            unreadable.append(outcome)
        else:
            videos.append(Video(entry.path, *outcome, class_name=class_name(benchmark, entry)))
    return sorted(videos, key=lambda video: video.path), unreadable


def side_by_side(
    work: Callable[[Item], Outcome], items: Iterable[Item], progress: Progress, jobs: int | None = None
) -> Iterator[Outcome]:
    """`work` on every item in threads, outcomes in order. An error or an interrupt leaves the rest undone."""
    pool = ThreadPoolExecutor(jobs or os.cpu_count())
    try:
        for outcome in pool.map(work, items):
            progress(1)
            yield outcome
    finally:
        pool.shutdown(cancel_futures=True)


def look(place: Place, entry: Entry, decode: bool) -> tuple[int, Size] | Rejected:
    """Length and frame size of one entry, or why it cannot be read."""
    try:
        length, size = probe(place, entry)
        if decode:
            for _ in decoded(place, entry, length):
                pass
        return length, size
    except (ClipError, OSError) as error:
        return Rejected(entry.path, str(error))


def probe(place: Place, entry: Entry) -> tuple[int, Size]:
    """Length and frame size of one entry, from headers. Raises `ClipError` or `OSError`."""
    if entry.kind == "frames":
        size = entry_size(place, entry)
        return video_length(place, entry), size
    return video_length(place, entry), entry_size(place, entry)


def decoded(place: Place, entry: Entry, length: int) -> Iterator[Any]:
    """All frames of one entry, in order. # each [H, W, 3] uint8"""
    yield from read_entry(place, entry, range(length), check=False)


def class_name(benchmark: Dataset, entry: Entry) -> str | None:
    """The class of a video: the folder around it, else the class within a name such as v_Archery_g01_c01."""
    labels = {name: i for i, name in enumerate(benchmark.classes)}
    label = class_of(entry, labels)
    if label is not None:
        return benchmark.classes[label]
    parts = video_name(entry.path).split("_")
    lowered = {name.lower(): name for name in benchmark.classes}
    return lowered.get(parts[1].lower()) if len(parts) > 2 else None


def empty_folders(folders: Mapping[str, bool]) -> Iterator[str]:
    """Folders without files that hold no other folder either."""
    parents = {folder.rpartition("/")[0] for folder in folders if folder}
    return (folder for folder, filled in folders.items() if folder and not filled and folder not in parents)


def listed_videos(root: Path, entries: list[Entry]) -> dict[str, tuple[int, int]]:
    """How many videos of the official train and test lists are there, for the lists that are found."""
    present = {video_name(entry.path) for entry in entries}
    return {split: (len(listed & present), len(listed)) for split, listed in read_split_lists(root).items()}
