"""Frames of a folder of images, decoded in processes of their own, as videos are: a crash costs the folder alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from latte_eval.benchmarks.readers import decoders
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.images import DAMAGE, PYTHON_HEADERS, NoImage, Size, open_image
from latte_eval.benchmarks.readers.places import Place
from latte_eval.core.errors import ClipError


def common_size(place: Place, entry: Entry) -> Size:
    """The size of all frames of a folder, from their headers alone.

    Raises `ClipError` with both sizes where they differ, and for a file that is no image.
    """
    first: Size | None = None
    for name, file in zip(entry.names, entry.files, strict=True):
        size = frame_size(place, file)
        first = first or size
        if size != first:
            raise ClipError(
                f"frames of different sizes: {entry.names[0]} is {first[0]}x{first[1]}, {name} is {size[0]}x{size[1]}"
            )
    assert first is not None  # an entry has frames
    return first


def read_frames(place: Place, entry: Entry, indices: Sequence[int]) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """The frames of these indices as RGB. Raises `ClipError` for one that is damaged, and `MachineFault`."""
    files = entry.files
    for index in indices:
        with local_image(place, files[index]) as path:
            frame = decoders.read_image(path, entry.path, name_of(files[index]))
        yield frame


def frame_size(place: Place, file: str) -> Size:
    """Width and height of one image: read here where its header needs no decoder. Raises as `read_frames`."""
    name = name_of(file)
    try:
        with opened(place, file) as handle, open_image(handle, name, PYTHON_HEADERS) as image:
            return image.size
    except NoImage:
        with local_image(place, file) as path:
            return decoders.image_size(path, file, name)


def name_of(file: str) -> str:
    """The name of an image within its folder."""
    return file.rpartition("/")[2]


@contextmanager
def opened(place: Place, file: str) -> Iterator[IO[bytes]]:
    """One image for reading. Raises `ClipError` for damage, of the archive that holds it too."""
    try:
        with place.open_file(file) as handle:
            yield handle
    except DAMAGE as error:
        raise ClipError(f"damaged: {name_of(file)}: {error}") from error


@contextmanager
def local_image(place: Place, file: str) -> Iterator[Path]:
    """A path that leads to one image. Raises `ClipError` where it cannot be unpacked, and `MachineFault`."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(place.local(file))
        except ClipError as error:
            name = name_of(file)
            raise error if name in str(error) else ClipError(f"damaged: {name}: {error}") from error
        yield path
