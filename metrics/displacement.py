"""What a Fréchet distance consists of: the directions in which features must move to carry real into fake.

The Fréchet distance of two Gaussians is the mean squared length of the shortest way that carries one into the other
(Dowson and Landau 1982, doi 10.1016/0047-259X(82)90077-X; Gelbrich 1990, doi 10.1002/mana.19901470121). The second
moment of that displacement is a matrix whose trace is the distance; its eigenvectors are the directions that it comes
from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.metrics.moments import Moments, feature_pair


@dataclass(frozen=True, eq=False)
class Displacement:
    """A Fréchet distance as a sum over orthogonal directions, the largest part first.

    A direction is a unit vector v in feature space. Its value is the mean squared distance that features move along
    it: (v.delta)^2, as the centre moves by delta = mean(fake) - mean(real), plus v^T M v, as the spread around
    the centre is stretched, squeezed or turned. A direction in which real and fake have equal mean and spread has the
    value 0. A direction points from real to fake. Directions of equal values are not unique; the space they span is.

    Attributes:
        mean: |delta|^2, the mean part of the distance.
        cov: tr M, the covariance part.
        values: [K] float64, descending, none below 0; they add up to the distance.
        mean_values: [K], the part of each value that comes from the centre; they add up to `mean`.
        directions: [K, D], orthonormal rows.
    """

    mean: float
    cov: float
    values: np.ndarray
    mean_values: np.ndarray
    directions: np.ndarray

    @property
    def value(self) -> float:
        """The Fréchet distance."""
        return self.mean + self.cov

    def share(self, count: int) -> float:
        """The share of the distance in the first `count` directions; 0 where the distance is 0."""
        total = float(self.values.sum())
        return float(self.values[:count].sum()) / total if total > 0 else 0.0


def frechet_displacement(real_features: Any, fake_features: Any, ddof: int = 0) -> Displacement:  # [N1, D], [N2, D]
    """The optimal coupling of two Gaussians with the moments of the rows, by directions.

    Covariances are divided by N - ddof. With S1 = R1^T R1, S2 = R2^T R2 and the singular values U s V^T of R1 R2^T, the
    coupling has the covariance K = R1^T U V^T R2 over s > 0, and M = S1 + S2 - K - K^T. What is not coupled, where s =
    0, counts with its own covariance. A side of no more than D rows is its own root R, without a D x D matrix. The
    value equals that of `frechet_distance_between` up to rounding. Raises what that function raises.
    """
    real, fake = feature_pair(real_features, fake_features)
    delta = fake.mean(axis=0, dtype=np.float64) - real.mean(axis=0, dtype=np.float64)
    roots = covariance_root(real, ddof), covariance_root(fake, ddof)
    moved = displacement_root(*roots)
    scale = float(delta @ delta + sum((root**2).sum() for root in roots))
    values, directions = principal_directions(np.vstack([moved, delta]), scale)
    along = directions @ delta
    directions *= np.where(along < 0, -1.0, 1.0)[:, None]
    return Displacement(float(delta @ delta), float((moved**2).sum()), values, along**2, directions)


def covariance_root(rows: np.ndarray, ddof: int = 0) -> np.ndarray:  # [N, D] -> [K, D] float64, K at most D
    """R with R^T R = cov: the centred rows themselves where they are few, else a root of the covariance."""
    if len(rows) <= rows.shape[1]:
        rows = rows.astype(np.float64)
        return (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - ddof)
    cov = Moments.from_features(rows).covariance(ddof)
    try:
        return np.linalg.cholesky(cov).T
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(cov)
        return np.sqrt(values.clip(min=0))[:, None] * vectors.T


def displacement_root(real: np.ndarray, fake: np.ndarray) -> np.ndarray:  # [K1, D], [K2, D] -> [K, D]
    """B with B^T B = M: pairs of coupled rows as differences, and the rows that are coupled to nothing."""
    left, sizes, right = np.linalg.svd(real @ fake.T)
    rank = int((sizes > sizes[0] * max(left.shape[0], right.shape[0]) * np.finfo(np.float64).eps).sum())
    real, fake = left.T @ real, right @ fake
    return np.vstack([fake[:rank] - real[:rank], real[rank:], fake[rank:]])


def principal_directions(rows: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:  # [N, D] -> [K], [K, D]
    """Eigenvalues and eigenvectors of rows^T rows, descending, from the smaller of the two products.

    Values no larger than rounding errors are left out; `scale` is the sum of squares of what was subtracted in `rows`.
    """
    wide = len(rows) < rows.shape[1]
    values, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > scale * len(values) * np.finfo(np.float64).eps
    values, vectors = values[kept], vectors[:, kept]
    return values, ((vectors.T @ rows) / np.sqrt(values)[:, None] if wide else vectors.T)
