"""One image, through Pillow: what may be opened, how large it may be, and its pixels as RGB."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from latte_eval.benchmarks.readers.places import UNREADABLE
from latte_eval.core.errors import ClipError

# What is raised for a damaged image: by Pillow, or by Python for the zip archive that holds it.
DAMAGE = (*UNREADABLE, SyntaxError, Image.DecompressionBombError, LookupError, TypeError, ArithmeticError,
          AttributeError, struct.error)  # fmt: skip

# Pixels of a frame beyond which it is refused: twice as many as 8K video has. One of them takes 200 MB as RGB, and
# there are many at once.
MOST_PIXELS = 2**26

# What Pillow may open: formats of frames, none that starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "TGA")

# Those whose header Pillow reads in Python. To open one of the others is to run its decoder.
PYTHON_HEADERS = ("JPEG", "PNG", "BMP", "TIFF", "PPM", "TGA")

NO_MEMORY = "there is not enough memory to read it"

Size = tuple[int, int]  # width, height


class NoImage(ClipError):
    """A file of none of the formats that were asked for."""


@cache
def image_formats(among: Sequence[str] = FORMATS) -> tuple[str, ...]:
    """Those formats that this Pillow was built with."""
    Image.init()
    return tuple(name for name in among if name in Image.OPEN)


def check_pixels(width: int, height: int, what: str) -> None:
    """Raise `ClipError` for a frame that is too large to be read with others: known from its header."""
    if width * height > MOST_PIXELS:
        raise ClipError(f"{what} has {width:,}x{height:,} pixels, more than the {MOST_PIXELS:,} of a frame; make it "
                        "smaller")  # fmt: skip


@contextmanager
def open_image(file: IO[bytes] | Path, name: str, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    """An opened image. Damage that shows before it is closed is raised as a `ClipError` that names it."""
    try:
        with Image.open(file, formats=image_formats(formats)) as image:
            check_pixels(*image.size, name)
            yield image
    except UnidentifiedImageError as error:
        raise NoImage(f"{name} is not an image") from error
    except MemoryError as error:
        raise ClipError(f"{name}: {NO_MEMORY}") from error
    except DAMAGE as error:
        raise ClipError(f"damaged: {name}: {error}") from error


def image_size(path: Path, name: str) -> Size:
    """Width and height of an image; `name` is how messages call it. Raises `ClipError`."""
    with open_image(path, name) as image:
        return image.size


def read_image(path: Path, name: str) -> np.ndarray:  # -> [H, W, 3] uint8
    """An image as RGB; `name` is how messages call it. Raises `ClipError` for one that is damaged."""
    with open_image(path, name) as image:
        return to_rgb(image)


def to_rgb(image: Image.Image) -> np.ndarray:  # -> [H, W, 3] uint8
    """Any image as RGB in 8 bits. Alpha is dropped, not blended; 16-bit grey is scaled, where Pillow would clip it.

    Raises `ClipError` for numbers without a known white, as in TIFF files of 32 bits.
    """
    if image.mode == "F":
        raise ClipError("pixels are floating-point numbers: which one is white is not known; store frames in 8 bits")
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64) + 128) // 257
        return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    return np.asarray(image.convert("RGB"))
