"""The parts of a Fréchet distance: they add up to it, and in closed forms each is where it must be."""

from __future__ import annotations

import numpy as np
import pytest

from latte_eval.core.errors import NotComparable, NotEnoughClips
from latte_eval.metrics import frechet_displacement, frechet_distance_between, frechet_terms_from_features


def features(count: int, dimensions: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, dimensions)) * scale / np.sqrt(np.arange(1, dimensions + 1)) + shift


SHAPES = pytest.mark.parametrize(
    ("real", "fake", "dimensions"),
    [(300, 400, 20), (20, 30, 60), (30, 20, 60), (200, 30, 60), (30, 500, 60), (61, 60, 60), (2, 2, 5), (2, 400, 5)],
)


@SHAPES
def test_the_parts_add_up_to_the_distance(real: int, fake: int, dimensions: int) -> None:
    x, y = features(real, dimensions), features(fake, dimensions, 1, 1.3, 0.1)
    found, want = frechet_displacement(x, y), frechet_distance_between(x, y)
    assert found.value == pytest.approx(want, rel=1e-6)
    assert found.values.sum() == pytest.approx(found.value, rel=1e-12)
    assert found.mean_values.sum() == pytest.approx(found.mean, rel=1e-9)
    assert found.mean == pytest.approx(frechet_terms_from_features(x, y).mean, rel=1e-9)
    assert (found.mean_values <= found.values * (1 + 1e-9) + 1e-12).all()
    assert (np.diff(found.values) <= 0).all()


@SHAPES
def test_directions_are_orthonormal_and_point_from_real_to_fake(real: int, fake: int, dimensions: int) -> None:
    x, y = features(real, dimensions), features(fake, dimensions, 1, 1.3, 0.1)
    found = frechet_displacement(x, y)
    assert found.directions.shape == (len(found.values), dimensions)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(len(found.values)), atol=1e-7)
    along = found.directions @ (y.mean(axis=0) - x.mean(axis=0))
    assert (along >= 0).all()
    np.testing.assert_allclose(along**2, found.mean_values, atol=1e-12)


@pytest.mark.parametrize(("count", "dimensions"), [(300, 20), (20, 60), (61, 60)])
def test_identical_sides_have_no_parts(count: int, dimensions: int) -> None:
    x = features(count, dimensions)
    found = frechet_displacement(x, x[::-1])
    assert found.value == pytest.approx(0, abs=1e-12)
    assert len(found.values) == 0 and found.share(5) == 0


@pytest.mark.parametrize("count", [300, 10])
def test_a_shift_is_one_direction_and_all_mean(count: int) -> None:
    x, shift = features(count, 20), np.arange(20.0)
    found = frechet_displacement(x, x + shift)
    assert found.values[0] == pytest.approx(shift @ shift, rel=1e-9) == found.mean_values[0]
    assert found.cov == pytest.approx(0, abs=1e-9 * found.mean)
    np.testing.assert_allclose(found.directions[0], shift / np.linalg.norm(shift), atol=1e-9)


@pytest.mark.parametrize("count", [300, 10])
def test_scaling_moves_along_the_principal_axes(count: int) -> None:
    """y = 3x: every point moves by twice itself, so the values are 4 times those of the covariance."""
    x = features(count, 20)
    x -= x.mean(axis=0)
    found = frechet_displacement(x, 3 * x)
    want = 4 * np.linalg.eigvalsh(x.T @ x / count)[::-1][: len(found.values)]
    np.testing.assert_allclose(found.values, want, rtol=1e-6)
    assert found.mean == pytest.approx(0, abs=1e-20)


def test_an_affine_image_has_the_moment_of_its_steps() -> None:
    """y = Ax + b with A positive definite is carried by x -> Ax + b itself."""
    x, random = features(400, 12), np.random.default_rng(5)
    turn, _ = np.linalg.qr(random.standard_normal((12, 12)))
    y = x @ ((turn * random.uniform(0.5, 2, 12)) @ turn.T) + random.standard_normal(12)
    found, step = frechet_displacement(x, y), y - x
    moment = step.T @ step / len(x)
    np.testing.assert_allclose((found.directions.T * found.values) @ found.directions, moment, atol=1e-8)


def test_both_forms_find_the_same_directions() -> None:
    """60 rows of 30 numbers as moments, and the same rows beside zeros as few rows."""
    x, y = features(60, 30), features(60, 30, 1, 1.5, 0.2)
    wide = [np.hstack([side, np.zeros((60, 100))]) for side in (x, y)]
    many, few = frechet_displacement(np.repeat(x, 3, 0), np.repeat(y, 3, 0)), frechet_displacement(*wide)
    np.testing.assert_allclose(many.values, few.values, rtol=1e-6)
    np.testing.assert_allclose(many.directions[:3], few.directions[:3, :30], atol=1e-6)


def test_a_wrong_coupling_does_not_add_up() -> None:
    """Rows coupled in their order move further: what the optimal coupling is for."""
    x, y = features(50, 8), features(50, 8, 1)
    assert ((y - x) ** 2).sum() / 50 > 1.1 * frechet_displacement(x, y).value


def test_bad_input() -> None:
    with pytest.raises(NotEnoughClips):
        frechet_displacement(features(1, 4), features(5, 4))
    with pytest.raises(NotComparable):
        frechet_displacement(features(5, 4), features(5, 3))
