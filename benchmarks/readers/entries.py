"""What should be one video: a video file, or all frames in one folder. Its place in the order, and its class."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from latte_eval.benchmarks.readers.places import join
from latte_eval.core.seeding import identity_to_seed


@dataclass(frozen=True, slots=True)
class Entry:
    """What should be one video.

    Attributes:
        path: its name: the relative path of the video file or of the folder of frames.
        kind: `video`, `frames` or `array`.
        folder: where its files lie, relative to the place.
        names: the video file, or the frames in their order.
        stamp: changes when a file changes.
        problem: why it cannot be one video, as far as listing tells; empty where it can.
        number: which video of an array it is.
        array: name of the array in its file, where a person gave one.
    """

    path: str
    kind: str
    folder: str
    names: tuple[str, ...]
    stamp: str
    problem: str = ""
    number: int = 0
    array: str = ""

    @property
    def identity(self) -> str:
        """What random choices depend on: the path without the suffix of a video file.

        So a copy that was converted to another format keeps its place and its windows.
        """
        return posixpath.splitext(self.path)[0] if self.kind == "video" else self.path

    @property
    def files(self) -> list[str]:
        """Relative paths of its files."""
        return [join(self.folder, name) for name in self.names]


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Sort key by which frame2 comes before frame10; padded names sort as usual."""
    parts = re.split(r"([0-9]+)", name.rpartition(".")[0])  # text and numbers in turn
    return [number_key(part) if i % 2 else part for i, part in enumerate(parts)], name


def number_key(digits: str) -> tuple[int, str]:
    """A key that orders digits as numbers and is equal for equal numbers, however many digits they have.

    Python makes no integer of more than 4,300 digits, and names within an archive may have them.
    """
    digits = digits.lstrip("0")
    return len(digits), digits


def path_key(entry: Entry) -> tuple[list[str], str]:
    """Sort key of StyleGAN-V's order: by folder names, where a video file counts as the folder of its frames."""
    return entry.identity.split("/"), entry.path


def selection_key(selection: str, seed: int, entry: Entry, window: int) -> tuple[object, ...]:
    """Where a window of an entry stands in the order in which clips are chosen.

    `sorted` is the order of paths. `seeded` is the order of a hash of the seed, the path and the window: a video that
    is added finds its own place and does not change the order of the others.
    """
    if selection == "sorted":
        return (*path_key(entry), window)
    return (identity_to_seed("selection", seed, entry.identity, window), entry.path, window)


def number_classes(classes: Sequence[str], entries: Iterable[Entry]) -> dict[str, int]:
    """Numbers of the classes in their order; empty where no entry lies in a class folder."""
    numbers = {name: number for number, name in enumerate(classes)}
    return numbers if any(class_of(entry, numbers) is not None for entry in entries) else {}


def class_of(entry: Entry, classes: dict[str, int]) -> int | None:
    """The class after which the innermost class folder around an entry is named, or None."""
    return next((classes[name] for name in reversed(entry.path.split("/")[:-1]) if name in classes), None)
