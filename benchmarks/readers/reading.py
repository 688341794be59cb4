"""Windows of one video as clips."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latte_eval.benchmarks.readers import decoders
from latte_eval.benchmarks.readers.animations import Damaged, is_image
from latte_eval.benchmarks.readers.arrays import open_videos, read_array
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.frames import Size, common_size, read_frames
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.judging import judged
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.prepare import needs_torch, prepare_frame
from latte_eval.benchmarks.readers.tars import stretch_of
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol
from latte_eval.core.stops import check_stop

# At least this many frames of every video are decoded once, even if its clips need fewer: damage after the frames of a
# clip counts too.
CHECKED_FRAMES = 1000

# More frames than a file has.
WHOLE = 1 << 31


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


def video_length(place: Place, entry: Entry, decoder: str = "pyav") -> int:
    """Frames of a video as a decoder counts them, without decoding.

    Raises `ClipError`, also for a folder that is not one video.
    """
    if entry.problem:
        raise ClipError(entry.problem)
    if entry.kind == "frames":
        return len(entry.names)
    if entry.kind == "array":
        return len(open_video(place, entry))
    with place.local(entry.files[0]) as path:
        return decoders.count_frames(path, entry.path, "pyav" if is_image(path) else decoder)


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
    if protocol.decoder == "decord" and windows[0].entry.kind == "video" and not is_image(Path(windows[0].entry.path)):
        return read_by_decord(place, windows, protocol, check)
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


def read_by_decord(
    place: Place, windows: Sequence[Window], protocol: Protocol, check: bool
) -> list[np.ndarray | ClipError]:
    """The same through decord: PyAV looks at the whole video once, then every window is read by itself.

    decord gives damaged frames as if they were whole, or not, and stumbles over those that lie near damage in one run
    and not in the next. So none of a damaged video is used, wherever the damage is.
    """
    entry = windows[0].entry

    def look() -> None:
        with place.local(entry.files[0]) as path:
            for _ in decoders.read_frames(path, entry.path, [], None, WHOLE):
                pass

    reason = judged(place, entry, look) if check else None
    return [reason or decord_clip(place, window, protocol) for window in windows]


def decord_clip(place: Place, window: Window, protocol: Protocol) -> np.ndarray | ClipError:
    """One window as a clip, [T, H, W, 3] uint8."""
    inner = None if needs_torch(protocol) else protocol

    def read() -> np.ndarray:
        with place.local(window.entry.files[0]) as path:
            found = decoders.read_frames(path, window.entry.path, window.frames, inner, decoder="decord")
            return np.stack([frame if inner else prepare_frame(frame, protocol) for frame in found])

    check_stop()
    return judged(place, window.entry, read)


def read_entry(
    place: Place, entry: Entry, indices: Sequence[int], check: bool, protocol: Protocol | None = None
) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """The frames of these ascending indices, at the size of the protocol if there is one.

    Raises `ClipError` and `OSError`.
    """
    here = protocol if entry.kind != "video" or (protocol and needs_torch(protocol)) else None
    if entry.kind == "video":
        frames = video_frames(place, entry, indices, check, None if here else protocol)
    elif entry.kind == "frames":
        frames = read_frames(place, entry, indices)
    else:
        frames = read_array(open_video(place, entry), indices)
    for frame in frames:
        yield prepare_frame(frame, here) if here else frame


def video_frames(
    place: Place, entry: Entry, indices: Sequence[int], check: bool, protocol: Protocol | None
) -> Iterator[np.ndarray]:
    """The frames of a video file, [H, W, 3] uint8 each, brought to size where it is decoded if there is a protocol."""
    with place.local(entry.files[0]) as path:
        yield from decoders.read_frames(path, entry.path, indices, protocol, CHECKED_FRAMES if check else 0)


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
