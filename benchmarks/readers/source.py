"""What a person names as videos (a folder, an archive, a list, one file) as clips."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.benchmarks.readers import decord_frames
from latte_eval.benchmarks.readers.choices import (
    file_decoder_identity,
    file_decoder_record,
    fingerprinted,
    gives_one,
    honoured_fields,
)
from latte_eval.benchmarks.readers.entries import Entry, class_of, number_classes, selection_key
from latte_eval.benchmarks.readers.examined import Known, known_of
from latte_eval.benchmarks.readers.examining import facts_to_windows, workers
from latte_eval.benchmarks.readers.frames import Size
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.judging import judged
from latte_eval.benchmarks.readers.listing import Listing
from latte_eval.benchmarks.readers.opening import open_place
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.prepare import of_side
from latte_eval.benchmarks.readers.reading import Window, entry_size, read_windows
from latte_eval.benchmarks.readers.unusable import meant_as_images, nothing_usable, other_size
from latte_eval.benchmarks.readers.windows import TooShort, takes_any
from latte_eval.core.clips import Clips, Rejected, stack_clips
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol
from latte_eval.core.stages import Batch, Stage
from latte_eval.files.h264 import from_frames
from latte_eval.files.team import Team

# Increase this when a change in this package changes a pixel or a choice.
STEP_VERSION = 1

# Videos that are examined together.
CHUNK = 64

# Candidates for each clip that is wanted, where every window of every video is one: others are damaged.
SPARE = 2


@dataclass(frozen=True)
class Found:
    """A batch on its way from indices to clips.

    Attributes:
        known: the candidates among the indices.
        rejected: videos that were examined for it and could not be used.
        clips: what was read of every candidate, [T, H, W, 3] uint8, or why it could not be.
    """

    known: list[int]
    rejected: list[Rejected]
    clips: dict[int, np.ndarray | ClipError] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class FolderSource:
    """The videos of a place, such as a folder or an archive, as a `ClipSource`; candidates in the order of choice.

    A video is a video file (mp4, avi, mkv, webm, gif and so on) or a folder of frames (jpg, png and so on), at any
    depth. Each is examined before it becomes a candidate: it must be readable, as long as its container says, long
    enough, and have frames of one size. What fails is in `rejected` with its reason. Damage that shows only in decoding
    is found by `clips`, which decodes every video once, as far as `CHECKED_FRAMES` in reading.py says.

    Clips come without the lossy steps of the protocol: each says in `passed` which of them its files have been through,
    and `latte_eval.evaluation.stored.StoredSource` applies the others.

    `open` lists and examines a folder. The constructor takes what was listed and reads nothing.

    Attributes:
        path: the place, as it was given.
        place: where the files are read.
        entries: what should be videos, in the order in which they are chosen.
        protocol: windows, sizes and selection.
        seed: chooses videos and offsets where the protocol says `seeded`.
        side: `real` or `fake`.
        label_of: class name -> label; empty where there are no labels.
        listing: what the folder holds besides: files that are neither videos nor frames.
        progress: called with how many more videos have been examined.
        known: what was found out before.
        rejected: videos that could not be used so far, in the order in which that was found.
        windows: the candidates among the first `examined` entries.
        too_short: why videos were too short, one per such video.
        sound: entries that have been decoded without finding damage.
        own_size: shape of the clips where the protocol takes them at their own size; empty until one was read.
    """

    path: Path
    place: Place
    entries: list[Entry]
    protocol: Protocol
    seed: int
    side: str
    label_of: dict[str, int] = field(default_factory=dict)
    listing: Listing = field(default_factory=Listing)
    progress: Callable[[int], None] = lambda count: None
    rejected: list[Rejected] = field(default_factory=list)
    known: Known = field(default_factory=Known)
    windows: list[Window] = field(default_factory=list, init=False)
    too_short: list[TooShort] = field(default_factory=list, init=False)
    sound: set[Entry] = field(default_factory=set, init=False)
    examined: int = field(default=0, init=False)
    own_size: tuple[int, ...] = field(default=(), init=False)
    lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @classmethod
    def open(
        cls,
        path: str | Path | Place,
        protocol: Protocol,
        seed: int,
        side: str,
        wanted: int | None = None,
        *,
        classes: Sequence[str] = (),
        within: str = "",
        keep: Callable[[str], bool] = lambda path: True,
        progress: Callable[[int], None] = lambda count: None,
        team: Team | None = None,
    ) -> FolderSource:
        """List a place, and examine its videos.

        Args:
            path: whatever `open_place` takes: a folder, an archive, one video, a list of videos; or a place that is
                open already, such as arrays in this process.
            protocol: windows, sizes, storage and selection.
            seed: chooses videos and offsets where the protocol says `seeded`.
            side: `real` or `fake`.
            wanted: examine videos only until there are this many candidates; further ones are examined when they are
                asked for. None examines all. It changes no clip.
            classes: names of class folders; a clip is labelled by the innermost one around it. Where some videos lie
                in such folders, the others are rejected; where none does, there are no labels.
            within: the part of `path` that counts.
            keep: which videos count, by relative path; the others are as if they were not there.
            progress: called with how many more videos have been examined.
            team: the processes of a run, whose folder keeps what was found out; None keeps nothing.

        Raises:
            UsageError: the path does not exist, or the protocol's decoder is not installed.
            ClipError: the path cannot be read, holds no videos, or none that can be used.
            MachineFault: something that was listed cannot be read, and its bytes are not to blame.
            NotEnoughClips: every video is too short.
        """
        place = open_place(Path(path), within) if isinstance(path, str | Path) else path
        path = Path(str(path))
        with known_of(place, path, within, protocol, side, team) as known:
            listing = known.listing(place)
            entries = known.with_content(place, [entry for entry in listing.entries if keep(entry.path)])
            entries.sort(key=lambda entry: selection_key(protocol.real_selection, seed, entry, 0))
            numbers, rejected = number_classes(classes, entries), list(place.rejected)
            source = cls(path, place, entries, protocol, seed, side, numbers, listing, progress, rejected, known)
            if protocol.decoder == "decord" and source.has_video_files:
                decord_frames.check_installed()
            source.examine_first(wanted)
        return source

    def examine_first(self, wanted: int | None) -> None:
        """Examine videos until there are `wanted` candidates, or all, and put the candidates in order.

        Raises `ClipError` or `NotEnoughClips` where there is none.
        """
        one_each = gives_one(self.protocol, self.side)
        self.examine(max(1, wanted) if wanted is not None and one_each else None)
        self.windows.sort(key=self.order)
        if not self.windows:
            raise nothing_usable(self)

    def order(self, window: Window) -> tuple[object, ...]:
        """Where a window stands among the candidates."""
        return selection_key(self.protocol.real_selection, self.seed, window.entry, window.number)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, or None where there are no labels."""
        return tuple(self.label_of) or None

    @property
    def name(self) -> str:
        """The path, as it was given."""
        return str(self.path)

    @property
    def ignored(self) -> int:
        """Number of files that are neither videos nor frames of one."""
        return sum(self.listing.unused.values())

    @property
    def has_video_files(self) -> bool:
        """Whether any of the videos is a file, not a folder of frames."""
        return any(entry.kind == "video" for entry in self.entries)

    @property
    def about(self) -> dict[str, Any]:
        """What a result says about the files: how many were not used, by suffix, and what decodes video files."""
        ignored = {"ignored": dict(self.listing.unused.most_common())} if self.ignored else {}
        held = self.place.about if isinstance(self.place, HeldVideos) else {}
        decoder = {"decoder": file_decoder_record(self.protocol)} if self.has_video_files else {}
        return {**ignored, **held, **decoder}

    @property
    def notes(self) -> list[str]:
        """What a person should know of the folder before its clips are measured."""
        linked = [f"{folder} leads to {first or 'the folder itself'} again: counted once"
                  for folder, first in self.place.repeated]  # fmt: skip
        return [*self.listing.notes, *linked, *([self.advice] if self.advice else [])]

    @property
    def advice(self) -> str:
        """What to do where all there is are images in one folder, which may be meant as a set of images; or nothing."""
        return meant_as_images(self.entries)

    @property
    def named_storage(self) -> tuple[str, ...]:
        """The storage steps of this side. The fingerprint includes them, so features of earlier versions are found."""
        return self.protocol.real_storage if self.side == "real" else self.protocol.fake_storage

    def first_size(self) -> Size | None:
        """Width and height of the frames of the first candidate, as they are stored; None where they cannot be read."""
        entry = self.windows[0].entry
        found = judged(self.place, entry, lambda: entry_size(self.place, entry))
        return None if isinstance(found, ClipError) else found

    @property
    def honours(self) -> frozenset[str]:
        """Fields of the protocol, storage and counts apart, that shape its clips."""
        return honoured_fields(self.protocol, self.side, self.has_video_files)

    @property
    def fingerprint(self) -> str:
        """sha256 of the listing (path, size and time of every file, or its checksum in an archive, and what
        content.py reads of it), the choices of the protocol that matter on this side, the seed, the decoder of video
        files and the version of this step."""
        choices = fingerprinted(self.protocol, self.side)
        listing = sorted((entry.path, entry.kind, entry.stamp) for entry in self.entries)
        parts = ["folder", STEP_VERSION, self.side, self.seed, choices, self.classes, listing]
        parts += file_decoder_identity(self.protocol) if self.has_video_files else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class of every candidate, videos that have not been examined yet included; None without classes."""
        if self.classes is None:
            return None
        entries = [*(window.entry for window in self.windows), *self.entries[self.examined :]]
        return tuple(label for entry in entries if (label := class_of(entry, self.label_of)) is not None)

    def __len__(self) -> int:
        """Number of candidates; every video that has not been examined yet counts as one."""
        return len(self.windows) + len(self.entries) - self.examined

    def groups(self, indices: Sequence[int]) -> list[str]:
        """The relative path of the video that each clip belongs to."""
        return [self.windows[index].entry.path for index in indices]

    def identities(self, indices: Sequence[int]) -> list[str]:
        """The path, the frames and the stamp of each candidate's video; empty text where there is no such candidate.

        The fingerprint covers every file, but not which of them could be read: that decides what number a clip has.
        """
        self.examine(max(indices, default=-1) + 1)
        return [self.windows[index].identity if index < len(self.windows) else "" for index in indices]

    def clips(self, indices: Sequence[int]) -> Clips:  # -> [N, T, 3, H, W] uint8
        """The clips of these candidates, in order. Damaged ones are left out and added to `rejected`.

        Raises `ClipError` where the protocol takes frames at their own size and the videos have different sizes, and
        `MachineFault`.
        """
        return self.taken(self.read(self.find(indices))).clips

    def clip_stages(self) -> tuple[Stage, ...]:
        """Videos are examined in order and clips taken in order; between, those of two batches are read at once."""
        return (
            Stage(lambda indices, given, workers: self.find(indices), beside=False),
            Stage(lambda indices, found, workers: self.read(found, workers), at_once=2),
            Stage(lambda indices, read, workers: self.taken(read), at_once=0),
        )

    def find(self, indices: Sequence[int]) -> Found:
        """Which of these candidates there are; examines further videos where that is not known."""
        rejected: list[Rejected] = []
        self.examine(max(indices, default=-1) + 1, rejected)
        return Found([index for index in indices if index < len(self.windows)], rejected)

    def taken(self, found: Found) -> Batch:
        """The clips that were read; what could not be used is noted. Raises `ClipError` for another size."""
        before = len(self.rejected)
        self.rejected += found.rejected
        read = found.clips
        good = [(i, clip) for i in found.known if (clip := self.accepted(self.windows[i], read[i])) is not None]
        windows = [self.windows[i] for i, _ in good]
        labels = [label for each in windows if (label := class_of(each.entry, self.label_of)) is not None]
        clips = Clips(
            self.stack([clip for _, clip in good]),
            tuple(i for i, _ in good),
            tuple(labels) or None,
            tuple(window.passed for window in windows),
        )
        return Batch(clips, tuple(self.rejected[before:]))

    def stack(self, clips: list[np.ndarray]) -> Tensor:  # [T, H, W, 3] uint8 each -> [N, T, 3, H, W] uint8
        """The clips as one batch; an empty one has the size of the protocol."""
        if clips:
            return stack_clips([from_frames(clip) for clip in clips])
        size = self.protocol.size or 1
        return torch.empty((0, self.protocol.frames, 3, size, size), dtype=torch.uint8)

    def read(self, found: Found, pool: Executor | None = None) -> Found:
        """The same with the windows of these candidates, each video in one pass and videos side by side."""
        videos: dict[Entry, list[int]] = {}
        for index in found.known:
            videos.setdefault(self.windows[index].entry, []).append(index)

        protocol = of_side(self.protocol, self.side)

        def read_video(entry: Entry) -> dict[int, np.ndarray | ClipError]:
            own = videos[entry]
            windows = [self.windows[index] for index in own]
            self.known.check_content(self.place, entry)
            clips = read_windows(self.place, windows, protocol, check=entry not in self.sound)
            if not any(isinstance(clip, ClipError) for clip in clips):
                self.sound.add(entry)
            return dict(zip(own, clips, strict=True))

        with workers(len(videos)) if pool is None else nullcontext(pool) as readers:
            clips = {index: clip for clips in readers.map(read_video, videos) for index, clip in clips.items()}
        return dataclasses.replace(found, clips=clips)

    def accepted(self, window: Window, clip: np.ndarray | ClipError) -> np.ndarray | None:
        """The clip, or None where it could not be read, which is noted once. Raises `ClipError` for another size."""
        if isinstance(clip, ClipError):
            rejected = Rejected(window.entry.path, str(clip))
            if rejected not in self.rejected:
                self.rejected.append(rejected)
            return None
        self.own_size = self.own_size or clip.shape
        if clip.shape != self.own_size:
            raise other_size(self.path, self.own_size, window.entry.path, clip.shape)
        return clip

    def examine(self, count: int | None, rejected: list[Rejected] | None = None) -> None:
        """Examine further videos until there are `count` candidates, or all of them.

        What cannot be used is added to `rejected`, by default to that of the source.
        """
        rejected = self.rejected if rejected is None else rejected
        with self.lock:
            while self.examined < len(self.entries) and (count is None or len(self.windows) < count):
                chunk = self.entries[self.examined : self.examined + CHUNK]
                with workers(len(chunk)) as pool:
                    for entry, outcome in zip(chunk, pool.map(self.windows_of, chunk), strict=True):
                        self.note(entry, outcome, rejected)
                self.examined += len(chunk)
                self.drop_last()
                self.progress(len(chunk))

    def drop_last(self) -> None:
        """Keep no more windows than may be asked for, where each of a video's hundreds is a candidate."""
        most = SPARE * (self.protocol.real_clips or 0) if takes_any(self.protocol, self.side) else 0
        if 0 < most < len(self.windows):
            self.windows = heapq.nsmallest(most, self.windows, key=self.order)

    def note(self, entry: Entry, outcome: list[Window] | ClipError, rejected: list[Rejected]) -> None:
        """Take the windows of an examined video, or the reason why it has none."""
        if isinstance(outcome, list):
            self.windows += outcome
            return
        rejected.append(Rejected(entry.path, str(outcome)))
        if isinstance(outcome, TooShort):
            self.too_short.append(outcome)

    def windows_of(self, entry: Entry) -> list[Window] | ClipError:
        """Examine one video: its windows, or the reason why it has none. Raises `MachineFault`."""
        if self.classes and class_of(entry, self.label_of) is None:
            return ClipError(f"in none of the {len(self.classes)} class folders")
        if entry.problem:
            return ClipError(entry.problem)
        facts = self.known.facts(self.place, entry, self.protocol, self.side)
        settings = self.protocol, self.side, self.seed
        return facts if isinstance(facts, ClipError) else facts_to_windows(entry, facts, *settings)
