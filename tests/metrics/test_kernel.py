"""Kernel distances against the plain double loop and the reference implementations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from latte_eval.core.errors import FeatureError, NotComparable, NotEnoughClips
from latte_eval.metrics import PolynomialKernel, kernel_distance, kernel_distance_subsets
from latte_eval.metrics import kernel as kernel_module
from latte_eval.metrics.kernel import KernelSums, block_count


def features(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 7)).astype(np.float32) + np.float32(shift)


def double_loop(real: np.ndarray, fake: np.ndarray, degree: int = 3, gamma: float = 1 / 7, offset: float = 1) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((gamma * x.astype(float) @ y.astype(float) + offset) ** degree)

    def own(rows: np.ndarray) -> float:
        return float(np.mean([k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]))

    return own(real) + own(fake) - 2 * float(np.mean([k(x, y) for x in real for y in fake]))


def test_double_loop() -> None:
    real, fake = features(9, 0), features(13, 1, 0.5)
    assert kernel_distance(real, fake) == pytest.approx(double_loop(real, fake), rel=1e-12)
    found = kernel_distance(real, fake, degree=2, gamma=0.3, offset=0.5)
    assert found == pytest.approx(double_loop(real, fake, 2, 0.3, 0.5), rel=1e-12)


def test_blocks_do_not_change_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = features(50, 0), features(41, 1, 0.5)
    whole = kernel_distance(real, fake)
    monkeypatch.setattr(kernel_module, "BLOCK_ELEMENTS", 100)
    assert block_count(50, 41) == 25 + 21 + 25
    assert kernel_distance(real, fake) == pytest.approx(whole, rel=1e-12)


def test_sums_leave_out_parts_of_either_side() -> None:
    real, fake = features(30, 0), features(24, 1, 0.5)
    a, b = np.arange(30) % 5, np.arange(24) % 5
    sums = KernelSums(real, fake, a, b)
    assert sums((1, 4)) == pytest.approx(kernel_distance(real[~np.isin(a, [1, 4])], fake[~np.isin(b, [1, 4])]))
    assert sums((2,), sides=["real"]) == pytest.approx(kernel_distance(real[a != 2], fake))


def test_unbiased() -> None:
    """Halves of one population: the mean over many draws is 0 within its own error; with the diagonal it is not."""
    draws = [(features(12, 2 * i), features(12, 2 * i + 1)) for i in range(300)]
    found = np.array([kernel_distance(*pair) for pair in draws])
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(len(found))
    kernel = PolynomialKernel()
    biased = np.array([kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean() for x, y in draws])
    assert abs(biased.mean()) > 10 * biased.std() / np.sqrt(len(biased))


def test_subsets_are_seeded_and_bounded() -> None:
    real, fake = features(60, 0), features(40, 1, 0.5)
    assert kernel_distance_subsets(real, fake, 5, 20) == kernel_distance_subsets(real, fake, 5, 20)
    assert kernel_distance_subsets(real, fake, 5, 20, seed=1) != kernel_distance_subsets(real, fake, 5, 20)
    mean, spread = kernel_distance_subsets(real[:40], fake, 5, 1000)
    assert mean == pytest.approx(kernel_distance(real[:40], fake)) and spread == pytest.approx(0, abs=1e-12)


def test_golden_kvd(golden: Callable) -> None:
    stack = golden("metric_stack")
    column = stack.meta["frechet_columns"].index("tats_polynomial_mmd_f64")
    for row in stack["frechet_table"]:
        found = kernel_distance(stack["real"][: int(row[0])], stack["gen"][: int(row[1])])
        assert found == pytest.approx(row[column], rel=1e-9)


def test_golden_kvd_of_i3d_features(golden: Callable) -> None:
    i3d = golden("i3d_gamma_ones")
    found = kernel_distance(i3d["fvd_real_features"], i3d["fvd_gen_features"])
    assert found == pytest.approx(i3d["fvd_values"][2], abs=1e-3)


def test_golden_kid(golden: Callable) -> None:
    stack = golden("metric_stack")
    want = dict(zip(stack.meta["kid"]["order"], stack["kid"], strict=True))
    real, fake = stack["real"], stack["gen"]
    mean, spread = kernel_distance_subsets(real, fake, 20, 100)
    assert mean == pytest.approx(want["torch_fidelity_kid_mean_f64"], rel=1e-9)
    assert spread == pytest.approx(want["torch_fidelity_kid_std_f64"], rel=1e-9)
    mean, _ = kernel_distance_subsets(real, fake, 20, 100, seed=51, draw_first="fake")
    assert 1000 * mean == pytest.approx(want["stylegan_v_kid_x1000_f64"], rel=1e-9)
    other, _ = kernel_distance_subsets(real, fake, 20, 100, seed=51)
    assert 1000 * other != pytest.approx(want["stylegan_v_kid_x1000_f64"], rel=1e-3)


def test_bad_input() -> None:
    with pytest.raises(NotEnoughClips, match="the real side has 1"):
        kernel_distance(features(1, 0), features(5, 1))
    with pytest.raises(NotComparable, match="7 dimensions cannot be compared with features of 4"):
        kernel_distance(features(5, 0), np.zeros((5, 4)))
    with pytest.raises(FeatureError, match="NaN"):
        kernel_distance_subsets(features(5, 0), np.full((5, 7), np.nan))
