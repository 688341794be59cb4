"""The jackknife formulas on statistics whose error and bias are known, and what feeds them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from latte_eval.core.errors import FeatureError
from latte_eval.metrics import frechet_distance_from_features, influence_values
from latte_eval.metrics.deletion import CrossGram, PartMoments
from latte_eval.metrics.frechet import has_few_rows
from latte_eval.metrics.influence import mean_variance, transports_from_moments, transports_from_rows
from latte_eval.metrics.jackknife import delete_one, delete_two, t_quantile
from latte_eval.metrics.parts import check_names, deal_rows, groups_to_parts, row_parts


def without(values: np.ndarray, deleted: Sequence[int]) -> np.ndarray:
    return np.delete(values, list(deleted))


def test_mean_has_the_textbook_standard_error() -> None:
    values = np.random.default_rng(0).standard_normal(50)
    found = delete_one(lambda deleted: float(without(values, deleted).mean()), 50)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    assert found.corrected == pytest.approx(found.value)


def test_variance_divided_by_n_is_corrected_to_n_minus_1() -> None:
    values = np.random.default_rng(0).standard_normal(20)
    found = delete_one(lambda deleted: float(without(values, deleted).var()), 20)
    assert found.corrected == pytest.approx(values.var(ddof=1))


def test_bias_of_two_orders_is_removed_exactly() -> None:
    def statistic(deleted: Sequence[int]) -> float:
        n = 240 * (1 - len(deleted) / 12)
        return 7 + 500 / n + 9000 / n**2

    assert delete_one(statistic, 12).corrected == pytest.approx(7, abs=0.3)
    assert abs(delete_one(statistic, 12).corrected - 7) > 0.1
    assert delete_two(statistic, 12, statistic(())) == pytest.approx(7, abs=1e-9)


def test_interval_is_a_student_interval() -> None:
    assert t_quantile(0.95, 31) == pytest.approx(2.0395, abs=1e-4)
    assert t_quantile(0.9, 11) == pytest.approx(1.7959, abs=1e-4)
    found = delete_one(lambda deleted: float(len(deleted) and deleted[0]), 4)
    low, high = found.interval(10, 0.95, extra=1)
    assert (low + high) / 2 == pytest.approx(10)
    assert high - 10 == pytest.approx(t_quantile(0.95, 3) * found.standard_error + 1)


def test_parts_are_balanced_fixed_and_keep_videos_together() -> None:
    names = [f"video{i // 3}" for i in range(300)]
    part_of = groups_to_parts(names, 32)
    labels = row_parts(names, part_of)
    assert part_of == groups_to_parts(names[::-1], 32)
    np.testing.assert_array_equal(labels, deal_rows(names, 32))
    assert set(np.bincount(labels)) == {9, 12}
    assert all(len(set(labels[i : i + 3])) == 1 for i in range(0, 300, 3))
    assert part_of != groups_to_parts(names, 32, "half", 0)


def test_parts_are_balanced_in_rows_where_videos_differ() -> None:
    names = [f"v{i}" for i in range(40) for _ in range(1 + (i % 4) ** 2)]
    counts = np.bincount(deal_rows(names, 4))
    assert counts.max() <= 1.2 * counts.min()


def test_one_name_per_row() -> None:
    with pytest.raises(FeatureError, match="the fake side has 4 feature rows but 3 group names"):
        check_names(4, ["a", "b", "c"], "fake")


def sides(real: int, fake: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    random, scale = np.random.default_rng(0), np.arange(1, dimensions + 1) ** -0.5
    return (random.standard_normal((real, dimensions)) * scale + 3,
            random.standard_normal((fake, dimensions)) * scale * 1.2 + 3.1)  # fmt: skip


SIZES = pytest.mark.parametrize(("real", "fake", "dimensions"), [(40, 50, 60), (300, 260, 30), (500, 20, 30)])


@SIZES
def test_deletions_are_the_distance_of_the_rest(real: int, fake: int, dimensions: int) -> None:
    x, y = sides(real, fake, dimensions)
    a, b = np.arange(real) % 10, np.arange(fake) % 10
    ways = CrossGram(x, y, a, b), PartMoments(x, y, a, b)
    for deleted in ((), (3,), (2, 7)):
        want = frechet_distance_from_features(x[~np.isin(a, deleted)], y[~np.isin(b, deleted)])
        assert [way(deleted) for way in ways] == pytest.approx([want, want], rel=5e-6)


@SIZES
def test_influence_values_predict_what_a_row_does(real: int, fake: int, dimensions: int) -> None:
    x, y = sides(real, fake, dimensions)
    whole = frechet_distance_from_features(x, y)
    for i, (rows, influence) in enumerate(zip((x, y), influence_values(x, y), strict=True)):
        assert influence.mean() == pytest.approx(0, abs=1e-9 * np.abs(influence).max())
        left = [(np.delete(x, j, 0), y) if i == 0 else (x, np.delete(y, j, 0)) for j in range(20)]
        exact = [(len(rows) - 1) * (whole - frechet_distance_from_features(*pair)) for pair in left]
        least = 0.99 if len(rows) > 4 * dimensions else 0.7
        assert np.corrcoef(exact, influence[:20])[0, 1] > least


def test_both_ways_to_influence_values_agree() -> None:
    for size in ((40, 50, 60), (300, 260, 30), (60, 40, 50)):
        x, y = sides(*size)
        for few, many in zip(transports_from_rows(x, y), transports_from_moments(x, y), strict=True):
            np.testing.assert_allclose(few, many, rtol=1e-6, atol=1e-6 * np.abs(few).max())
    assert has_few_rows(*sides(40, 50, 60)) and not has_few_rows(*sides(300, 260, 30))


def test_influence_values_give_the_standard_error() -> None:
    x, y = sides(400, 300, 10)
    a, b = np.arange(400) % 100, np.arange(300) % 100
    real, fake = influence_values(x, y)
    variance = mean_variance(real, [str(i) for i in range(400)]) + mean_variance(fake, [str(i) for i in range(300)])
    assert np.sqrt(variance) == pytest.approx(delete_one(PartMoments(x, y, a, b), 100).standard_error, rel=0.25)


def test_variance_of_a_mean_counts_videos_not_rows() -> None:
    values = np.random.default_rng(0).standard_normal(40)
    values -= values.mean()
    single = mean_variance(values, [str(i) for i in range(40)])
    assert single == pytest.approx(values.var(ddof=1) / 40)
    repeated = mean_variance(np.repeat(values, 5), [str(i // 5) for i in range(200)])
    assert repeated == pytest.approx(single)
    widening = [mean_variance(np.repeat(values, 5), [str(i // k) for i in range(200)]) for k in (1, 5)]
    assert all(low < high for low, high in pairwise(widening))
