"""Fréchet distance: closed forms, the reference implementations, and twins that are known to be wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from latte_eval.core.errors import FeatureError, NotComparable, NotEnoughClips
from latte_eval.metrics import (
    Moments,
    frechet_distance,
    frechet_distance_between,
    frechet_distance_from_features,
    frechet_terms,
    frechet_terms_from_features,
)

Distance = Callable[[np.ndarray, np.ndarray], float]


def by_moments(real: np.ndarray, fake: np.ndarray) -> float:
    return frechet_distance(Moments.from_features(real), Moments.from_features(fake))


FORMS = pytest.mark.parametrize("distance", [by_moments, frechet_distance_from_features, frechet_distance_between])


def features(count: int, dimensions: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, dimensions)) * scale / np.sqrt(np.arange(1, dimensions + 1)) + shift


@FORMS
@pytest.mark.parametrize(("count", "dimensions"), [(300, 8), (20, 40), (9, 8), (8, 8), (2, 5)])
def test_affine_image_has_a_known_distance(distance: Distance, count: int, dimensions: int) -> None:
    """y = Ax + b with A positive definite: F = |mean(y - x)|^2 + tr (A - I) S (A - I), whatever the x."""
    x, random = features(count, dimensions), np.random.default_rng(5)
    turn, _ = np.linalg.qr(random.standard_normal((dimensions, dimensions)))
    matrix = (turn * random.uniform(0.5, 2, dimensions)) @ turn.T
    y = x @ matrix + random.standard_normal(dimensions)
    step = y - x
    want = (step.mean(0) ** 2).sum() + step.var(0).sum()
    assert distance(x, y) == pytest.approx(want, rel=1e-6)


@FORMS
def test_scaled_and_shifted(distance: Distance) -> None:
    x = features(100, 5)
    assert distance(x, 3 * x + 2) == pytest.approx(((2 * x + 2).mean(0) ** 2).sum() + 4 * x.var(0).sum(), rel=1e-9)


@FORMS
def test_zeros_against_ones(distance: Distance) -> None:
    assert distance(np.zeros((8, 400)), np.ones((8, 400))) == pytest.approx(400, abs=1e-9)


@FORMS
@pytest.mark.parametrize(("count", "dimensions"), [(300, 40), (30, 40), (2, 40)])
def test_identical_sets(distance: Distance, count: int, dimensions: int) -> None:
    x = features(count, dimensions, scale=30)
    assert 0 <= distance(x, x) < 1e-3
    assert 0 <= distance(x, x[::-1]) < 1e-3


@FORMS
def test_symmetric(distance: Distance) -> None:
    x, y = features(90, 20), features(70, 20, 1, 1.3, 0.2)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-9)


@pytest.mark.parametrize(("real", "fake"), [(8, 8), (300, 8), (8, 300), (30, 50), (200, 300), (2, 2), (39, 41)])
def test_both_forms_agree(real: int, fake: int) -> None:
    x, y = features(real, 40, scale=20), features(fake, 40, 1, 25, 0.3)
    moments = frechet_terms(Moments.from_features(x), Moments.from_features(y))
    rows = frechet_terms_from_features(x, y)
    assert moments.mean == pytest.approx(rows.mean, rel=1e-9)
    assert moments.cov == pytest.approx(rows.cov, rel=5e-6)
    assert moments.value == moments.mean + moments.cov


@FORMS
@pytest.mark.parametrize("dead", [slice(0, 7), slice(0, 19), slice(0, 20)])
def test_dimensions_that_never_move(distance: Distance, dead: slice) -> None:
    x, y = features(60, 20), features(60, 20, 1, 1.5)
    x[:, dead] = 0
    found = distance(x, y)
    assert np.isfinite(found) and isinstance(found, float)
    live = [i for i in range(20) if i not in range(20)[dead]]
    if live:
        rest = (y[:, dead].mean(0) ** 2).sum() + y[:, dead].var(0).sum()
        assert found <= distance(x[:, live], y[:, live]) + rest + 1e-6


def test_duplicated_rows_are_a_weight() -> None:
    x, y = features(30, 40), features(20, 40, 1)
    doubled = np.concatenate([x, x])
    assert frechet_distance_from_features(doubled, y) == pytest.approx(frechet_distance_from_features(x, y), rel=1e-9)
    assert by_moments(doubled, y) == pytest.approx(by_moments(x, y), rel=1e-6)


@FORMS
def test_too_few_rows(distance: Distance) -> None:
    with pytest.raises(NotEnoughClips, match="at least 2 feature rows a side; the fake side has 1"):
        distance(features(5, 4), features(1, 4))
    with pytest.raises(NotEnoughClips, match="the real side has 0"):
        distance(np.empty((0, 4)), features(5, 4))


@FORMS
def test_unequal_lengths(distance: Distance) -> None:
    with pytest.raises(NotComparable, match="400 dimensions cannot be compared with features of 2048"):
        distance(np.zeros((5, 400)), np.zeros((5, 2048)))


@FORMS
def test_nan_features(distance: Distance) -> None:
    with pytest.raises(FeatureError, match="1 of 5 feature rows"):
        distance(features(5, 4), np.where(np.eye(5, 4, k=-2) * np.eye(5)[:, [3]], np.nan, 1.0))


# The reference forms sqrtm of a singular product in rows 0, 2, 3 and 4, good to 1e-6 there.
@pytest.mark.parametrize("distance", [by_moments, frechet_distance_from_features])
def test_golden_table(golden: Callable, distance: Distance) -> None:
    stack = golden("metric_stack")
    column = stack.meta["frechet_columns"].index
    for row in stack["frechet_table"]:
        real, fake = stack["real"][: int(row[0])], stack["gen"][: int(row[1])]
        assert distance(real, fake) == pytest.approx(row[column("stylegan_v_fvd")], rel=1e-6)
        terms = frechet_terms_from_features(real, fake)
        assert terms.mean == pytest.approx(row[column("mean_term")], rel=1e-9)


def test_golden_full_rank_is_exact(golden: Callable) -> None:
    stack = golden("metric_stack")
    want = stack["frechet_table"][1]
    assert by_moments(stack["real"], stack["gen"]) == pytest.approx(want[2], rel=1e-10)


def test_golden_special(golden: Callable) -> None:
    stack = golden("metric_stack")
    same, ones = stack["frechet_special"]
    real = stack["real"][:300]
    for distance in (by_moments, frechet_distance_from_features):
        assert 0 <= distance(real, real) == pytest.approx(same, abs=1e-2)
        assert distance(np.zeros((8, 400)), np.ones((8, 400))) == pytest.approx(ones, rel=1e-9)


def test_golden_fid(golden: Callable) -> None:
    stack = golden("metric_stack")
    want = stack["fid_2048"][0]
    assert by_moments(stack["fid_real"], stack["fid_gen"]) == pytest.approx(want, rel=2e-6)
    # Without the rounding of a 2048 x 2048 root of rank 71, which the reference has.
    assert frechet_distance_from_features(stack["fid_real"], stack["fid_gen"]) == pytest.approx(want, rel=4e-6)


def test_golden_fvd_of_i3d_features(golden: Callable) -> None:
    i3d = golden("i3d_gamma_ones")
    for distance in (by_moments, frechet_distance_from_features):
        found = distance(i3d["fvd_real_features"], i3d["fvd_gen_features"])
        assert found == pytest.approx(i3d["fvd_values"][0], rel=2e-6)


def unbiased_covariance(real: np.ndarray, fake: np.ndarray) -> float:
    """Wrong here: divides by N - 1, as VideoGPT, TATS and pytorch-fid do."""
    sides = []
    for rows in (real, fake):
        found = Moments.from_features(rows)
        cov = found.cov * found.n / (found.n - 1)
        sides.append(Moments(found.n, found.mean * found.n, (cov + np.outer(found.mean, found.mean)) * found.n))
    return frechet_distance(*sides)


def single_precision(real: np.ndarray, fake: np.ndarray) -> float:
    """Wrong: singular values clipped and rooted in float32."""
    covs = [np.cov(rows.T.astype(np.float32), bias=True).astype(np.float32) for rows in (real, fake)]
    u, s, v = np.linalg.svd(covs[0])
    root = (u * np.sqrt(s.clip(0))) @ v
    overlap = np.sqrt(np.linalg.svd(root @ covs[1] @ root, compute_uv=False).clip(0)).sum()
    gap = real.mean(0) - fake.mean(0)
    return float(gap @ gap + np.trace(covs[0]) + np.trace(covs[1]) - 2 * overlap)


def product_of_roots(real: np.ndarray, fake: np.ndarray) -> float:
    """Wrong: tr sqrt(S1) sqrt(S2) in place of tr sqrt(S1^(1/2) S2 S1^(1/2)); right only where both commute."""
    sides = [Moments.from_features(rows) for rows in (real, fake)]
    roots = []
    for side in sides:
        values, vectors = np.linalg.eigh(side.cov)
        roots.append((vectors * np.sqrt(values.clip(0))) @ vectors.T)
    gap = sides[0].mean - sides[1].mean
    spread = sum(np.trace(side.cov) for side in sides)
    return float(gap @ gap + spread - 2 * np.trace(roots[0] @ roots[1]))


@pytest.mark.parametrize("wrong", [unbiased_covariance, single_precision, product_of_roots])
def test_known_wrong_twins_are_seen(golden: Callable, wrong: Distance) -> None:
    stack = golden("metric_stack")
    for row in stack["frechet_table"][[0, 3]]:
        real, fake = stack["real"][: int(row[0])], stack["gen"][: int(row[1])]
        assert wrong(real, fake) != pytest.approx(row[2], rel=1e-4)


def test_the_n_minus_1_twin_is_what_videogpt_prints(golden: Callable) -> None:
    stack = golden("metric_stack")
    row = stack["frechet_table"][1]
    assert unbiased_covariance(stack["real"], stack["gen"]) == pytest.approx(row[4], rel=2e-6)
