"""Windows of one video as clips."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from latte_eval.benchmarks.readers import decoders
from latte_eval.benchmarks.readers.animations import Damaged
from latte_eval.benchmarks.readers.arrays import open_videos, read_array
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.frames import Size, common_size, read_frames
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.judging import judged
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.prepare import prepare_frame
from latte_eval.benchmarks.readers.tars import stretch_of
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol
from latte_eval.core.stops import check_stop

# At least this many frames of every video are decoded once, even if its clips need fewer: damage after the frames of a
# clip counts too.
CHECKED_FRAMES = 1000


@dataclass(frozen=True)
class Window:
    """One window of one video: a candidate clip.

    Attributes:
        number: its position among the windows of the video.
        frames: indices of its frames.
        passed: lossy steps that its files have been through already.
    """

    entry: Entry
    number: int
    frames: range
    passed: tuple[str, ...]

    @property
    def identity(self) -> str:
        """Path, first and last frame, stride, and a key of the content."""
        frames = self.frames
        return f"{self.entry.path} {frames[0]}-{frames[-1]}/{frames.step} {self.entry.stamp[:16]}"


def video_length(place: Place, entry: Entry) -> int:
    """Frames of a video, without decoding them. Raises `ClipError`, also for a folder that is not one video."""
    if entry.problem:
        raise ClipError(entry.problem)
    if entry.kind == "frames":
        return len(entry.names)
    if entry.kind == "array":
        return len(open_video(place, entry))
    with place.local(entry.files[0]) as path:
        return decoders.count_frames(path, entry.path)


def entry_size(place: Place, entry: Entry) -> Size:
    """Width and height of the frames of an entry, from headers. Raises `ClipError` or `OSError`."""
    if entry.kind == "frames":
        return common_size(place, entry)
    if entry.kind == "array":
        height, width = open_video(place, entry).shape[1:3]
        return width, height
    with place.local(entry.files[0]) as path:
        return decoders.frame_size(path, entry.path)


def open_video(place: Place, entry: Entry) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """One video of an array. Raises `ClipError` and `OSError`."""
    if isinstance(place, HeldVideos):
        return place.videos[entry.number]
    suffix = posixpath.splitext(entry.names[0])[1]
    return open_videos(stretch_of(place, entry.files[0]), entry.array, suffix)[entry.number]


def read_windows(
    place: Place, windows: Sequence[Window], protocol: Protocol, check: bool
) -> list[np.ndarray | ClipError]:  # [T, H, W, 3] uint8 each
    """Read windows of one video in one pass over it: for each window its clip, or the reason why there is none.

    Damage among the first `CHECKED_FRAMES` frames rejects every window; later damage rejects the windows that
    reach it. So the outcome of a window does not depend on the windows that are read with it. Frames are brought to
    the target size one by one: only those of the windows are held in memory, however long or large the video is.

    Args:
        check: look for damage; False for a video in which an earlier read found none.

    Raises:
        MachineFault: the machine failed, not the video.
    """
    wanted = sorted({index for window in windows for index in window.frames})
    frames: dict[int, np.ndarray] = {}

    def read() -> None:
        for index, frame in zip(wanted, read_entry(place, windows[0].entry, wanted, check, protocol), strict=True):
            check_stop()
            frames[index] = frame

    reason = judged(place, windows[0].entry, read)
    if isinstance(reason, Damaged) and reason.frame < CHECKED_FRAMES:
        return [reason] * len(windows)
    return [join_window(window, frames, reason) for window in windows]


def read_entry(
    place: Place, entry: Entry, indices: Sequence[int], check: bool, protocol: Protocol | None = None
) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """The frames of these ascending indices, at the size of the protocol if there is one.

    Raises `ClipError` and `OSError`.
    """
    if entry.kind == "video":
        with place.local(entry.files[0]) as path:
            yield from decoders.read_frames(path, entry.path, indices, protocol, CHECKED_FRAMES if check else 0)
        return
    held = entry.kind == "array"
    for frame in read_array(open_video(place, entry), indices) if held else read_frames(place, entry, indices):
        yield prepare_frame(frame, protocol) if protocol else frame


def join_window(window: Window, frames: dict[int, np.ndarray], reason: ClipError | None) -> np.ndarray | ClipError:
    """The frames of one window as a clip, [T, H, W, 3] uint8."""
    if reason and window.frames[-1] not in frames:
        return reason
    chosen = [frames[index] for index in window.frames]
    first = chosen[0].shape
    for frame in chosen:
        if frame.shape != first:
            return ClipError(f"frames of different sizes: {first[1]}x{first[0]} and {frame.shape[1]}x{frame.shape[0]}")
    return np.stack(chosen)
