"""Inception Score from class probabilities (Salimans et al. 2016, arXiv 1606.03498), for frames and for clips."""

from __future__ import annotations

from typing import Any

import numpy as np

from latte_eval.core.errors import FeatureError, NotEnoughClips
from latte_eval.metrics.moments import feature_table

# universome/stylegan-v@3fecd69 isv2048_ucf.
SHUFFLE_SEED = 42


def inception_score(
    probabilities: Any, splits: int = 10, shuffle_seed: int | None = None
) -> tuple[float, float]:  # [N, K] in [0, 1], rows sum to 1
    """Mean and population standard deviation of exp(mean KL(p(y|x) || p(y))) over equal splits of the rows, in order.

    Args:
        probabilities: one row per clip or frame, numpy or torch.
        splits: 10 in most papers; 1 as in TGANv2 (pfnet-research/tgan2@f892bc4), which repeats over sets of clips.
        shuffle_seed: shuffle the rows with `RandomState(shuffle_seed)` first.

    Split i holds rows i*N//splits to (i+1)*N//splits of the N rows. A probability of exactly 0 adds 0.
    Raises `NotEnoughClips` with fewer rows than splits, `FeatureError` where rows are not probabilities.
    """
    rows = probability_table(probabilities)
    if not 1 <= splits <= len(rows):
        raise NotEnoughClips(f"an Inception Score over {splits} splits takes as many rows; there are {len(rows)}")
    if shuffle_seed is not None:
        rows = rows[np.random.RandomState(shuffle_seed).permutation(len(rows))]
    bounds = [i * len(rows) // splits for i in range(splits + 1)]
    scores = [split_score(rows[start:stop]) for start, stop in zip(bounds, bounds[1:], strict=False)]
    return float(np.mean(scores)), float(np.std(scores))


def video_inception_score(probabilities: Any) -> tuple[float, float]:  # [N, 101] in [0, 1]
    """The Inception Score of clips as in StyleGAN-V's isv2048_ucf: shuffled with seed 42, 10 splits."""
    return inception_score(probabilities, splits=10, shuffle_seed=SHUFFLE_SEED)


def split_score(rows: np.ndarray) -> float:  # [n, K] float64
    """exp of the mean KL divergence of the rows from their mean."""
    mean = rows.mean(axis=0)
    logs = np.log(np.where(rows > 0, rows, 1)) - np.log(np.where(mean > 0, mean, 1))
    return float(np.exp((rows * logs).sum(axis=1).mean()))


def probability_table(probabilities: Any) -> np.ndarray:
    """Probabilities as a [N, K] float64 array. Raises `FeatureError` where rows are not probabilities."""
    rows = feature_table(probabilities).astype(np.float64)
    if rows.size and (rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > 1e-3):
        raise FeatureError(
            f"rows must be probabilities that sum to 1; they range from {rows.min():.4g} to {rows.max():.4g} "
            f"and sum to between {rows.sum(axis=1).min():.4g} and {rows.sum(axis=1).max():.4g}"
        )
    return rows
