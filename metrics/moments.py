"""`Moments`: all that a Fréchet distance needs of a set of features, in float64; moments of several sets add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.core.errors import FeatureError, NotComparable, NotEnoughClips

BLOCK_ROWS = 4096

# Sums of squares of anything smaller stay finite.
LARGEST = 1e100


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, sum and sum of outer products of feature rows, the latter two of the rows less an origin.

    The origin is a provisional mean. Raw sums of squares would lose the digits of a spread that is small beside the
    mean (Chan, Golub and LeVeque 1983). `a + b` are the moments of both sets together, whatever their origins, so
    features may come in batches, shards or from several processes.

    Attributes:
        n: number of rows.
        sum: [D] float64, of x - origin.
        outer: [D, D] float64, the sum of (x - origin) (x - origin)^T.
        origin: [D] float64; 0 where the sums are raw.
    """

    n: int
    sum: np.ndarray
    outer: np.ndarray
    origin: np.ndarray | float = 0.0

    @classmethod
    def from_features(cls, features: Any, origin: np.ndarray | float | None = None) -> Moments:
        """Moments of feature rows. # [N, D] numpy or torch, any float or int dtype

        Args:
            origin: [D]; None for the mean of the rows. Moments with one origin are added without rounding it.

        Raises:
            FeatureError: they are not a table of finite numbers.
        """
        rows = feature_table(features)
        if origin is None:
            origin = rows.mean(axis=0, dtype=np.float64) if len(rows) else 0.0
        total, outer = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS].astype(np.float64) - origin
            total += block.sum(axis=0)
            outer += block.T @ block
        return cls(len(rows), total, outer, origin)

    def about(self, origin: np.ndarray | float) -> Moments:
        """The same moments, with another origin."""
        if self.origin is origin or np.array_equal(self.origin, origin):
            return self
        move = np.broadcast_to(np.asarray(self.origin, np.float64) - origin, self.sum.shape)
        cross = np.outer(self.sum, move)
        outer = self.outer + cross + cross.T + self.n * np.outer(move, move)
        return Moments(self.n, self.sum + self.n * move, outer, origin)

    def __add__(self, other: Moments) -> Moments:
        check_lengths(self.dimensions, other.dimensions)
        origin = self.origin if self.n else other.origin
        one, two = self.about(origin), other.about(origin)
        return Moments(one.n + two.n, one.sum + two.sum, one.outer + two.outer, origin)

    def __sub__(self, other: Moments) -> Moments:
        """The moments that remain without a subset of the rows."""
        check_lengths(self.dimensions, other.dimensions)
        part = other.about(self.origin)
        return Moments(self.n - part.n, self.sum - part.sum, self.outer - part.outer, self.origin)

    @property
    def dimensions(self) -> int:
        """D, the length of a feature row."""
        return len(self.sum)

    @property
    def mean(self) -> np.ndarray:
        """[D] float64."""
        return self.origin + self.sum / self.n

    def gap(self, other: Moments) -> np.ndarray:
        """The mean of these rows less that of others, [D] float64: what is alike in both origins falls out first."""
        return (self.origin - np.asarray(other.origin)) + (self.sum / self.n - other.sum / other.n)

    @property
    def cov(self) -> np.ndarray:
        """[D, D] float64, divided by N as in StyleGAN-V (universome/stylegan-v@3fecd69), not by N - 1."""
        shift = self.sum / self.n
        return self.outer / self.n - np.outer(shift, shift)

    def covariance(self, ddof: int = 0) -> np.ndarray:
        """[D, D] float64, divided by N - ddof: 0 as in StyleGAN-V, 1 as in pytorch-fid, torch-fidelity and TATS."""
        return self.cov * (self.n / (self.n - ddof)) if ddof else self.cov


def feature_table(features: Any) -> np.ndarray:
    """Features as a [N, D] numpy array of finite numbers. Raises `FeatureError` naming the first row that is not."""
    if hasattr(features, "detach"):
        features = features.detach().to("cpu")
        features = (features.float() if features.dtype.itemsize < 4 else features).numpy()
    rows = np.asarray(features)
    if rows.ndim != 2 or not (np.issubdtype(rows.dtype, np.floating) or np.issubdtype(rows.dtype, np.integer)):
        raise FeatureError(f"features must be a real [N, D] table, not {rows.dtype} of shape {rows.shape}")
    finite = np.ones(len(rows), bool) if rows.dtype.kind in "iu" else row_is_finite(rows)
    if not finite.all():
        bad, first = len(rows) - int(finite.sum()), int(finite.argmin())
        raise FeatureError(f"{bad} of {len(rows)} feature rows hold NaN or infinity, the first is row {first}")
    return rows


def feature_pair(real: Any, fake: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as `feature_table` gives them; both must have rows of the same length, at least two each."""
    real_rows, fake_rows = feature_table(real), feature_table(fake)
    check_lengths(real_rows.shape[1], fake_rows.shape[1])
    check_rows(len(real_rows), len(fake_rows))
    return real_rows, fake_rows


def row_is_finite(rows: np.ndarray) -> np.ndarray:  # [N, D] float -> [N] bool
    """Whether every number of a row is finite, and its square too."""
    return (np.abs(rows) <= min(LARGEST, float(np.finfo(rows.dtype).max))).all(axis=1)


def check_lengths(real: int, fake: int) -> None:
    """Raise `NotComparable` where rows of two sides differ in length."""
    if real != fake:
        raise NotComparable(
            f"features of {real} dimensions cannot be compared with features of {fake}: use one detector for both"
        )


def check_rows(real: int, fake: int) -> None:
    """Raise `NotEnoughClips` where a side has fewer than two feature rows."""
    for side, rows in (("real", real), ("fake", fake)):
        if rows < 2:
            raise NotEnoughClips(f"a distance needs at least 2 feature rows a side; the {side} side has {rows}")
