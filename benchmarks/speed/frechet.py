"""Fréchet distance of 2048-d moments against scipy's general matrix square root, in one run, as markdown rows.

    OPENBLAS_NUM_THREADS=1 python benchmarks/speed/frechet.py

The baseline is how StyleGAN-V, Latte's tools and pytorch-fid compute it: scipy.linalg.sqrtm(S2 @ S1).
With one thread, processor seconds mean something on a busy machine too.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import scipy
from scipy.linalg import sqrtm

from latte_eval.metrics import Moments, frechet_distance


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


def seconds_of(function: Callable[[Moments, Moments], float], sides: tuple[Moments, Moments]) -> np.ndarray:
    """Wall-clock seconds, processor seconds and value of one call."""
    wall, busy = time.perf_counter(), time.process_time()
    value = function(*sides)
    return np.array([time.perf_counter() - wall, time.process_time() - busy, value])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sides = two_sides(arguments.dimensions, arguments.rows)
    ours, theirs = (
        np.min([seconds_of(each, sides) for _ in range(arguments.repeats)], axis=0)
        for each in (frechet_distance, general_root)
    )
    where = f"{platform.machine()}, numpy {np.__version__}, scipy {scipy.__version__}"
    for clock, fast, slow in zip(("wall clock", "processor"), ours, theirs, strict=False):
        print(f"| Fréchet distance, {arguments.dimensions}-d, {clock} | scipy sqrtm {slow:.2f} s | {fast:.2f} s | "
              f"{slow / fast:.1f}x | relative difference {abs(ours[2] / theirs[2] - 1):.0e} | {where} |")  # fmt: skip


if __name__ == "__main__":
    main()
