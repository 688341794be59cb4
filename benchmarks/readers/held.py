"""Videos that are arrays in this process, as a place: what a caller of Python hands over instead of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from latte_eval.benchmarks.readers.arrays import blocks
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.places import File
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError


@dataclass(eq=False)
class HeldVideos:
    """Videos as arrays of this process. They must not be written to as long as they are measured.

    Attributes:
        videos: [T, H, W, 3] uint8 each.
        kind: what a person calls them: `array` or `clips`.
        root, rejected, repeated: of any place; here always empty.
    """

    videos: Sequence[np.ndarray]
    kind: str = "array"
    root: Path = Path()
    rejected: list[Rejected] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def sha256(self) -> str:
        """sha256 (hex) of the values in C order, one video after the other; computed once.

        For an array [N, T, H, W, 3] it is that of `array.tobytes()`.
        """
        digest = hashlib.sha256()
        for video in self.videos:
            for block in blocks(video):
                digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    @property
    def shape(self) -> list[int | None]:
        """[N, T, H, W, 3], with None where videos differ."""
        own = [{video.shape[axis] for video in self.videos} for axis in range(4)]
        return [len(self.videos), *(min(sizes) if len(sizes) == 1 else None for sizes in own)]

    @property
    def about(self) -> dict[str, Any]:
        """What a result says of them: equal arrays have equal digests on every machine."""
        return {"array": {"shape": self.shape, "dtype": "uint8", "sha256": self.sha256}}

    def __str__(self) -> str:
        shape = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.kind} [{shape}] uint8, sha256 {self.sha256[:12]}"

    @property
    def name(self) -> str:
        return str(self)

    def entries(self) -> list[Entry]:
        """Each video as an entry, told by its number and the digest of all."""
        stamp = hashlib.sha256(repr((self.shape, self.sha256)).encode()).hexdigest()
        numbers = range(len(self.videos))
        return [Entry(f"{n:06d}", "array", "", (f"{n:06d}",), stamp, number=n) for n in numbers]

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """None: there are no files."""
        return iter(())

    def content(self, path: str) -> bytes:
        """Nothing: the digest of all values is in the stamps."""
        return b""

    def open_file(self, path: str) -> IO[bytes]:
        """Raises `ClipError`: there are no files."""
        raise ClipError(f"{path} is no file")

    def local(self, path: str) -> AbstractContextManager[Path]:
        """Raises `ClipError`: there are no files."""
        raise ClipError(f"{path} is no file")
