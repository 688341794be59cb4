"""Frames of images that move: animated webp, apng, avif and tiff files, through Pillow.

FFmpeg reads some of them in some versions only. A gif is left to it, as in earlier versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from latte_eval.benchmarks.readers.images import (
    DAMAGE,
    NO_MEMORY,
    PYTHON_HEADERS,
    Size,
    check_pixels,
    image_formats,
    to_rgb,
)
from latte_eval.core.errors import ClipError

# Suffixes of images that stand still as a rule, and of which each may be a video.
MOVING_SUFFIXES = (".webp", ".png", ".avif", ".tif", ".tiff")


class Damaged(ClipError):
    """A video that does not decode cleanly at one of its frames."""

    def __init__(self, frame: int, what: str):
        self.frame = frame
        super().__init__(f"damaged: {what}")


def is_image(path: Path) -> bool:
    """Whether a file is an image that may move, by its name."""
    return path.suffix.lower() in (*MOVING_SUFFIXES, ".apng")


def moves(file: IO[bytes]) -> bool:
    """Whether an opened image has several frames, by a header that is read in Python.

    Raises `UnidentifiedImageError` for other formats, and one of `DAMAGE` where it cannot be read.
    """
    with Image.open(file, formats=image_formats(PYTHON_HEADERS)) as image:
        return int(getattr(image, "n_frames", 1)) > 1


def count_images(path: Path) -> int:
    """Frames of an image; 1 where it stands still. Raises `ClipError`."""
    with open_animation(path) as image:
        return int(getattr(image, "n_frames", 1))


def image_size(path: Path) -> Size:
    """Width and height of an image. Raises `ClipError`."""
    with open_animation(path) as image:
        return image.size


def read_animation(path: Path, indices: Sequence[int], check: int = 0) -> Iterator[np.ndarray]:
    """The frames of these ascending indices, [H, W, 3] uint8 each; arguments and errors as of `video.read_video`."""
    wanted = set(indices)
    with open_animation(path) as image:
        count = int(getattr(image, "n_frames", 1))
        for index in range(min(count, max([check, *(each + 1 for each in wanted)]))):
            frame = shown(image, index)
            if index in wanted:
                yield frame
    if missing := [index for index in indices if index >= count]:
        raise Damaged(missing[0], f"it ends before frame {missing[0]}")


def shown(image: Image.Image, index: int) -> np.ndarray:  # -> [H, W, 3] uint8
    """One frame as a viewer shows it, over those before it. Raises `Damaged`."""
    try:
        image.seek(index)
        return to_rgb(image)
    except DAMAGE as error:
        raise Damaged(index, f"frame {index} does not decode ({error})") from error


@contextmanager
def open_animation(path: Path) -> Iterator[Image.Image]:
    """An opened image. Raises `ClipError` for one that is damaged or that this Pillow cannot read."""
    try:
        with Image.open(path, formats=image_formats()) as image:
            check_pixels(*image.size, "it")
            yield image
    except UnidentifiedImageError as error:
        raise ClipError("damaged, or an image that this version of Pillow cannot read") from error
    except MemoryError as error:
        raise ClipError(NO_MEMORY) from error
    except DAMAGE as error:
        raise ClipError(f"damaged: {error}") from error
