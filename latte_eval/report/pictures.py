"""Clips on a page: strips of frames that a stylesheet animates, so that they can be stopped and printed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from latte_eval.core.seeding import numpy_generator
from latte_eval.files.previews import strip_frames
from latte_eval.files.whole_files import write_replaceable


@dataclass(frozen=True)
class Picture:
    """One clip on a page.

    Attributes:
        side: `fake` or `real`.
        src: path from the page.
        frames: in the strip.
        width, height: of one frame in pixels.
        caption: below it.
        alt: text for people who cannot see it.
    """

    side: str
    src: str
    frames: int
    width: int
    height: int
    caption: str
    alt: str


@dataclass(frozen=True)
class Row:
    """Clips side by side under a heading."""

    title: str
    pictures: tuple[Picture, ...]
    text: str = ""


class Album:
    """Writes the strips that pages show into a folder, each once, named by its content.

    Args:
        folder: of the report; pictures go to `pictures/` in it.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, strip: bytes, size: tuple[int, int], frames: int, side: str, caption: str, alt: str) -> Picture:
        """A picture of one strip; `size` is that of the whole strip. Raises `StoreError` where it cannot be written."""
        shown = strip_frames(frames)
        shown = shown if size[0] % shown == 0 else 1
        src = f"pictures/{hashlib.sha256(strip).hexdigest()[:16]}.webp"
        if not (self.folder / src).is_file():
            write_replaceable(self.folder / src, strip)
        return Picture(side, src, shown, size[0] // shown, size[1], caption, alt)


def shown(pictures: Iterable[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture)


def seeded_choice(count: int, of: int, *identity: object) -> list[int]:
    """`count` rows out of `of`, ascending, chosen by a hash of `identity` and not by how they look."""
    return sorted(int(i) for i in numpy_generator("report", *identity).permutation(of)[:count])
