"""Fréchet distance of 2048-d moments against scipy's general matrix square root.

The baseline is how StyleGAN-V, Latte's tools and pytorch-fid compute it: scipy.linalg.sqrtm(S2 @ S1).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import sqrtm

from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured, relative
from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.metrics import Moments, frechet_distance

DIMENSIONS, ROWS = 2048, 4096


def general_root(real: Moments, fake: Moments) -> float:
    """The same distance through the square root of the product, which is not symmetric."""
    gap = real.mean - fake.mean
    real_cov, fake_cov = real.cov, fake.cov
    root = np.real(sqrtm(fake_cov @ real_cov))
    return float(gap @ gap + np.trace(real_cov + fake_cov - 2 * root))


def two_sides(dimensions: int, rows: int) -> tuple[Moments, Moments]:
    """Moments of features with a spectrum that falls as 1/k, as those of detectors do."""
    random = np.random.default_rng(0)
    scale = np.arange(1, dimensions + 1) ** -0.5
    real, fake = (random.standard_normal((rows, dimensions)) * scale for _ in range(2))
    return Moments.from_features(real), Moments.from_features(1.2 * fake + 0.1 * scale)


def measure(material: Material, turns: int) -> Measured:
    """Seconds of both for the same moments."""
    sides = two_sides(DIMENSIONS, ROWS)
    return take_turns(lambda: frechet_distance(*sides), lambda: general_root(*sides), turns, relative, warm=0)
