"""Features as rows for the analysis of single clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from latte_eval.evaluation.extract import Features


def clip_rows(features: Features) -> np.ndarray:  # [N, D] or [N, T, D] -> [N, D] float64
    """One row a clip: of an image detector the mean over the frames."""
    array = features.outputs["features"]
    return array.astype(np.float64) if array.ndim == 2 else array.mean(axis=1, dtype=np.float64)


def take(features: Features, rows: Sequence[int] | np.ndarray) -> Features:
    """Some of the clips."""
    rows = [int(row) for row in rows]
    labels = None if features.labels is None else [features.labels[row] for row in rows]
    return dataclasses.replace(
        features,
        outputs={name: array[rows] for name, array in features.outputs.items()},
        indices=[features.indices[row] for row in rows],
        groups=[features.groups[row] for row in rows],
        labels=labels,
    )
