"""Randomness by identity: a random number depends on what it is for, never on batch, worker or rank."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# Of the sum of four 16-bit fields, each uniform.
FIELDS_MEAN, FIELDS_STD = 4 * 65535 / 2, math.sqrt(4 * (65536**2 - 1) / 12)
EVEN_FIELDS = np.uint64(0x0000FFFF0000FFFF)


def identity_to_seed(*identity: object) -> int:
    """A 64-bit seed from the parts of an identity, such as ("clip", seed, index); names need not be UTF-8."""
    text = "\x1f".join(str(part) for part in identity)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def numpy_generator(*identity: object) -> np.random.Generator:
    """A numpy generator (Philox) that belongs to one identity."""
    return np.random.Generator(np.random.Philox(key=identity_to_seed(*identity)))


def clip_generator(seed: int, index: int, block: int = 0) -> torch.Generator:
    """The generator of clip `index`: its label, its initial noise and every step's noise come from it.

    It lives on the CPU, so that a clip's noise is the same on every device. Every later block of a clip that is made
    block after block has one of its own.
    """
    import torch

    return torch.Generator().manual_seed(identity_to_seed("clip", seed, index, *([block] if block else [])) % 2**63)


def words_to_normal(words: np.ndarray) -> np.ndarray:  # [N] uint64 -> [N] float32, mean 0, variance 1
    """Approximately normal values from random words: each is the sum of four 16-bit fields, centred and scaled.

    Integers until the last division, so that the values are the same on every platform and numpy version.
    """
    pairs = (words & EVEN_FIELDS) + (words >> np.uint64(16) & EVEN_FIELDS)
    total = (pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32))
    return ((total.astype(np.float64) - FIELDS_MEAN) / FIELDS_STD).astype(np.float32)
