"""Clips as H.264: mp4 files, and the same encoding in memory.

Vchitect/Latte@b27c24a writes its samples with imageio at 8 frames a second and quality 9: x264 at crf 5, preset
medium, yuv420p, bicubic conversion. The same settings are used here, made reproducible, so that a clip read back
from a file that `write_clip` wrote has the pixels of the in-memory round trip.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from latte_eval.core.errors import StoreError
from latte_eval.files.whole_files import write_whole

FPS = 8
# Without `cpu-independent`, x264's decisions depend on the processor and, in small frames, on what memory held before:
# then equal frames become different files even on one machine.
OPTIONS = {"crf": "5", "x264-params": "cpu-independent=1"}
ENCODER = "libx264"


def write_clip(path: str | Path, clip: Tensor, fps: int = FPS) -> None:  # [T, 3, H, W] uint8 -> mp4 file
    """Write one clip as mp4 under a temporary name, then rename: the file is whole or absent.

    Equal frames give equal bytes. A side of odd length is made even by repeating its last row or column.
    Raises `StoreError` where the file cannot be written, leaving nothing behind.
    """
    write_whole(Path(path), encode_mp4(to_frames(clip), fps))


def to_frames(clip: Tensor) -> np.ndarray:  # [T, 3, H, W] uint8 -> [T, H, W, 3] uint8
    """The layout that encoders take."""
    return np.ascontiguousarray(clip.permute(0, 2, 3, 1).cpu().numpy())


def from_frames(frames: np.ndarray) -> Tensor:  # [T, H, W, 3] uint8 -> [T, 3, H, W] uint8
    """The layout of a clip."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))


def encode_mp4(frames: np.ndarray, fps: int = FPS) -> bytes:  # [T, H, W, 3] uint8 -> mp4
    """Frames as the bytes of an mp4 file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(encoder(), rate=fps)
        assert isinstance(stream, av.VideoStream)
        configure(stream.codec_context, frames, fps)
        for picture in [*pictures(frames), None]:
            container.mux(stream.encode(picture))
    return buffer.getvalue()


def h264_round_trip(frames: np.ndarray, fps: int = FPS) -> np.ndarray:  # [T, H, W, 3] uint8 -> same
    """Frames as they come back from an mp4 file, without the file."""
    context = av.CodecContext.create(encoder(), "w")
    assert isinstance(context, av.VideoCodecContext)
    configure(context, frames, fps)
    packets = [packet for picture in [*pictures(frames), None] for packet in context.encode(picture)]
    decoded = np.stack(list(decode_h264(packets)))
    return decoded[:, : frames.shape[1], : frames.shape[2]]


def decode_h264(packets: Iterable[av.Packet]) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """RGB frames of H.264 packets, in the order in which they are shown."""
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    for packet in [*packets, None]:
        for frame in context.decode(packet):
            yield frame.to_ndarray(format="rgb24")


def encoder() -> str:
    """The name of the H.264 encoder. Raises `StoreError` where PyAV was built without it."""
    if ENCODER not in av.codecs_available:
        raise StoreError(f"this PyAV has no {ENCODER}; install it with: pip install --force-reinstall av")
    return ENCODER


def configure(context: av.VideoCodecContext, frames: np.ndarray, fps: int) -> None:
    """Settings of one encoding; one thread, because x264's decisions depend on the number of threads."""
    context.width, context.height = frames.shape[2] + frames.shape[2] % 2, frames.shape[1] + frames.shape[1] % 2
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = Fraction(fps), Fraction(1, fps)
    context.options = OPTIONS
    context.thread_count = 1


def pictures(frames: np.ndarray) -> Iterator[av.VideoFrame]:
    """Frames as yuv420p pictures with times; odd sides are padded."""
    padding = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    for index, array in enumerate(np.pad(frames, padding, mode="edge")):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
        # Bicubic as ffmpeg's command line does it; PyAV alone would take bilinear, 4 dB away from the published files.
        picture = picture.reformat(format="yuv420p", interpolation="BICUBIC")
        picture.pts = index
        yield picture
