"""Fréchet distance between two Gaussians (Dowson and Landau 1982; Heusel et al. 2017), from moments or features."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.metrics.moments import Moments, check_lengths, check_rows, feature_pair

# Above this many times D rows on one side, D x D moments are cheaper than N1 x N2 products.
FEW_ROWS = 4


@dataclass(frozen=True)
class FrechetTerms:
    """The two parts of a Fréchet distance, both at least 0.

    Attributes:
        mean: |m1 - m2|^2.
        cov: tr S1 + tr S2 - 2 tr sqrt(S1^(1/2) S2 S1^(1/2)).
    """

    mean: float
    cov: float

    @property
    def value(self) -> float:
        """The Fréchet distance (FVD, FID), the sum of both."""
        return self.mean + self.cov


def frechet_distance(real: Moments, fake: Moments, ddof: int = 0) -> float:
    """Fréchet distance of two sets of features, as StyleGAN-V defines FVD and FID (covariance divided by N - ddof).

    F = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1^(1/2) S2 S1^(1/2)). The result is a finite real number >= 0.
    Singular covariances are allowed, with rounding errors up to 1e-6 of the value; for N < D the feature form below is
    exact. Raises `NotEnoughClips` below two rows, `NotComparable` for rows of unequal lengths.
    """
    return frechet_terms(real, fake, ddof).value


def frechet_terms(real: Moments, fake: Moments, ddof: int = 0) -> FrechetTerms:
    """The mean and covariance parts of `frechet_distance`."""
    check_lengths(real.dimensions, fake.dimensions)
    check_rows(real.n, fake.n)
    gap, real_cov, fake_cov = real.gap(fake), real.covariance(ddof), fake.covariance(ddof)
    overlap = root_sum(product_eigenvalues(real_cov, fake_cov))
    return FrechetTerms(float(gap @ gap), max(0.0, float(np.trace(real_cov) + np.trace(fake_cov) - 2 * overlap)))


def product_eigenvalues(real_cov: np.ndarray, fake_cov: np.ndarray) -> np.ndarray:  # [D, D], [D, D] -> [D]
    """Eigenvalues of S1^(1/2) S2 S1^(1/2), which are those of S1 S2 and of S2 S1.

    They are those of L^T S2 L where S1 = L L^T, or with S1 and S2 exchanged; where both are singular, the symmetric
    root takes the place of L.
    """
    from scipy.linalg import eigh

    for factored, other in ((real_cov, fake_cov), (fake_cov, real_cov)):
        with contextlib.suppress(np.linalg.LinAlgError):
            # LAPACK's sygst forms L^T S2 L in a quarter of the time of two products.
            return eigh(other, factored, type=2, eigvals_only=True, driver="gv")
    values, vectors = np.linalg.eigh(real_cov)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return np.linalg.eigvalsh(root @ fake_cov @ root)


def root_sum(values: np.ndarray) -> float:
    """Sum of the square roots of eigenvalues; those that rounding made negative count as 0."""
    return float(np.sqrt(values.clip(min=0)).sum())


def frechet_distance_from_features(real_features: Any, fake_features: Any, ddof: int = 0) -> float:  # [N1, D], [N2, D]
    """The same distance from the feature rows, without a D x D matrix: O(N^2 D), cheaper for N < D.

    `ddof` 0 divides the covariances by N, 1 by N - 1. Raises what `frechet_distance` raises, and `FeatureError` where
    features are not finite.
    """
    return frechet_terms_from_features(real_features, fake_features, ddof).value


def frechet_terms_from_features(real_features: Any, fake_features: Any, ddof: int = 0) -> FrechetTerms:
    """`frechet_terms` by the singular values of the centred cross matrix.

    With centred rows X1, X2, S = X^T X / N and tr sqrt(S1^(1/2) S2 S1^(1/2)) is the nuclear norm of
    X1 X2^T / sqrt(N1 N2); with ddof, N - ddof takes the place of each N.
    """
    real, fake = (rows.astype(np.float64) for rows in feature_pair(real_features, fake_features))
    origin = real.mean(axis=0)
    real, fake = real - origin, fake - origin  # or the gap of two large means would have few digits
    gap = real.mean(axis=0) - fake.mean(axis=0)
    real, fake = real - real.mean(axis=0), fake - fake.mean(axis=0)
    counts = len(real) - ddof, len(fake) - ddof
    spread = (real**2).sum() / counts[0] + (fake**2).sum() / counts[1]
    overlap = np.linalg.svd(real @ fake.T, compute_uv=False).sum() / np.sqrt(counts[0] * counts[1])
    return FrechetTerms(float(gap @ gap), max(0.0, float(spread - 2 * overlap)))


def frechet_distance_between(real_features: Any, fake_features: Any, ddof: int = 0) -> float:  # [N1, D], [N2, D]
    """Fréchet distance of feature rows by the cheaper of the two forms. Raises what they raise."""
    real, fake = feature_pair(real_features, fake_features)
    if has_few_rows(real, fake):
        return frechet_distance_from_features(real, fake, ddof)
    return frechet_distance(Moments.from_features(real), Moments.from_features(fake), ddof)


def has_few_rows(real: np.ndarray, fake: np.ndarray) -> bool:
    """Whether N1 x N2 products of rows are cheaper than D x D moments."""
    fewer, more = sorted((len(real), len(fake)))
    return fewer <= real.shape[1] and more <= FEW_ROWS * real.shape[1]
