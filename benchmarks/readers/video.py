"""Frames of a video file, by index, through PyAV.

Frames are counted in the order in which they are shown, whatever their times: a variable frame rate or times out of
order change nothing. A file is decoded from its first frame up to the last one asked for, without seeking: after a
seek, H.264 with open groups of pictures, MPEG-4 part 2 and MPEG-2 can give other frames than those that were counted.

Why not decord: from the start of a whole file decord 0.6 gives the same pixels, bit for bit, but it seeks (with that
effect), returns damaged frames as if they were whole, and refuses AV1 and GIF.

Images that move (webp, apng, avif, tiff) go to animations.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from latte_eval.benchmarks.readers.animations import Damaged, count_images, image_size, is_image, read_animation
from latte_eval.benchmarks.readers.containers import container_kind, missing_bytes
from latte_eval.benchmarks.readers.frames import check_pixels
from latte_eval.core.errors import ClipError

# AVI headers may count a frame that was never written; where more than this share is missing, frames were lost.
LOST_SHARE = 0.05

# Matrices by the codes of ITU-T H.273 that files carry, as swscale numbers them; the others are read as BT.601.
BT709, BT601 = 1, 5
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}
LIMITED, FULL = 1, 2


def decoder_record() -> str:
    """What decodes video files here, with versions."""
    versions = {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libswscale")}
    return f"PyAV {av.__version__} ({', '.join(f'{name} {version}' for name, version in versions.items())})"


def decoder_identity() -> list[str | int]:
    """The versions between which pixels have been seen to differ: in videos of ten bits, by 1.7 of 255 on average."""
    majors = [av.library_versions[name][0] for name in ("libavcodec", "libswscale")]
    return ["PyAV", int(av.__version__.partition(".")[0]), *majors]


def count_frames(path: Path) -> int:
    """Frames that a video file shows, without decoding it.

    Raises `ClipError` with the reason for a file that is empty, no video, or shorter than its container says.
    """
    if is_image(path):
        return count_images(path)
    with open_video(path) as (container, stream):
        stored, shown = count_packets(container, stream)
        declared = declared_frames(container, stream)
    check_whole(path, stored, declared)
    return shown


def frame_size(path: Path) -> tuple[int, int]:
    """Width and height of the frames of a video file, as stored. Raises `ClipError` as `count_frames`."""
    if is_image(path):
        return image_size(path)
    with open_video(path) as (_, stream):
        return stream.codec_context.width, stream.codec_context.height


def check_whole(path: Path, stored: int, declared: int) -> None:
    """Raise `ClipError` for a file that was cut: it has fewer bytes or frames than it states.

    A file that was cut after its last frame has lost nothing. Only mp4, mov and avi count their frames. An edit list
    may leave out frames of a whole mp4 or mov file on purpose, so there fewer frames alone prove nothing.
    """
    kind, missing = container_kind(path), missing_bytes(path)
    counts = kind in ("mov", "avi") and declared > 0
    cut = missing and not (counts and stored >= declared)
    if cut or (kind == "avi" and stored < declared * (1 - LOST_SHARE)):
        of = f" of {'' if counts else 'about '}{declared:,}" if declared > stored else ""
        raise ClipError(f"truncated: {stored:,}{of} frames{lost_bytes(missing)}")


def lost_bytes(missing: int) -> str:
    return f", {missing:,} bytes are missing" if missing > 1 else ", the end is missing" if missing else ""


def read_video(path: Path, indices: Sequence[int], check: int = 0) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """The frames of these ascending indices, RGB and upright.

    Args:
        check: decode at least this many frames, or to the end, before the iterator is exhausted.

    Raises:
        Damaged: a frame up to there does not decode cleanly, or one of `indices` is not there.
    """
    if is_image(path):
        yield from read_animation(path, indices, check)
        return
    waiting = iter(indices)
    following = next(waiting, None)
    with open_video(path) as (container, stream):
        stream.codec_context.thread_count = 1  # videos are read side by side
        for index, frame in enumerate(clean_frames(container.decode(stream))):
            if index == following:
                yield upright(frame)
                following = next(waiting, None)
            if following is None and index + 1 >= check:
                return
    if following is not None:
        raise Damaged(following, f"it ends before frame {following}")


def clean_frames(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Decoded frames as they are. Raises `Damaged` at one that is missing, or was patched up by the decoder."""
    index = -1
    try:
        for index, frame in enumerate(frames):
            if frame.is_corrupt:
                raise Damaged(index, f"frame {index} does not decode cleanly")
            yield frame
    except FFmpegError as error:
        raise Damaged(index + 1, f"frame {index + 1} does not decode ({error.strerror})") from error


def upright(frame: av.VideoFrame) -> np.ndarray:  # -> [H, W, 3] uint8
    """Pixels of a frame, turned as a player would turn them."""
    return np.rot90(to_rgb(frame).to_ndarray(), round(frame.rotation / 90))


def to_rgb(frame: av.VideoFrame) -> av.VideoFrame:
    """A frame as RGB in 8 bits, by the matrix and range that its file names; without, by BT.601 and the limited range.

    Both are given, never left to PyAV: before version 17 it read every file as BT.601. And they differ from those of
    the target, to which RGB has no matrix: where both are the same, these versions take no notice of them.
    """
    if frame.format.is_rgb or len(frame.format.components) < 3:  # RGB or grey: there is no matrix
        return frame.reformat(format="rgb24")
    matrix = MATRICES.get(int(frame.colorspace), BT601)
    unnamed = FULL if frame.format.name.startswith("yuvj") else LIMITED
    return frame.reformat(
        format="rgb24", src_colorspace=matrix, dst_colorspace=BT709 if matrix == BT601 else BT601,
        src_color_range=int(frame.color_range) or unnamed, dst_color_range=FULL,
    )  # fmt: skip


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """An opened file and its video stream. Raises `ClipError`, and `OSError` for one that cannot be read at all."""
    if path.stat().st_size == 0:
        raise ClipError("empty file")
    kind = container_kind(path)
    if kind is None:
        raise ClipError("not a video file")
    try:
        # Left to guess, FFmpeg would take a text file called x.mp4 for a playlist and open what it names.
        # `file:` keeps it from reading a colon in the name as a protocol.
        with av.open(f"file:{path.absolute()}", format=kind, metadata_errors="ignore") as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise ClipError("no video stream that can be decoded")
            check_pixels(stream.codec_context.width, stream.codec_context.height, "it")
            yield container, stream
    except FFmpegError as error:
        if missing := missing_bytes(path):
            raise ClipError(f"truncated: no frame can be read{lost_bytes(missing)}") from error
        raise ClipError(f"damaged: {error.strerror}") from error


def count_packets(container: InputContainer, stream: VideoStream) -> tuple[int, int]:
    """Frames that are stored whole, and those of them that are shown."""
    stored = hidden = 0
    for packet in container.demux(stream):
        if packet.size and not packet.is_corrupt:
            stored += 1
            hidden += packet.is_discard
    return stored, stored - hidden


def declared_frames(container: InputContainer, stream: VideoStream) -> int:
    """The container's own frame count, or what follows from its duration; 0 where it gives neither."""
    if stream.frames:
        return stream.frames
    clock = re.match(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    seconds = (container.duration or 0) / av.time_base
    if clock:
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return round(seconds * float(stream.average_rate or 0))
