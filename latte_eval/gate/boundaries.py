"""How far a statistic must be from 0 at each of several looks, so that all of them together err at a stated rate.

Spending functions: Lan and DeMets 1983. Successive looks at growing sets of clips have independent increments; the
recursion is that of Armitage, McPherson and Rowe 1969.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtrit

GRID = 1201
FURTHEST = 8.5


def spending_boundaries(fractions: Sequence[float], alpha: float) -> list[float]:
    """One-sided normal boundaries that have spent alpha t^2 of the error by information fraction t.

    Args:
        fractions: growing, above 0; the last is 1 where the budget is used up.
        alpha: error rate over all looks, in one direction.

    Raises `ValueError` for fractions that do not grow.
    """
    steps = np.diff([0.0, *fractions])
    if not len(steps) or steps.min() <= 0:
        raise ValueError(f"information must grow from look to look, not {list(fractions)}")
    spent = np.diff([0.0, *(alpha * t**2 for t in fractions)])
    points, weights, boundaries = np.zeros(1), np.ones(1), []
    for step, share, fraction in zip(np.sqrt(steps), spent, fractions, strict=True):
        bound = crossing(points, weights, step, share, float(np.sqrt(fraction)))
        boundaries.append(bound / float(np.sqrt(fraction)))
        points, weights = continued(points, weights, step, bound, float(np.sqrt(fraction)))
    return boundaries


def crossing(points: np.ndarray, weights: np.ndarray, step: float, share: float, scale: float) -> float:
    """The level that the next step passes with probability `share`."""
    return float(brentq(lambda b: weights @ ndtr((points - b) / step) - share, -FURTHEST * scale, FURTHEST * scale))


def continued(
    points: np.ndarray, weights: np.ndarray, step: float, bound: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The distribution of what has not crossed, as points and their probability, by Simpson's rule."""
    fresh = np.linspace(-FURTHEST * scale, bound, GRID)
    density = np.exp(-0.5 * ((fresh[:, None] - points) / step) ** 2) @ weights / (step * np.sqrt(2 * np.pi))
    simpson = np.full(GRID, 2.0)
    simpson[1::2], simpson[[0, -1]] = 4.0, 1.0
    return fresh, density * simpson * (fresh[1] - fresh[0]) / 3


def student_boundary(boundary: float, degrees: int) -> float:
    """The Student quantile that is passed as rarely as a normal boundary."""
    return -float(stdtrit(degrees, ndtr(-boundary)))


def normal_quantile(probability: float) -> float:
    """1.645 for .95."""
    return float(ndtri(probability))


def rounds(budget: int) -> list[int]:
    """Clips at each look: a quarter, a half and all of the budget, none below 16 unless the budget is."""
    return sorted({max(16, budget // 4), max(16, budget // 2), budget}) if budget > 16 else [budget]
