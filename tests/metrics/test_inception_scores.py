"""Inception Score: closed forms, reference tables, and the inputs on which the reference gives NaN."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch

from latte_eval.core.errors import FeatureError, NotEnoughClips
from latte_eval.metrics import inception_score, video_inception_score


def probabilities(count: int, classes: int = 11, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).standard_normal((count, classes)) * 2
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_closed_forms() -> None:
    assert inception_score(np.tile(np.eye(10), (5, 1)), splits=1) == pytest.approx((10, 0))
    assert inception_score(np.full((20, 10), 0.1), splits=2) == pytest.approx((1, 0))
    half = np.repeat(np.eye(4)[:2], 6, axis=0)
    assert inception_score(half, splits=1)[0] == pytest.approx(2)


def test_zero_probabilities_are_the_limit_of_small_ones() -> None:
    rows = probabilities(60)
    rows[::3, 2] = 0
    rows[:, 5] = 0
    rows /= rows.sum(1, keepdims=True)
    small = np.maximum(rows, 1e-30)
    assert inception_score(rows) == pytest.approx(inception_score(small), rel=1e-12)


def test_uneven_splits_are_those_of_the_rows_that_there_are() -> None:
    rows = probabilities(23)
    parts = [rows[i * 23 // 4 : (i + 1) * 23 // 4] for i in range(4)]
    scores = [np.exp(np.mean((p * (np.log(p) - np.log(p.mean(0)))).sum(1))) for p in parts]
    assert sorted(len(p) for p in parts) == [5, 6, 6, 6]
    assert inception_score(rows, splits=4) == pytest.approx((np.mean(scores), np.std(scores)))


def test_torch_probabilities() -> None:
    rows = probabilities(30)
    assert inception_score(torch.from_numpy(rows)) == inception_score(rows)


def test_fewer_rows_than_splits() -> None:
    with pytest.raises(NotEnoughClips, match="over 10 splits takes as many rows; there are 9"):
        inception_score(probabilities(9))


@pytest.mark.parametrize("rows", [np.log(probabilities(20)), probabilities(20) * 2, probabilities(20) - 1 / 11])
def test_rows_must_be_probabilities(rows: np.ndarray) -> None:
    with pytest.raises(FeatureError, match="probabilities that sum to 1"):
        inception_score(rows)


def test_nan_probabilities() -> None:
    with pytest.raises(FeatureError, match="20 of 20 feature rows hold NaN"):
        inception_score(np.full((20, 5), np.nan))


@pytest.fixture
def table(golden: Callable) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    stack = golden("metric_stack")
    return stack["isv_probs"], dict(zip(stack.meta["isv_rows"], map(tuple, stack["isv_table"]), strict=True))


def test_golden_isv(table: tuple[np.ndarray, dict[str, tuple[float, float]]]) -> None:
    rows, want = table
    assert video_inception_score(rows) == pytest.approx(want["isv_2048_of_2048"], rel=1e-5)
    assert video_inception_score(rows[:1000]) == pytest.approx(want["isv_1000_of_1000"], rel=1e-5)
    assert video_inception_score(rows[:205]) == pytest.approx(want["isv_205_of_205"], rel=1e-5)
    assert inception_score(rows) == pytest.approx(want["is_no_shuffle_2048"], rel=1e-5)
    assert inception_score(rows, splits=1) == pytest.approx(want["isv_2048_one_split"], rel=1e-5, abs=1e-12)
    shuffled = inception_score(rows, shuffle_seed=2020)
    assert shuffled == pytest.approx(want["torch_fidelity_isc_shuffle2020"], rel=1e-5)
    assert inception_score(rows) != pytest.approx(want["isv_2048_of_2048"], rel=1e-4)


def test_golden_isv_where_the_reference_gives_nan(table: tuple[np.ndarray, dict[str, tuple[float, float]]]) -> None:
    rows, want = table
    assert np.isnan(want["isv_2048_nominal_1000_rows"]).all() and np.isnan(want["isv_2048_one_exact_zero"]).all()
    zero = rows.copy()
    zero[7, 3] = 0
    zero[7] /= zero[7].sum()
    assert video_inception_score(zero) == pytest.approx(want["isv_2048_of_2048"], rel=1e-3)


def test_golden_tgan2(golden: Callable, seeded: ModuleType) -> None:
    c3d = golden("c3d_ucf101")
    name, shape, _ = c3d.meta["tgan2_is"]["logits"]
    logits = 2 * seeded.seeded_normal(name, tuple(shape), c3d.meta["seed"]).astype(np.float64)
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for splits in (1, 10):
        assert inception_score(rows, splits) == pytest.approx(tuple(c3d[f"tgan2_is_splits{splits}"]), rel=1e-5)
