"""Influence values of a Fréchet distance: how much each row changes it, from one decomposition.

With S1 = L L^T, M = L^T S2 L = Q diag(s^2) Q^T and centred samples, the derivative of F along one more real sample x or
fake sample y is

    psi(x) = -2 (m2 - m1).x + |x|^2 - x^T T12 x - (tr S1 - sum s),   T12 = L^-T Q diag(s) Q^T L^-1
    psi(y) =  2 (m2 - m1).y + |y|^2 - y^T T21 y - (tr S2 - sum s),   T21 = L Q diag(1/s) Q^T L^T

(Rippl, Munk and Sturm 2016). SE^2 = Var psi(x) / N1 + Var psi(y) / N2, summed over the rows of a source video first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from latte_eval.metrics.deletion import double_centred
from latte_eval.metrics.frechet import has_few_rows
from latte_eval.metrics.moments import BLOCK_ROWS, Moments, feature_pair

# Below this share of the largest s, 1/s is only rounding error.
SMALLEST = 1e-7


def influence_values(
    real_features: Any, fake_features: Any, ddof: int = 0
) -> tuple[np.ndarray, np.ndarray]:  # [N1, D], [N2, D] -> [N1], [N2] float64
    """Influence of each real and each fake row on the Fréchet distance; those of each side have mean 0.

    A row with value v raises the distance by about v / N. Outliers are among the rows with the largest values.
    Covariances are divided by N - ddof: with S1 stretched by a and S2 by b, |x|^2 counts a times, T12 sqrt(a b) times.
    Raises what the distance raises.
    """
    real, fake = feature_pair(real_features, fake_features)
    transports = transports_from_rows if has_few_rows(real, fake) else transports_from_moments
    real_map, fake_map = transports(real, fake)
    gap = fake.mean(axis=0, dtype=np.float64) - real.mean(axis=0, dtype=np.float64)
    stretch = [len(rows) / (len(rows) - ddof) for rows in (real, fake)]
    both = np.sqrt(stretch[0] * stretch[1])
    real_values = side_influence(real, -2 * gap, both * real_map, stretch[0])
    return real_values, side_influence(fake, 2 * gap, both * fake_map, stretch[1])


def side_influence(rows: np.ndarray, slope: np.ndarray, mapped: np.ndarray, stretch: float) -> np.ndarray:
    """slope.x + stretch |x|^2 - x^T T x of centred rows, minus its mean."""
    values = np.concatenate([x @ slope + stretch * (x**2).sum(axis=1) for x in centred_blocks(rows)]) - mapped
    return values - values.mean()


def centred_blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows minus their mean in float64, one block at a time."""
    mean = rows.mean(axis=0, dtype=np.float64)
    for start in range(0, len(rows), BLOCK_ROWS):
        yield rows[start : start + BLOCK_ROWS] - mean


def transports_from_rows(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x^T T12 x and y^T T21 y of every row, by the singular vectors of the centred cross matrix."""
    origin = real.mean(axis=0, dtype=np.float64)
    cross = double_centred((real - origin) @ (fake - origin).T) / np.sqrt(len(real) * len(fake))
    left, s, right = np.linalg.svd(cross, full_matrices=False)
    return len(real) * (left**2 @ s), len(fake) * (right.T**2 @ s)


def transports_from_moments(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x^T T12 x and y^T T21 y of every row, by D x D decompositions."""
    values, vectors = np.linalg.eigh(Moments.from_features(real).cov)
    kept = values > values[-1] * SMALLEST**2
    root, scale = vectors[:, kept] * np.sqrt(values[kept]), np.sqrt(values[kept])
    squares, turn = np.linalg.eigh(root.T @ Moments.from_features(fake).cov @ root)
    s = np.sqrt(squares.clip(min=0))
    inverse = np.divide(1, s, where=s > SMALLEST * s.max(initial=0), out=np.zeros_like(s))
    back = (vectors[:, kept] / scale) @ turn
    return quadratic_form(real, back, s), quadratic_form(fake, root @ turn, inverse)


def quadratic_form(rows: np.ndarray, basis: np.ndarray, weights: np.ndarray) -> np.ndarray:  # [N, D], [D, r], [r]
    """sum_i weights_i (x . basis_i)^2 of every centred row."""
    return np.concatenate([(x @ basis) ** 2 @ weights for x in centred_blocks(rows)])


def mean_variance(values: np.ndarray, names: Sequence[str]) -> float:
    """Variance of the mean of `values`, which have mean 0, when rows of one name are not independent."""
    _, inverse = np.unique(np.asarray(names), return_inverse=True)
    sums = np.bincount(inverse, weights=values)
    videos = len(sums)
    return float((sums**2).sum() / len(values) ** 2 * videos / max(videos - 1, 1))
