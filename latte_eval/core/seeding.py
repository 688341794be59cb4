"""Randomness by identity: a random number depends on what it is for, never on batch, worker or rank."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def identity_to_seed(*identity: object) -> int:
    """A 64-bit seed from the parts of an identity, such as ("clip", seed, index); names need not be UTF-8."""
    text = "\x1f".join(str(part) for part in identity)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def numpy_generator(*identity: object) -> np.random.Generator:
    """A numpy generator (Philox) that belongs to one identity."""
    return np.random.Generator(np.random.Philox(key=identity_to_seed(*identity)))


def clip_generator(seed: int, index: int) -> torch.Generator:
    """The generator of clip `index`: its label, its initial noise and every step's noise come from it.

    It lives on the CPU, so that a clip's noise is the same on every device.
    """
    import torch

    return torch.Generator().manual_seed(identity_to_seed("clip", seed, index) % 2**63)
