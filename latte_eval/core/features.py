"""`Features`: what one detector says about the clips of one source, and rows made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latte_eval.core.clips import Rejected


@dataclass(frozen=True)
class Features:
    """What one detector says about one source.

    Attributes:
        outputs: by name, such as `features` [N, 400]; row i belongs to clip `indices[i]`.
        indices: candidate index of each clip.
        groups: the source video of each clip; clips of one group are not independent.
        rejected: candidates that could not be used.
        labels: the class of each clip; None where there are no classes, or none were stored.
    """

    outputs: dict[str, np.ndarray]
    indices: list[int]
    groups: list[str]
    rejected: list[Rejected]
    labels: list[int] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, count: int | None) -> Features:
        """The first `count` clips; all of them for None."""
        return self.take(range(len(self) if count is None else min(count, len(self))))

    def take(self, rows: Sequence[int] | np.ndarray) -> Features:
        """Some of the clips, by row."""
        rows = [int(row) for row in rows]
        return dataclasses.replace(
            self,
            outputs={name: array[rows] for name, array in self.outputs.items()},
            indices=[self.indices[row] for row in rows],
            groups=[self.groups[row] for row in rows],
            labels=None if self.labels is None else [self.labels[row] for row in rows],
        )


def feature_rows(features: Features) -> tuple[np.ndarray, list[str]]:
    """Rows and the group of each row; an image detector gives one row per frame. # [N, D] or [N, T, D] -> [M, D]"""
    array = features.outputs["features"]
    if array.ndim == 2:
        return array, features.groups
    return array.reshape(-1, array.shape[-1]), [group for group in features.groups for _ in range(array.shape[1])]


def framed(features: Features, rule: str) -> Features:
    """Features with one row a clip by a rule: the `first` frame's or the `mean` of all; `all` leaves a row a frame.

    Where a clip has one row already, nothing changes.
    """
    array = features.outputs.get("features")
    if rule == "all" or array is None or array.ndim == 2:
        return features
    rows = array[:, 0] if rule == "first" else array.mean(axis=1, dtype=np.float64)
    return dataclasses.replace(features, outputs={**features.outputs, "features": rows})


def clip_rows(features: Features) -> np.ndarray:  # [N, D] or [N, T, D] -> [N, D] float64
    """One row per clip: for an image detector, the mean over the frames."""
    array = features.outputs["features"]
    return array.astype(np.float64) if array.ndim == 2 else array.mean(axis=1, dtype=np.float64)
