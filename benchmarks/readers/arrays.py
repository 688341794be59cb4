"""Videos in array files: npy, npz, and pt of tensors alone. Nothing that a file holds is run.

[N, T, H, W, 3], [N, T, 3, H, W] or [N, 3, T, H, W] uint8: N videos
[T, H, W, 3], [T, 3, H, W] or [3, T, H, W] uint8: one
"""

from __future__ import annotations

import lzma
import pickle
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from latte_eval.benchmarks.readers.animations import Damaged
from latte_eval.core.errors import ClipError

ARRAY_SUFFIXES = (".npy", ".npz", ".pt", ".pth")

# What numpy and torch raise for a file that is damaged or holds more than arrays.
UNLOADABLE = (OSError, ValueError, EOFError, RuntimeError, KeyError, TypeError, ArithmeticError, MemoryError,
              SyntaxError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError,
              pickle.UnpicklingError)  # fmt: skip

# Where the colours are in [N, T, H, W, 3], [N, T, 3, H, W] and [N, 3, T, H, W].
LAYOUTS = {4: "[N, T, H, W, 3]", 2: "[N, T, 3, H, W]", 1: "[N, 3, T, H, W]"}


def is_array(path: Path) -> bool:
    """Whether a file holds arrays, by its name."""
    return path.suffix.lower() in ARRAY_SUFFIXES


def open_videos(path: Path) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """The videos of a file, mapped from disk where its format allows. Raises `ClipError` for anything else."""
    try:
        status = path.stat()
        return load_videos(path, status.st_size, status.st_mtime_ns)
    except UNLOADABLE as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ClipError(f"cannot be read as arrays alone: {first}") from error


@lru_cache(maxsize=2)
def load_videos(path: Path, size: int, time: int) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """As `open_videos`; the size and the time of the file tell it from an earlier one."""
    found = {name: array for name, array in load_arrays(path).items() if array.ndim in (4, 5)}
    if len(found) != 1:
        names = ", ".join(f"{name} {array.shape}" for name, array in found.items()) or "none"
        raise ClipError(f"holds {len(found)} arrays of 4 or 5 dimensions ({names}); store one, the videos, in a file")
    return to_videos(next(iter(found.values())))


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name. Raises one of `UNLOADABLE`."""
    if path.suffix.lower() == ".npy":
        return {"array": np.load(path, mmap_mode="r", allow_pickle=False)}
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    import torch

    loaded = torch.load(path, map_location="cpu", weights_only=True)
    named = loaded if isinstance(loaded, dict) else {"tensor": loaded}
    return {str(name): value.numpy() for name, value in named.items() if isinstance(value, torch.Tensor)}


def to_videos(array: np.ndarray) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """An array of 4 or 5 dimensions in the one layout. Raises `ClipError` for other numbers, or an unclear layout."""
    if array.dtype != np.uint8:
        low, high = array[:1].min(), array[:1].max()  # one video tells the range
        raise ClipError(f"{array.dtype} from {low:.4g} to {high:.4g}: store uint8, such as {to_uint8(array)}")
    videos = array if array.ndim == 5 else array[None]
    fitting = [axis for axis in LAYOUTS if videos.shape[axis] == 3]
    if len(fitting) != 1:
        may_be = " or ".join(LAYOUTS[axis] for axis in fitting) or f"none of {', '.join(LAYOUTS.values())}"
        raise ClipError(f"shape {array.shape} may be {may_be}; store mp4 files, or [N, T, H, W, 3] without other 3s")
    return np.moveaxis(videos, fitting[0], 4)


def to_uint8(array: np.ndarray) -> str:
    """What to type to bring numbers to 0..255, by their range."""
    if array.dtype.kind != "f":
        return "x.astype('uint8') after a look at the values"
    return "((x + 1) * 127.5).round().astype('uint8')" if array[:1].min() < 0 else "(x * 255).round().astype('uint8')"


def read_array(path: Path, number: int, indices: Sequence[int]) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """These frames of one video of a file. Raises `ClipError`."""
    video = open_videos(path)[number]
    for index in indices:
        if index >= len(video):
            raise Damaged(index, f"it ends before frame {index}")
        yield np.ascontiguousarray(video[index])


def count_videos(path: Path) -> int:
    """How many videos a file holds. Raises `ClipError`."""
    return len(open_videos(path))
