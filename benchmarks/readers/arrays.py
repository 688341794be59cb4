"""Videos in array files: npy, npz, safetensors, HDF5, and pt of tensors alone. Nothing that a file holds is run.

[N, T, H, W, 3], [N, T, 3, H, W] or [N, 3, T, H, W] uint8: N videos
[T, H, W, 3], [T, 3, H, W] or [3, T, H, W] uint8: one
"""

from __future__ import annotations

import json
import lzma
import pickle
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from latte_eval.benchmarks.readers.animations import Damaged
from latte_eval.benchmarks.readers.array_files import LOADERS, Arrays, Stretch, load_arrays
from latte_eval.core.errors import ClipError, first_line
from latte_eval.core.layouts import LAYOUTS, STORE_OTHERWISE, shape_to_layout, values_to_complaint

ARRAY_SUFFIXES = tuple(LOADERS)

# What numpy, torch, safetensors and h5py raise for a file that is damaged or holds more than arrays.
UNLOADABLE = (OSError, ValueError, EOFError, RuntimeError, KeyError, TypeError, ArithmeticError, MemoryError,
              AttributeError, IndexError, SyntaxError, RecursionError, NotImplementedError, struct.error,
              zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError,
              json.JSONDecodeError, pickle.UnpicklingError)  # fmt: skip

# `samples.npz:videos`: one of several arrays in a file.
NAMED = re.compile(rf"(.+({'|'.join(map(re.escape, ARRAY_SUFFIXES))})):(.+)", re.IGNORECASE)

# Bytes of values that are looked at together.
BLOCK_BYTES = 2**24


def is_array(path: Path) -> bool:
    """Whether a file holds arrays, by its name."""
    return path.suffix.lower() in ARRAY_SUFFIXES


def split_name(path: Path) -> tuple[Path, str]:
    """`samples.npz:videos` -> the file and the name of one array in it; an empty name where none is given."""
    found = NAMED.fullmatch(str(path))
    return (Path(found[1]), found[3]) if found and Path(found[1]).is_file() and not path.exists() else (path, "")


def open_videos(path: Path | Stretch, name: str = "", suffix: str = "") -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """The videos of a file, mapped from disk where its format allows. Raises `ClipError` for anything else.

    Args:
        path: the file, or the part of an archive that is one.
        name: of the array; empty where the file holds one alone.
        suffix: of the file, where it lies in an archive.
    """
    with unloadable_refused():
        stretch = path if isinstance(path, Stretch) else Stretch.whole(path)
        return load_videos(stretch, suffix or stretch.path.suffix, name, stretch.path.stat().st_mtime_ns)


@contextmanager
def unloadable_refused() -> Iterator[None]:
    """What readers of arrays raise becomes a `ClipError`."""
    from safetensors import SafetensorError

    try:
        yield
    except (*UNLOADABLE, SafetensorError) as error:
        raise ClipError(f"cannot be read as arrays alone: {first_line(error)}") from error


@lru_cache(maxsize=16)
def load_videos(stretch: Stretch, suffix: str, name: str, time: int) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """As `open_videos`; the size and the time of the file tell it from an earlier one."""
    return to_videos(choose_array(load_arrays(stretch, suffix), name))


def choose_array(found: Arrays, name: str) -> np.ndarray:
    """The array of that name, or the one that may be videos. Raises `ClipError` where there is none, or several."""
    shapes = ", ".join(f"{each} {array.shape}" for each, array in found.items()) or "none"
    if name:
        if name not in found:
            raise ClipError(f"holds no array called {name!r} ({shapes})")
        return found[name]
    videos = {each: array for each, array in found.items() if array.ndim in (4, 5)}
    if len(videos) == 1:
        return next(iter(videos.values()))
    if len(videos) > 1:
        shapes = ", ".join(f"{each} {array.shape}" for each, array in videos.items())
        advice = f"name one behind the file, as in FILE:{next(iter(videos))}"
        raise ClipError(f"holds {len(videos)} arrays of 4 or 5 dimensions ({shapes}); {advice}")
    raise ClipError(f"holds 0 arrays of 4 or 5 dimensions ({shapes}); videos are [N, T, H, W, 3] uint8")


def to_videos(
    array: np.ndarray, layout: str | None = None, advice: str = STORE_OTHERWISE
) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """An array of 4 or 5 dimensions in the one layout, a view of the same memory.

    Raises `ClipError` for other numbers than uint8, an unclear layout, or nothing at all.
    """
    if array.ndim in (4, 5) and 0 in array.shape:
        raise ClipError(f"holds no videos: shape {array.shape}")
    axis = LAYOUTS[shape_to_layout(array.shape, layout, advice)]
    if array.dtype != np.uint8:
        raise ClipError(values_of(array).complaint)
    return np.moveaxis(array if array.ndim == 5 else array[None], axis, 4)


@dataclass(frozen=True)
class Values:
    """What the values of an array are.

    Attributes:
        low, high: of those that are numbers.
        unusable: how many are NaN or infinite.
    """

    dtype: str
    low: float
    high: float
    unusable: int = 0

    @property
    def complaint(self) -> str:
        """What is wrong with them and what to type."""
        return values_to_complaint(self.dtype, self.low, self.high, self.unusable)

    def and_those(self, other: Values) -> Values:
        """Those of two parts together."""
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Values(self.dtype, low, high, self.unusable + other.unusable)


def values_of(array: np.ndarray) -> Values:
    """The range of all values of an array, a block at a time. Raises `ClipError` for what is no real number."""
    if array.dtype.kind not in "fiub":
        raise ClipError(f"{array.dtype}: a clip is uint8 RGB, 0 to 255")
    found = Values(str(array.dtype), np.inf, -np.inf)
    for block in blocks(array):
        usable = np.isfinite(block) if block.dtype.kind == "f" else None
        values = block if usable is None or usable.all() else block[usable]
        count = block.size - values.size
        low, high = (float(values.min()), float(values.max())) if values.size else (np.inf, -np.inf)
        found = found.and_those(Values(found.dtype, low, high, count))
    return found


def blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array in parts of about `BLOCK_BYTES`."""
    rows = max(1, BLOCK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        if rows == 1 and block.nbytes > BLOCK_BYTES and block[0].ndim:
            yield from blocks(block[0])
        else:
            yield block


def check_range(videos: Sequence[np.ndarray], what: str = "") -> None:  # [T, H, W, 3] uint8 each
    """Raise `ClipError` where several videos hold no value above 1: floats in 0..1 that were cast without `* 255`."""
    highest = (int(block.max()) for video in videos for block in blocks(video))
    if len(videos) > 1 and not any(high > 1 for high in highest):
        raise ClipError(
            f"{what}every value of its {len(videos):,} videos is 0 or 1 of 255: floats in 0..1 were cast to uint8 as "
            "they were; type (x * 255).round() before the cast"
        )


def read_array(
    video: np.ndarray, indices: Sequence[int]
) -> Iterator[np.ndarray]:  # [T, H, W, 3] uint8 -> [H, W, 3] uint8 each
    """These frames of one video. Raises `ClipError`."""
    for index in indices:
        if index >= len(video):
            raise Damaged(index, f"it ends before frame {index}")
        yield np.ascontiguousarray(video[index])


def count_videos(path: Path | Stretch, name: str = "", suffix: str = "") -> int:
    """How many videos a file holds, after a look at all of its values. Raises `ClipError`."""
    videos = open_videos(path, name, suffix)
    check_range(list(videos))
    return len(videos)
