"""Frames brought to size by torch on floats, as the loaders of VideoGPT, TATS, DIGAN, PVDM and cd-fvd do it.

Which scale the floats have, and how they become bytes again, moves single grey levels: `Protocol.rounding` says it.
Sources: preprocess in videogpt/data.py of wilson1yan/VideoGPT@733d2b1, tats/data.py of songweige/TATS@03bbce1 and
cdfvd/utils/data_utils.py of cd-fvd 0.1.1; resize_crop in src/training/dataset.py of sihyun-yu/digan@e822320 and
tools/data_utils.py of sihyun-yu/PVDM@793172f.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latte_eval.core.protocol import Protocol


def resize_by_torch(frame: np.ndarray, protocol: Protocol) -> np.ndarray:  # [H, W, 3] uint8 -> [size, size, 3] uint8
    """Crop, resize and round a frame as the protocol says; its filter is one of `TORCH_FILTERS`."""
    assert protocol.size is not None  # else there is nothing to resize to
    pixels = to_floats(frame, protocol.rounding)
    if protocol.crop == "crop-resize":
        pixels = centre(pixels, min(pixels.shape[2:]))
    size = size_before_crop(pixels, protocol)
    antialias = protocol.resample == "torch-antialias"
    pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=antialias)
    return to_bytes(centre(pixels, protocol.size), protocol.rounding)


def size_before_crop(pixels: Tensor, protocol: Protocol) -> tuple[int, int]:  # [1, 3, H, W] -> height, width
    """What a frame is resized to: the shorter side has the size of the protocol where it is cropped afterwards."""
    side = protocol.size
    assert side is not None
    if not protocol.crop.startswith("resize-crop"):
        return side, side
    whole: Callable[[float], int] = math.ceil if protocol.crop == "resize-crop-ceil" else math.floor
    height, width = pixels.shape[2:]
    scale = side / min(height, width)
    return (side, whole(width * scale)) if height < width else (whole(height * scale), side)


def centre(pixels: Tensor, side: int) -> Tensor:  # [1, 3, H, W] -> [1, 3, side, side]
    """The square in the middle, rounded towards the top left."""
    top, left = ((length - side) // 2 for length in pixels.shape[2:])
    return pixels[:, :, top : top + side, left : left + side]


def to_floats(frame: np.ndarray, rounding: str) -> Tensor:  # [H, W, 3] uint8 -> [1, 3, H, W] float32
    """Pixels on the scale on which they are rounded: 0..255 for `floor`, else 0..1."""
    pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float()
    return pixels if rounding == "floor" else pixels / 255


def to_bytes(pixels: Tensor, rounding: str) -> np.ndarray:  # [1, 3, H, W] float32 -> [H, W, 3] uint8
    """The inverse of `to_floats`: cut off, or to the nearest byte."""
    if rounding == "floor-shifted":
        pixels = pixels - 0.5 + 0.5
    scaled = pixels if rounding == "floor" else pixels * 255
    rounded = scaled.round() if rounding == "nearest" else scaled
    return rounded.clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous().numpy()


def shifted(frame: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8 -> same
    """Pixels that went to -0.5..0.5 and back and were cut off: 63 of the 256 values lose a level on the way."""
    return to_bytes(to_floats(frame, "floor-shifted"), "floor-shifted")
