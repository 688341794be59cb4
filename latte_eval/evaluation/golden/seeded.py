"""The weights, noise and clips that golden outputs were made from, by name and seed: the same on every platform.

A name and a seed give a stream of 64-bit words: Philox4x64-10, its key the first 16 bytes (little endian) of
sha256("<seed>:<name>"). Everything else is integers and one division.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from latte_eval.core.seeding import words_to_normal


def seeded_words(name: str, count: int, seed: int) -> np.ndarray:  # -> [count] uint64
    """Words of the stream of `name`."""
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    return np.random.Philox(key=key).random_raw(count)


def seeded_bytes(name: str, shape: Sequence[int], seed: int) -> np.ndarray:  # -> shape, int64 in 0..255
    """The upper byte of each word."""
    words = seeded_words(name, math.prod(shape), seed)
    return (words >> np.uint64(56)).astype(np.int64).reshape(tuple(shape))


def seeded_normal(name: str, shape: Sequence[int], seed: int) -> np.ndarray:  # -> shape, float32
    """Values of mean 0 and variance 1, approximately normal."""
    return words_to_normal(seeded_words(name, math.prod(shape), seed)).reshape(tuple(shape))


def seeded_tensor(name: str, shape: Sequence[int], seed: int, gain: float = 1.0) -> np.ndarray:
    """The entry `name` of a seeded state dict: float32, or int64 zeros for a counter of batches.

    Matrices and kernels have variance gain^2 / fan-in, norms lie around 1, variances above 0.5, the rest around 0.
    """
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = seeded_normal(name, shape, seed).astype(np.float64)
    if name.endswith("running_var"):
        values = 0.5 + z**2
    elif len(shape) >= 2 and not name.endswith("running_mean"):
        values = z * (gain / math.sqrt(math.prod(shape[1:])))
    else:
        values = 0.1 * z + (1.0 if name.endswith("weight") else 0.0)
    return values.astype(np.float32)


def seeded_clip(name: str, shape: Sequence[int], seed: int) -> np.ndarray:  # -> [..., T, H, W] uint8
    """Blocks of 8x8 pixels that stay for 4 frames, with a quarter of white noise."""
    *lead, frames, height, width = shape
    blocks = seeded_bytes(f"{name}/base", (*lead, -(-frames // 4), -(-height // 8), -(-width // 8)), seed)
    held = blocks.repeat(4, axis=-3).repeat(8, axis=-2).repeat(8, axis=-1)[..., :frames, :height, :width]
    return ((3 * held + seeded_bytes(f"{name}/fine", shape, seed)) // 4).astype(np.uint8)
