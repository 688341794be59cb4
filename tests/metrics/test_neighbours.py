"""Nearest neighbours: equal to all pairs computed plainly, without rows of the own group."""

from __future__ import annotations

import numpy as np
import pytest

from latte_eval.core.errors import FeatureError, NotComparable
from latte_eval.metrics import neighbours as module
from latte_eval.metrics.neighbours import nearest, nearest_within


def plain(queries: np.ndarray, base: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    distances = np.sqrt(((queries[:, None].astype(float) - base[None].astype(float)) ** 2).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(distances, order, axis=1), order


def rows(count: int, seed: int, dimensions: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)


@pytest.mark.parametrize("block", [2**22, 64])
@pytest.mark.parametrize("count", [1, 3])
def test_equals_all_pairs(monkeypatch: pytest.MonkeyPatch, block: int, count: int) -> None:
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", block)
    queries, base = rows(40, 1), rows(70, 2)
    distances, found = nearest(queries, base, count)
    want, order = plain(queries, base, count)
    np.testing.assert_allclose(distances, want, rtol=1e-12)
    np.testing.assert_array_equal(found, order)


def test_a_copy_far_from_the_origin_has_distance_0() -> None:
    """float32 products alone would lose it: the rows are 10,000 long, and 0.01 apart."""
    base = rows(200, 3) * 0.01 + 2500
    distances, found = nearest(base[::-1], base, 2)
    np.testing.assert_array_equal(found[:, 0], np.arange(200)[::-1])
    assert (distances[:, 0] == 0).all() and (distances[:, 1] > 0).all()


def test_rows_of_the_own_group_are_no_neighbours() -> None:
    base = rows(30, 4)
    groups = [f"video{i // 3}" for i in range(30)]
    distances, found = nearest_within(base, groups, 2)
    assert all(i // 3 != j // 3 for i, row in enumerate(found) for j in row)
    far = plain(base, base, 30)
    for i in range(30):
        want = [d for d, j in zip(far[0][i], far[1][i], strict=True) if i // 3 != j // 3][:2]
        np.testing.assert_allclose(distances[i], want, rtol=1e-9)


def test_where_no_row_is_left() -> None:
    base = rows(4, 5)
    distances, found = nearest_within(base, ["a"] * 4, 2)
    assert np.isinf(distances).all() and (found == -1).all()
    distances, found = nearest(base, base[:1], 3)
    assert np.isfinite(distances[:, 0]).all() and np.isinf(distances[:, 1:]).all() and (found[:, 1:] == -1).all()
    assert (nearest(base, base[:0])[1] == -1).all()
    assert nearest(base[:0], base)[0].shape == (0, 1)


def test_of_equal_distances_the_lower_row_comes_first() -> None:
    base = np.array([[1.0], [-1.0], [1.0], [5.0]])
    assert nearest(np.zeros((1, 1)), base, 3)[1].tolist() == [[0, 1, 2]]


def test_bad_input() -> None:
    with pytest.raises(NotComparable):
        nearest(rows(3, 1), rows(3, 1, 8))
    with pytest.raises(FeatureError, match="at least 1"):
        nearest(rows(3, 1), rows(3, 1), 0)
    with pytest.raises(FeatureError, match="3 feature rows but 2 group names"):
        nearest_within(rows(3, 1), ["a", "b"])
