"""Small pictures of clips, kept beside their features: a report shows clips without sampling or reading them again.

A preview is a strip: the frames of a clip side by side in one WebP picture, 29 KB for 16 frames of 128 pixels.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from torch import Tensor

from latte_eval.core.errors import StoreError
from latte_eval.files.h264 import to_frames

SIDE = 128  # pixels; larger frames are made smaller
SMALL = 64  # frames up to this side are kept without loss
FRAMES = 32  # longer clips show every second, third, ... frame; WebP pictures end at 16,383 pixels


def clip_to_strip(clip: Tensor) -> bytes:  # [T, 3, H, W] uint8 -> WebP of [h, t * w]
    """The frames of a clip side by side, none larger than `SIDE`, at most `FRAMES` of them."""
    frames = to_frames(clip)[:: -(-len(clip) // FRAMES)]
    height, width = frames.shape[1:3]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    strip = np.concatenate([shrink(frame, size) for frame in frames], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "WEBP", quality=60, method=2, lossless=max(height, width) <= SMALL)
    return buffer.getvalue()


def shrink(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [H, W, 3] uint8 -> [h, w, 3] uint8
    image = Image.fromarray(frame)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX))


def strip_frames(clip_frames: int) -> int:
    """How many frames the strip of a clip with `clip_frames` frames shows."""
    return -(-clip_frames // -(-clip_frames // FRAMES))


def check_strip(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of a strip in pixels. Raises `StoreError` unless it is a WebP picture no larger than a preview.

    The size is read from the header first: a decoder would allocate whatever size a damaged file claims.
    """
    size = webp_size(data)
    if size is None:
        raise StoreError(f"the preview of {where} is no WebP picture")
    if size[0] > FRAMES * SIDE or size[1] > SIDE:
        raise StoreError(f"the preview of {where} has {size[0]:,} x {size[1]:,} pixels, more than any preview has "
                         f"({FRAMES * SIDE:,} x {SIDE})")  # fmt: skip
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            image.load()
            return image.size
    except (OSError, ValueError) as error:
        raise StoreError(f"the preview of {where} is damaged ({type(error).__name__})") from error


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header of a WebP picture; None for anything else.

    Source: RFC 9649, sections 2.5 to 2.7, and RFC 6386, section 9.1.
    """
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None
