"""Frames of a folder of images."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
from PIL import Image, UnidentifiedImageError

from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.places import UNREADABLE, Place
from latte_eval.core.errors import ClipError

# What is raised for a damaged image: by Pillow, or by Python for the zip archive that holds it.
DAMAGE = (*UNREADABLE, SyntaxError, Image.DecompressionBombError, LookupError, TypeError, ArithmeticError,
          AttributeError, struct.error)  # fmt: skip

# Pixels of a frame beyond which it is refused: twice as many as 8K video has. One of them takes 200 MB as RGB, and
# there are many at once.
MOST_PIXELS = 2**26

# What Pillow may open: formats of frames, none that starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "TGA")

NO_MEMORY = "there is not enough memory to read it"

Size = tuple[int, int]  # width, height


@cache
def image_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def check_pixels(width: int, height: int, what: str) -> None:
    """Raise `ClipError` for a frame that is too large to be read with others: known from its header."""
    if width * height > MOST_PIXELS:
        raise ClipError(f"{what} has {width:,}x{height:,} pixels, more than the {MOST_PIXELS:,} of a frame; make it "
                        "smaller")  # fmt: skip


def common_size(place: Place, entry: Entry) -> Size:
    """The size of all frames of a folder, from their headers alone.

    Raises `ClipError` with both sizes where they differ, and for a file that is no image.
    """
    first: Size | None = None
    for name, file in zip(entry.names, entry.files, strict=True):
        with open_image(place, file) as image:
            first = first or image.size
            if image.size != first:
                raise ClipError(
                    f"frames of different sizes: {entry.names[0]} is {first[0]}x{first[1]}, "
                    f"{name} is {image.width}x{image.height}"
                )
    assert first is not None  # an entry has frames
    return first


def read_frames(place: Place, entry: Entry, indices: Sequence[int]) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """The frames of these indices as RGB. Raises `ClipError` for one that is damaged."""
    files = entry.files
    for index in indices:
        with open_image(place, files[index]) as image:
            yield to_rgb(image)


@contextmanager
def open_image(place: Place, file: str) -> Iterator[Image.Image]:
    """An opened image. Damage that shows before it is closed is raised as a `ClipError` that names it."""
    name = file.rpartition("/")[2]
    try:
        with place.open_file(file) as handle, Image.open(handle, formats=image_formats()) as image:
            check_pixels(*image.size, name)
            yield image
    except UnidentifiedImageError as error:
        raise ClipError(f"{name} is not an image") from error
    except MemoryError as error:
        raise ClipError(f"{name}: {NO_MEMORY}") from error
    except DAMAGE as error:
        raise ClipError(f"damaged: {name}: {error}") from error


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
