"""Miniature videos and frame folders for tests, made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.evaluation.stored import StoredSource

# The 3x3 display matrices of a tkhd box that ask a player to turn a picture clockwise.
TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def moving_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """A smooth pattern that moves; frame t differs from every other one."""
    y, x = np.mgrid[:height, :width]
    t = np.arange(count)[:, None, None]
    red = 128 + 100 * np.sin((x + 3 * t) / 9)
    green = 128 + 100 * np.cos((y - 2 * t) / 7)
    blue = 4 * t % 256
    return np.stack(np.broadcast_arrays(red, green, blue), -1).astype(np.uint8)


def write_video(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    *,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    metadata: dict[str, str] | None = None,
    **kwargs: Any,
) -> Path:
    """Write frames with PyAV; `times` are milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}, **kwargs) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_lossless(path: Path, frames: np.ndarray) -> Path:
    """A mkv file that gives exactly these pixels back."""
    return write_video(path, frames, "ffv1", "bgr0")


def write_frames(folder: Path, frames: np.ndarray, name: str = "{:06d}.png", **options: Any) -> Path:
    """A folder of images."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(index), **options)
    return folder


def decode_all(path: Path) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """Every frame, from the first to the last, as stored."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Make an mp4 or mov file ask for a turn, as a phone does, or for a mirror image."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (65536 * value for value in matrix)
    at = data.find(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float = 0.5, target: Path | None = None) -> Path:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    target = target or path
    target.write_bytes(data[: int(len(data) * share)])
    return target


def stored(source: FolderSource) -> StoredSource:
    """The clips of a folder after the lossy steps that its protocol has for its side."""
    return StoredSource(source, source.named_storage)


def noise(*shape: int) -> Tensor:
    """Pixels without order, the same in every run. # -> uint8"""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
