"""What happens to a frame between its file and a clip: crop and resize, and which lossy steps its file has passed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from latte_eval.core.protocol import STORAGE_STEPS, TORCH_FILTERS, Protocol

FILTERS = {"lanczos": Image.Resampling.LANCZOS, "bilinear": Image.Resampling.BILINEAR}


def passed_steps(kind: str, at_size: bool, side: str) -> tuple[str, ...]:
    """The lossy steps that a video has passed already, whatever the protocol says.

    - Frames at the target size are what the published converters write. They have passed every step, on both sides.
    - On the fake side, H.264 stands for the file that a sampler's clip would be written to. The videos of a folder
      are such files, so they have passed H.264 but not JPEG.
    - Arrays are the pixels themselves, before any file was written: they have passed nothing.
    - Everything else, which is every real video and real frames that have to be resized, has passed nothing.

    Args:
        kind: `video`, `frames` or `array`.
        at_size: whether its frames have the target size.
        side: `real` or `fake`.
    """
    if kind == "frames" and at_size:
        return STORAGE_STEPS
    return ("h264-crf5",) if side == "fake" and kind != "array" else ()


def has_target_size(width: int, height: int, protocol: Protocol) -> bool:
    """Whether frames of this size need neither crop nor resize."""
    return protocol.size is None or (width, height) == (protocol.size, protocol.size)


def needs_torch(protocol: Protocol) -> bool:
    """Whether frames pass through floats of torch on their way to clips: decoder processes do not import it."""
    return protocol.rounding == "floor-shifted" or (protocol.size is not None and protocol.resample in TORCH_FILTERS)


def of_side(protocol: Protocol, side: str) -> Protocol:
    """The protocol as frames of one side are prepared: the shift of `floor-shifted` is one of loaders of real videos,
    generated ones are cut off on a scale of 0..1 there."""
    shifts = protocol.rounding == "floor-shifted" and side == "fake"
    return protocol.replace(rounding="floor-unit") if shifts else protocol


def prepare_frame(frame: np.ndarray, protocol: Protocol) -> np.ndarray:  # [H, W, 3] uint8 -> [size, size, 3] uint8
    """Bring a frame to the target size, and round it as the protocol says.

    It stays as it is if it has that size, or if the protocol has none, but for the rounding `floor-shifted`.
    """
    if protocol.size is None or has_target_size(frame.shape[1], frame.shape[0], protocol):
        sized = frame
    elif protocol.resample in TORCH_FILTERS:
        from latte_eval.benchmarks.readers.torch_resize import resize_by_torch

        return resize_by_torch(frame, protocol)
    else:
        sized = resize_by_pillow(frame, protocol, protocol.size)
    if protocol.rounding == "floor-shifted":
        from latte_eval.benchmarks.readers.torch_resize import shifted

        return shifted(sized)
    return sized


def resize_by_pillow(frame: np.ndarray, protocol: Protocol, size: int) -> np.ndarray:  # -> [size, size, 3] uint8
    """`crop-resize` is the converter of Vchitect/Latte@b27c24a, `resize-crop` that of universome/stylegan-v@3fecd69;
    `none` resizes without a crop."""
    height, width = frame.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(frame))
    if protocol.crop == "crop-resize":
        image = centre_crop(image, min(width, height))
    elif protocol.crop.startswith("resize-crop"):
        up = protocol.crop == "resize-crop-ceil"
        image = centre_crop(resize_shorter_side(image, size, protocol.resample, up), size)
    return np.asarray(resize(image, (size, size), protocol.resample))


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """The square of this side in the middle, rounded towards the top left."""
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def resize_shorter_side(image: Image.Image, size: int, resample: str, up: bool) -> Image.Image:
    """Bring the shorter side to `size`; the longer one is rounded down, or `up`."""
    shorter, longer = sorted(image.size)
    other = (longer * size + (shorter - 1 if up else 0)) // shorter
    return resize(image, (size, other) if image.width <= image.height else (other, size), resample)


def resize(image: Image.Image, size: tuple[int, int], resample: str) -> Image.Image:
    return image if image.size == size else image.resize(size, FILTERS[resample])
