"""`Moments` as one tensor, so that a state of torchmetrics holds them and processes exchange them at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latte_eval.metrics.moments import Moments

# Rows before those of the outer products: the count, the sum, the origin.
HEAD = 3


def no_moments(dimensions: int) -> Tensor:  # -> [3 + D, D] float64
    """The moments of no rows."""
    return torch.zeros(HEAD + dimensions, dimensions, dtype=torch.float64)


def pack_moments(moments: Moments) -> Tensor:  # -> [3 + D, D] float64
    """Count, sum, origin and outer products below each other."""
    packed = np.empty((HEAD + moments.dimensions, moments.dimensions))
    packed[0], packed[1], packed[2], packed[HEAD:] = moments.n, moments.sum, moments.origin, moments.outer
    return torch.from_numpy(packed)


def unpack_moments(packed: Tensor) -> Moments:  # [3 + D, D] float64
    """The inverse of `pack_moments`."""
    table = packed.detach().cpu().numpy()
    return Moments(int(table[0, 0]), table[1], table[HEAD:], table[2])


def add_rows(packed: Tensor, rows: np.ndarray) -> Tensor:  # [3 + D, D] float64, [N, D] -> [3 + D, D] float64
    """The moments with those of more feature rows, about the same origin where there is one."""
    before = unpack_moments(packed)
    more = Moments.from_features(rows, np.array(before.origin) if before.n else None)
    return pack_moments(before + more).to(packed.device)


def merge_moments(stacked: Tensor) -> Tensor:  # [P, 3 + D, D] float64 -> [3 + D, D] float64
    """The moments of the rows of P processes together, each about an origin of its own; some may have no rows."""
    parts = [unpack_moments(each) for each in stacked]
    return pack_moments(sum(parts[1:], parts[0])).to(stacked.device)
