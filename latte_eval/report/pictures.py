"""Clips on a page: strips of frames that a stylesheet animates, so that they can be stopped and printed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from latte_eval.previews import Previews, check_strip, strip_frames
from latte_eval.seeding import numpy_generator
from latte_eval.store import write_whole


@dataclass(frozen=True)
class Picture:
    """One clip on a page.

    Attributes:
        side: `fake` or `real`.
        src: path from the page.
        frames: in the strip.
        width, height: of one frame in pixels.
        caption: below it.
        alt: for people who do not see it.
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

    def add(self, strip: bytes, frames: int, side: str, caption: str, alt: str) -> Picture:
        """A picture of one strip. Raises `StoreError` for what is no picture, or cannot be written."""
        width, height = check_strip(strip, caption)
        shown = strip_frames(frames)
        shown = shown if width % shown == 0 else 1
        src = f"pictures/{hashlib.sha256(strip).hexdigest()[:16]}.webp"
        if not (self.folder / src).is_file():
            write_whole(self.folder / src, strip)
        return Picture(side, src, shown, width // shown, height, caption, alt)

    def pictures(
        self, previews: Previews | None, indices: Sequence[int], frames: int, side: str,
        captions: Sequence[str], alts: Sequence[str],
    ) -> list[Picture | None]:  # fmt: skip
        """Pictures of these clips; None for each whose preview was not kept."""
        strips = previews.read(indices) if previews else {}
        return [
            self.add(strips[i], frames, side, caption, alt) if i in strips else None
            for i, caption, alt in zip(indices, captions, alts, strict=True)
        ]


def shown(pictures: Iterable[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture)


def seeded_choice(count: int, of: int, *identity: object) -> list[int]:
    """`count` rows out of `of`, chosen by a hash of their identity, in order: not by how they look."""
    return sorted(int(i) for i in numpy_generator("report", *identity).permutation(of)[:count])
