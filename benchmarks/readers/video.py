"""Frames of a video file, by index, through PyAV.

Frames are counted in the order in which they are shown, whatever their times: a variable frame rate or times out of
order change nothing. A file is decoded from its first frame up to the last one asked for, without seeking: after a
seek, H.264 with open groups of pictures, MPEG-4 part 2 and MPEG-2 can give other frames than those that were counted.

Why not decord: from the start of a whole file decord 0.6 gives the same pixels, bit for bit, but it seeks (with that
effect), returns damaged frames as if they were whole, and refuses AV1 and GIF. Who measures beside numbers that were
read with it names it as the decoder of the protocol: decord_frames.py.

Images that move (webp, apng, avif, tiff) go to animations.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from latte_eval.benchmarks.readers.animations import Damaged, count_images, image_size, is_image, read_animation
from latte_eval.benchmarks.readers.containers import container_kind, missing_bytes
from latte_eval.benchmarks.readers.decoder_log import decoder_log, tells_damage
from latte_eval.benchmarks.readers.images import check_pixels
from latte_eval.benchmarks.readers.packets import PacketCount, count_packets, from_keyframe
from latte_eval.core.errors import ClipError

# AVI headers may count a frame that was never written; where more than this share is missing, frames were lost.
LOST_SHARE = 0.05

# Matrices by the codes of ITU-T H.273 that files carry, as swscale numbers them; the others are read as BT.601.
BT709, BT601 = 1, 5
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}
LIMITED, FULL = 1, 2

Matrix = tuple[int, int, int, int]  # a, b, c, d: a stored point (x, y) is shown at (a x + c y, b x + d y)
AS_STORED: Matrix = (1, 0, 0, 1)


# Increase this when a change here or in packets.py changes a pixel or a number of frames of video files.
STEP_VERSION = 3


def decoder_record() -> str:
    """What decodes video files here, with versions."""
    versions = {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libswscale")}
    return f"PyAV {av.__version__} ({', '.join(f'{name} {version}' for name, version in versions.items())})"


def decoder_identity() -> list[str | int]:
    """The version of this step, and those of decoders between which pixels have been seen to differ: in videos of ten
    bits, by 1.7 of 255 on average."""
    majors = [av.library_versions[name][0] for name in ("libavcodec", "libswscale")]
    return ["PyAV", pyav_major(), *majors, STEP_VERSION]


def pyav_major() -> int:
    return int(av.__version__.partition(".")[0])


def any_metadata() -> dict[str, Any]:
    """How to open a file whose title or comment is not UTF-8: from version 19 on PyAV needs no word about it."""
    return {"metadata_errors": "ignore"} if pyav_major() < 19 else {}


def count_frames(path: Path) -> int:
    """Frames that a video file shows, without decoding it; of a file that was cut at its start, only the start.

    Raises `ClipError` with the reason for a file that is empty, no video, or shorter than its container says.
    """
    if is_image(path):
        return count_images(path)
    with open_video(path) as (container, stream):
        packets = count_packets(container, stream)
        declared, seconds = declared_frames(container, stream), declared_seconds(container, stream)
    check_whole(path, packets.stored, declared)
    check_end(path, packets, seconds)
    if not packets.early or packets.start is None:
        return packets.shown
    return packets.shown - packets.early + frames_before(path, packets.start)


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


def check_end(path: Path, packets: PacketCount, declared: float) -> None:
    """Raise `ClipError` for a Matroska file that cannot be read up to the time, in seconds, where it says it ends."""
    if container_kind(path) == "matroska" and packets.end < declared * (1 - LOST_SHARE):
        raise ClipError(
            f"damaged: {packets.shown:,} frames can be read, up to {packets.end:.2f} of {declared:.2f} seconds"
        )


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
    following, matrix = next(waiting, None), AS_STORED
    with open_video(path) as (container, stream):
        stream.codec_context.thread_count = 1  # videos are read side by side
        for index, frame in enumerate(clean_frames(container, stream)):
            matrix = display_matrix(frame) or matrix  # a stream may say it with its keyframes only
            if index == following:
                yield upright(to_rgb(frame).to_ndarray(), matrix)
                following = next(waiting, None)
            if following is None and index + 1 >= check:
                return
    if following is not None:
        raise Damaged(following, f"it ends before frame {following}")


def clean_frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decoded frames as they are. Raises `Damaged` at one that is missing, or was patched up by the decoder."""
    index = -1
    try:
        for packet in whole_packets(container, stream):
            if packet is None:
                raise Damaged(index + 1, f"bytes are missing, at frame {index + 1} or soon after it")
            with decoder_log() as log:
                frames = packet.decode()
            for frame in frames:
                index += 1
                if frame.is_corrupt or tells_damage(log):
                    raise Damaged(index, f"frame {index} does not decode cleanly")
                yield frame
    except FFmpegError as error:
        raise Damaged(index + 1, f"frame {index + 1} does not decode ({error.strerror})") from error


def whole_packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet | None]:
    """The packets of a stream, and None for those that lost bytes. The last one may: then the file was cut there."""
    lost = 0
    for packet in from_keyframe(container.demux(stream)):
        if packet.size and lost:
            yield None
        lost += packet.is_corrupt
        if not packet.is_corrupt:
            yield packet


def display_matrix(frame: av.VideoFrame) -> Matrix | None:
    """How a frame is to be turned and mirrored (ISO/IEC 14496-12, 6.2.2); None where it does not say."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    return a, b, c, d


def upright(pixels: np.ndarray, matrix: Matrix) -> np.ndarray:  # [H, W, 3] uint8 -> [H, W, 3] or [W, H, 3] uint8
    """Pixels turned and mirrored as a player would show them."""
    a, b, c, d = matrix
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


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
        with av.open(f"file:{path.absolute()}", format=kind, **any_metadata()) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise ClipError("no video stream that can be decoded")
            check_pixels(stream.codec_context.width, stream.codec_context.height, "it")
            yield container, stream
    except FFmpegError as error:
        if missing := missing_bytes(path):
            raise ClipError(f"truncated: no frame can be read{lost_bytes(missing)}") from error
        raise ClipError(f"damaged: {error.strerror}") from error


def frames_before(path: Path, start: int) -> int:
    """Frames that the decoder shows before this time, that of the first keyframe: those that need nothing earlier."""
    count = 0
    with open_video(path) as (container, stream), suppress(FFmpegError):  # reading it will say what is wrong
        stream.codec_context.thread_count = 1
        for packet in from_keyframe(container.demux(stream)):
            for frame in packet.decode():
                if frame.pts is None or frame.pts >= start:
                    return count
                count += 1
    return count


def declared_frames(container: InputContainer, stream: VideoStream) -> int:
    """The container's own frame count, or what follows from its duration; 0 where it gives neither."""
    seconds = declared_seconds(container, stream) or (container.duration or 0) / av.time_base
    return stream.frames or round(seconds * float(stream.average_rate or 0))


def declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long the stream is by the account of its container; 0 where it gives none for this stream alone."""
    if clock := re.match(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", "")):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0
