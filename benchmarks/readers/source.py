"""A folder or zip archive of videos as clips."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from latte_eval.benchmarks.readers.entries import Entry, class_of, find_entries, number_classes, selection_key
from latte_eval.benchmarks.readers.frames import common_size
from latte_eval.benchmarks.readers.places import open_place
from latte_eval.benchmarks.readers.prepare import has_target_size, storage_steps
from latte_eval.benchmarks.readers.reading import Window, read_windows, video_length
from latte_eval.benchmarks.readers.windows import TooShort, frame_indices, side_stride, window_starts
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import ClipError, LatteEvalError, NotEnoughClips
from latte_eval.core.protocol import Protocol
from latte_eval.files.h264 import from_frames

# Counts up when a change in this package changes a pixel or a choice.
STEP_VERSION = 1

# Videos that are examined together.
CHUNK = 64


class FolderSource:
    """The videos of a folder or zip archive as a `ClipSource`, candidates in the order in which they are chosen.

    A video is a video file (mp4, m4v, avi, mkv, webm, mov, gif, mpg) or a folder of frames (jpg, png), at any depth.
    Each is examined before it becomes a candidate: readable, as long as its container says, long enough, frames of
    one size. What fails is in `rejected` with its reason. Damage that shows only in decoding is found by `clips`, which
    decodes a video to its end once.

    Args:
        path: a folder or a zip archive.
        protocol: windows, sizes, storage and selection.
        seed: chooses videos and offsets where the protocol says `seeded`.
        side: `real` or `fake`.
        wanted: examine videos only until there are this many candidates; further ones are examined when asked for.
            None examines all. It changes no clip.
        classes: names of class folders; a clip is labelled by the innermost one around it. Where some videos lie in
            such folders the others are rejected; where none does there are no labels.
        within: the part of `path` that counts.
        keep: which videos count, by relative path; the others are as if they were not there.
        progress: called with how many more videos have been examined.

    Attributes:
        rejected: videos that could not be used so far, in the order in which that was found.
        ignored: number of files that are neither videos nor frames.
        classes: names of the classes, or None where there are no labels.

    Raises:
        UsageError: the path does not exist.
        ClipError: the path cannot be read, holds no videos, or none that can be used.
        NotEnoughClips: every video is too short.
    """

    def __init__(
        self,
        path: str | Path,
        protocol: Protocol,
        seed: int,
        side: str,
        wanted: int | None = None,
        *,
        classes: Sequence[str] = (),
        within: str = "",
        keep: Callable[[str], bool] = lambda path: True,
        progress: Callable[[int], None] = lambda count: None,
    ):
        self.path, self.protocol, self.seed, self.side = Path(path), protocol, seed, side
        self.progress, self.lock = progress, threading.Lock()
        self.place = open_place(self.path, within)
        found, self.ignored = find_entries(self.place.folders())
        self.entries = sorted((entry for entry in found if keep(entry.path)), key=self.order)
        self.rejected: list[Rejected] = list(self.place.rejected)
        self.label_of = number_classes(classes, self.entries)
        self.classes = tuple(self.label_of) or None
        self.windows: list[Window] = []
        self.too_short: list[TooShort] = []
        self.sound: set[Entry] = set()
        self.examined = 0
        self.own_size: tuple[int, ...] = ()
        self.examine(max(1, wanted) if wanted is not None and protocol.windows == "one" else None)
        self.windows.sort(key=lambda window: self.order(window.entry, window.number))
        if not self.windows:
            raise nothing_usable(self)

    @property
    def name(self) -> str:
        """The path, as it was given."""
        return str(self.path)

    @property
    def fingerprint(self) -> str:
        """sha256 of the listing (path, size and time of every file, or its checksum in an archive), the choices of
        the protocol that matter on this side, the seed and the version of this step."""
        fields = ["frames", "size", "windows", "crop", "resample", "real_selection", f"{self.side}_stride"]
        fields += [f"{self.side}_storage", *(["real_offset"] if self.side == "real" else [])]
        choices = {field: getattr(self.protocol, field) for field in fields}
        listing = sorted((entry.path, entry.kind, entry.stamp) for entry in self.entries)
        parts = ["folder", STEP_VERSION, self.side, self.seed, choices, self.classes, listing]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class of every candidate, those counted that have not been examined yet; None without classes."""
        if self.classes is None:
            return None
        entries = [*(window.entry for window in self.windows), *self.entries[self.examined :]]
        return tuple(label for entry in entries if (label := class_of(entry, self.label_of)) is not None)

    def __len__(self) -> int:
        """Candidates, those counted that have not been examined yet."""
        return len(self.windows) + len(self.entries) - self.examined

    def groups(self, indices: Sequence[int]) -> list[str]:
        """The relative path of the video that each clip belongs to."""
        return [self.windows[index].entry.path for index in indices]

    def clips(self, indices: Sequence[int]) -> Clips:  # -> [N, T, 3, H, W] uint8
        """The clips of these candidates, in order. Damaged ones are left out and added to `rejected`.

        Raises `ClipError` where the protocol takes frames at their own size and videos differ in it.
        """
        self.examine(max(indices, default=-1) + 1)
        known = [index for index in indices if index < len(self.windows)]
        read = self.read(known)
        good = [(i, clip) for i in known if (clip := self.accepted(self.windows[i], read[i])) is not None]
        size = self.protocol.size or 1
        pixels = torch.empty((0, self.protocol.frames, 3, size, size), dtype=torch.uint8)
        if good:
            pixels = torch.stack([from_frames(clip) for _, clip in good])
        labels = [class_of(self.windows[i].entry, self.label_of) for i, _ in good]
        return Clips(pixels, tuple(i for i, _ in good), tuple(n for n in labels if n is not None) or None)

    def read(self, indices: Sequence[int]) -> dict[int, np.ndarray | ClipError]:
        """The windows of these candidates, each video in one pass and videos side by side."""
        videos: dict[Entry, list[int]] = {}
        for index in indices:
            videos.setdefault(self.windows[index].entry, []).append(index)

        def read_video(entry: Entry) -> dict[int, np.ndarray | ClipError]:
            own = videos[entry]
            windows = [self.windows[index] for index in own]
            clips = read_windows(self.place, windows, self.protocol, check=entry not in self.sound)
            if not any(isinstance(clip, ClipError) for clip in clips):
                self.sound.add(entry)
            return dict(zip(own, clips, strict=True))

        with workers(len(videos)) as pool:
            return {index: clip for clips in pool.map(read_video, videos) for index, clip in clips.items()}

    def accepted(self, window: Window, clip: np.ndarray | ClipError) -> np.ndarray | None:
        """The clip, or None where it could not be read, which is noted once. Raises `ClipError` for another size."""
        if isinstance(clip, ClipError):
            rejected = Rejected(window.entry.path, str(clip))
            if rejected not in self.rejected:
                self.rejected.append(rejected)
            return None
        self.own_size = self.own_size or clip.shape
        if clip.shape != self.own_size:
            (_, height, width, _), (_, other_height, other_width, _) = self.own_size, clip.shape
            raise ClipError(
                f"videos in {self.path} are {width}x{height} and {other_width}x{other_height} ({window.entry.path}); "
                f"bring them to one size with, for example, --param size={min(height, width)}"
            )
        return clip

    def examine(self, count: int | None) -> None:
        """Examine further videos until there are `count` candidates, or all of them."""
        with self.lock:
            while self.examined < len(self.entries) and (count is None or len(self.windows) < count):
                chunk = self.entries[self.examined : self.examined + CHUNK]
                with workers(len(chunk)) as pool:
                    for entry, outcome in zip(chunk, pool.map(self.windows_of, chunk), strict=True):
                        self.note(entry, outcome)
                self.examined += len(chunk)
                self.progress(len(chunk))

    def note(self, entry: Entry, outcome: list[Window] | ClipError) -> None:
        """Take the windows of an examined video, or the reason why it has none."""
        if isinstance(outcome, list):
            self.windows += outcome
            return
        self.rejected.append(Rejected(entry.path, str(outcome)))
        if isinstance(outcome, TooShort):
            self.too_short.append(outcome)

    def windows_of(self, entry: Entry) -> list[Window] | ClipError:
        """Examine one video: its windows, or the reason why it has none."""
        if self.classes and class_of(entry, self.label_of) is None:
            return ClipError(f"in none of the {len(self.classes)} class folders")
        try:
            length = video_length(self.place, entry)
            starts = window_starts(length, self.protocol, self.side, self.seed, entry.identity)
            at_size = entry.kind == "frames" and has_target_size(*common_size(self.place, entry), self.protocol)
        except ClipError as error:
            return error
        except OSError as error:
            return ClipError(f"cannot be read: {error.strerror}")
        steps = storage_steps(entry.kind, at_size, self.side, self.protocol)
        frames, stride = self.protocol.frames, side_stride(self.protocol, self.side)
        return [Window(entry, n, frame_indices(start, frames, stride), steps) for n, start in enumerate(starts)]

    def order(self, entry: Entry, window: int = 0) -> tuple[object, ...]:
        """Where a window stands among the candidates."""
        return selection_key(self.protocol.real_selection, self.seed, entry, window)


