"""Arrays on disk that belong to this process alone: what is unpacked or gathered, mapped instead of held in memory.

The file has no name where the system allows that, and is gone with the process, however that ends.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from latte_eval.core.errors import MachineFault

# What is left free on the disk: others need it too.
LEFT_FREE = 2**30

# Bytes that are written between two looks at the free space.
LOOK_BYTES = 2**27


class Spool:
    """A temporary file that arrays are written to, one after the other, and read from as mapped arrays.

    Args:
        advice: what to do where the disk is too small for it.
    """

    def __init__(self, advice: str = "make room there, or set TMPDIR to another disk"):
        self.advice, self.size, self.looked = advice, 0, 0
        self.file: Any = tempfile.TemporaryFile()  # noqa: SIM115 arrays that are mapped outlive it
        weakref.finalize(self, self.file.close)

    def add(self, array: np.ndarray) -> None:
        """Write an array of uint8 or of another type. Raises `MachineFault` where the disk is too small."""
        self.add_bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def add_bytes(self, data: Any) -> None:
        """Write bytes. Raises `MachineFault`."""
        self.check_room(len(data))
        self.file.write(data)
        self.size += len(data)

    def check_room(self, count: int) -> None:
        """Raise `MachineFault` if so many bytes more would fill the disk."""
        if self.looked and self.size + count - self.looked < LOOK_BYTES:
            return
        self.looked = self.size + count
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free - count < LEFT_FREE:
            raise MachineFault(
                f"{tempfile.gettempdir()} has {free / 2**30:.1f} GiB left after {self.size / 2**30:.1f} GiB of clips "
                f"were put there: {self.advice}"
            )

    def array(self, shape: tuple[int, ...], dtype: Any = np.uint8, order: Literal["C", "F"] = "C") -> np.ndarray:
        """All that was written, mapped. # -> [shape]"""
        self.file.flush()
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(self.file, dtype, "r", 0, shape, order)

    def arrays(self, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:  # -> [shape] uint8 each
        """The arrays of uint8 that were written, one after the other, in one mapping: systems allow only so many."""
        ends = np.cumsum([0, *map(math.prod, shapes)])
        flat = self.array((int(ends[-1]),))
        return [flat[ends[i] : ends[i + 1]].reshape(shape) for i, shape in enumerate(shapes)]
