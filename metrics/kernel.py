"""Kernel distances: the squared maximum mean discrepancy under a polynomial kernel, without bias.

KID is its mean over subsets of Inception features (Binkowski et al. 2018, arXiv 1801.01401); KVD is the full estimate
on I3D features (Unterthiner et al. 2018, arXiv 1812.01717; SongweiGe/TATS@1aa93e1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np

from latte_eval.metrics.jackknife import Tick
from latte_eval.metrics.moments import feature_pair

BLOCK_ELEMENTS = 2**22


@dataclass(frozen=True)
class PolynomialKernel:
    """k(x, y) = (gamma x.y + offset)^degree; gamma None means 1 / D."""

    degree: int = 3
    gamma: float | None = None
    offset: float = 1.0

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [N, D], [M, D] float64 -> [N, M]
        """The kernel of every row of `a` with every row of `b`."""
        return self.of_products(a @ b.T, a.shape[1])

    def diagonal(self, a: np.ndarray) -> np.ndarray:  # [N, D] -> [N] float64
        """The kernel of every row with itself."""
        return self.of_products(np.einsum("nd,nd->n", a, a, dtype=np.float64), a.shape[1])

    def of_products(self, products: np.ndarray, dimensions: int) -> np.ndarray:
        """The kernel from inner products, by repeated multiplication: a general power takes several times longer."""
        gamma = 1 / dimensions if self.gamma is None else self.gamma
        base = products * gamma + self.offset
        return reduce(np.multiply, [base] * self.degree)


POLYNOMIAL = PolynomialKernel()


def kernel_distance(
    real_features: Any, fake_features: Any, degree: int = 3, gamma: float | None = None, offset: float = 1.0
) -> float:  # [N1, D], [N2, D]
    """Unbiased squared MMD of all rows, in float64; it can be below 0 where both sides are almost alike.

    With the default kernel this is KVD as SongweiGe/TATS@1aa93e1 computes it. Pairs of a row with itself do not count.
    Beyond a float64 copy of the rows, memory does not grow with their number. Raises `NotEnoughClips` below two rows
    per side, `NotComparable` for rows of unequal lengths, `FeatureError` where features are not finite.
    """
    return unbiased_mmd(*feature_pair(real_features, fake_features), PolynomialKernel(degree, gamma, offset))


def jedi_distance(real_features: Any, fake_features: Any) -> float:  # [N1, D], [N2, D]
    """JEDi's distance: 100 times the biased squared MMD under (x.y / D)^2, in float64; never below 0.

    Pairs of a row with themselves count (oooolga/JEDi@c03d178): it is too high where rows are few. The kernel is even,
    so it cannot tell features from their negatives. Raises what `kernel_distance` raises.
    """
    real, fake = feature_pair(real_features, fake_features)
    return biased_mmd(real, fake, jedi_kernel(real.shape[1]))


def jedi_kernel(dimensions: int) -> PolynomialKernel:
    """100 (x.y / D)^2."""
    return PolynomialKernel(degree=2, gamma=10 / dimensions, offset=0.0)


def unbiased_mmd(real: np.ndarray, fake: np.ndarray, kernel: PolynomialKernel) -> float:
    """`kernel_distance` of checked rows."""
    return KernelSums(real, fake, np.zeros(len(real), np.int64), np.zeros(len(fake), np.int64), kernel)(())


def biased_mmd(real: np.ndarray, fake: np.ndarray, kernel: PolynomialKernel) -> float:
    """The squared MMD of checked rows with the pairs of a row with itself."""
    labels = np.zeros(len(real), np.int64), np.zeros(len(fake), np.int64)
    return KernelSums(real, fake, *labels, kernel, with_self=True)(())


def kernel_distance_subsets(
    real_features: Any,
    fake_features: Any,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    draw_first: Literal["real", "fake"] = "real",
    kernel: PolynomialKernel = POLYNOMIAL,
) -> tuple[float, float]:  # [N1, D], [N2, D]
    """KID: mean and population standard deviation of the unbiased squared MMD over random subsets.

    Each subset takes min(subset_size, N1, N2) rows of each side without replacement from `RandomState(seed)`. The
    defaults are those of toshas/torch-fidelity@5e211a9; universome/stylegan-v@3fecd69 draws the fake side first and
    prints 1000 times the mean.
    """
    real, fake = feature_pair(real_features, fake_features)
    size, random = min(subset_size, len(real), len(fake)), np.random.RandomState(seed)
    distances = []
    for _ in range(subsets):
        sides = {"real": real, "fake": fake}
        for side in (draw_first, "fake" if draw_first == "real" else "real"):
            sides[side] = sides[side][random.choice(len(sides[side]), size, replace=False)]
        distances.append(unbiased_mmd(sides["real"], sides["fake"], kernel))
    return float(np.mean(distances)), float(np.std(distances))


class KernelSums:
    """Sums of the kernel between parts: enough for the distance without some parts, the features are not read again.

    A call with the parts to leave out, on both sides or on one, gives the squared MMD of the other rows: unbiased, or
    biased where the pairs of a row `with_self` count.
    """

    def __init__(
        self, real: np.ndarray, fake: np.ndarray, real_labels: np.ndarray, fake_labels: np.ndarray,
        kernel: PolynomialKernel = POLYNOMIAL, tick: Tick | None = None, with_self: bool = False,
    ):  # fmt: skip
        self.with_self = with_self
        parts = 1 + int(max(real_labels.max(), fake_labels.max()))
        self.counts = np.bincount(real_labels, minlength=parts), np.bincount(fake_labels, minlength=parts)
        self.real = own_sums(kernel, real, real_labels, parts, tick, with_self)
        self.fake = own_sums(kernel, fake, fake_labels, parts, tick, with_self)
        self.cross = pair_sums(kernel, real, fake, real_labels, fake_labels, parts, tick)

    def __call__(self, deleted: Sequence[int], sides: Sequence[str] = ("real", "fake")) -> float:
        keep = np.ones(len(self.cross), bool)
        keep[list(deleted)] = False
        keep_real, keep_fake = (keep if side in sides else np.ones_like(keep) for side in ("real", "fake"))
        n, m = self.counts[0][keep_real].sum(), self.counts[1][keep_fake].sum()
        others = (n, m) if self.with_self else (n - 1, m - 1)
        within = self.real[np.ix_(keep_real, keep_real)].sum() / (n * others[0])
        within += self.fake[np.ix_(keep_fake, keep_fake)].sum() / (m * others[1])
        return float(within - 2 * self.cross[np.ix_(keep_real, keep_fake)].sum() / (n * m))


def own_sums(
    kernel: PolynomialKernel, rows: np.ndarray, labels: np.ndarray, parts: int, tick: Tick | None, with_self: bool
) -> np.ndarray:
    """[parts, parts] sums of the kernel within one side, with or without the pairs of a row with itself."""
    sums = pair_sums(kernel, rows, rows, labels, labels, parts, tick)
    if with_self:
        return sums
    return sums - np.diag(np.bincount(labels, weights=kernel.diagonal(rows), minlength=parts))


def pair_sums(
    kernel: PolynomialKernel, a: np.ndarray, b: np.ndarray, a_labels: np.ndarray, b_labels: np.ndarray,
    parts: int, tick: Tick | None,
) -> np.ndarray:  # fmt: skip
    """[parts, parts] sums of the kernel over pairs of rows, one block of rows at a time; `tick` after each."""
    b = b.astype(np.float64)
    one_hot, sums = np.eye(parts)[b_labels], np.zeros((parts, parts))
    for block in blocks(len(a), len(b)):
        np.add.at(sums, a_labels[block], kernel(a[block].astype(np.float64), b) @ one_hot)
        if tick:
            tick()
    return sums


def blocks(rows: int, columns: int) -> list[slice]:
    """Rows in blocks whose kernel with `columns` other rows takes a bounded amount of memory."""
    step = max(1, BLOCK_ELEMENTS // columns)
    return [slice(start, start + step) for start in range(0, rows, step)]


def block_count(real: int, fake: int) -> int:
    """How many blocks `KernelSums` works through."""
    return len(blocks(real, real)) + len(blocks(fake, fake)) + len(blocks(real, fake))