def workers(jobs: int) -> ThreadPoolExecutor:
    """Threads for so many jobs; decoding, resizing and JPEG let go of the interpreter lock."""
    return ThreadPoolExecutor(max(1, min(jobs, os.cpu_count() or 1)))


def nothing_usable(source: FolderSource) -> LatteEvalError:
    """What to say of a folder without a single candidate."""
    path, videos, short = source.path, len(source.entries), source.too_short
    if not videos:
        unreadable = f"; {source.rejected[0].path} {source.rejected[0].reason}" if source.rejected else ""
        others = f", only {source.ignored:,} other files" if source.ignored else ""
        return ClipError(f"{path} holds no videos and no folders of frames{others}{unreadable}")
    lengths = [each.found for each in short]
    if len(short) == videos:
        frames, stride = source.protocol.frames, side_stride(source.protocol, source.side)
        return NotEnoughClips(
            f"all {videos:,} videos in {path} are too short: they have {min(lengths)} to {max(lengths)} frames, "
            f"{frames * stride} are needed ({frames} at stride {stride})"
        )
    first = next(each for each in source.rejected if not each.reason.startswith("too short"))
    too_short = f" ({len(short):,} are too short)" if short else ""
    return ClipError(f"none of the {videos:,} videos in {path} can be used{too_short}; {first.path}: {first.reason}")
