"""Exact nearest neighbours in feature space, one block of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latte_eval.core.errors import FeatureError
from latte_eval.metrics.moments import check_lengths, feature_table
from latte_eval.metrics.parts import check_names

BLOCK_ELEMENTS = 2**22

# This many candidates more than asked for have their distances computed again, without cancellation.
SPARE = 4


def nearest(
    queries: Any,
    base: Any,
    count: int = 1,
    query_groups: Sequence[str] | None = None,
    base_groups: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # [Q, D], [N, D] -> [Q, count] float64, [Q, count] int64
    """For every query: Euclidean distances to, and row numbers of, the `count` nearest rows of `base`, nearest first.

    Args:
        queries, base: rows of any real dtype, numpy or torch.
        count: neighbours per query, at least 1.
        query_groups, base_groups: name of the source video of each row. Where both are given, a row of the query's own
            video is not a neighbour.

    Candidates come from float32 products; the distances are float64 differences, so that equal rows have distance 0.
    At equal distances the lower row comes first. Where there are fewer than `count` neighbours, the rest has distance
    inf and row -1. Beyond a float32 copy of `base`, memory does not grow with the number of rows.
    Raises `FeatureError` or `NotComparable`.
    """
    queries, base = feature_table(queries), feature_table(base)
    check_lengths(queries.shape[1], base.shape[1])
    if count < 1:
        raise FeatureError(f"{count} neighbours were asked for; it takes at least 1")
    own = group_numbers(queries, base, query_groups, base_groups)
    distances, rows = np.full((len(queries), count), np.inf), np.full((len(queries), count), -1, np.int64)
    if not len(base):
        return distances, rows
    centre = base.mean(axis=0, dtype=np.float64)
    centred = (base - centre).astype(np.float32)
    step = max(1, BLOCK_ELEMENTS // max(len(base), (count + SPARE) * base.shape[1]))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        squares = squared_distances((queries[block] - centre).astype(np.float32), centred)
        if own is not None:
            squares[own[0][block, None] == own[1]] = np.inf
        distances[block], rows[block] = chosen(queries[block], base, squares, count)
    return distances, rows


def nearest_within(rows: Any, groups: Sequence[str], count: int = 1) -> tuple[np.ndarray, np.ndarray]:  # [N, D]
    """`nearest` within one set, to rows of other source videos."""
    return nearest(rows, rows, count, groups, groups)


def group_numbers(
    queries: np.ndarray, base: np.ndarray, query_groups: Sequence[str] | None, base_groups: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """The group of each row of both sides as a number; numbers are compared faster than names."""
    if query_groups is None or base_groups is None:
        return None
    check_names(len(queries), query_groups, "query")
    check_names(len(base), base_groups, "base")
    number_of = {name: number for number, name in enumerate(dict.fromkeys([*query_groups, *base_groups]))}
    query, other = (np.array([number_of[name] for name in names], np.int64) for names in (query_groups, base_groups))
    return query, other


def squared_distances(queries: np.ndarray, base: np.ndarray) -> np.ndarray:  # [Q, D], [N, D] float32 -> [Q, N]
    """|q|^2 + |b|^2 - 2 q.b, with the precision of float32."""
    lengths = [np.einsum("nd,nd->n", rows, rows) for rows in (queries, base)]
    squares = queries @ base.T
    squares *= -2
    squares += lengths[0][:, None]
    squares += lengths[1]
    return squares


def chosen(
    queries: np.ndarray, base: np.ndarray, squares: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:  # [Q, D], [N, D], [Q, N] -> [Q, count] twice
    """The nearest rows among the candidates, by exact distances."""
    wanted = min(count + SPARE, len(base))
    rows = np.sort(np.argpartition(squares, wanted - 1, axis=1)[:, :wanted], axis=1)
    gaps = base[rows].astype(np.float64) - queries[:, None].astype(np.float64)
    distances = np.sqrt(np.einsum("qkd,qkd->qk", gaps, gaps))
    excluded = np.isinf(np.take_along_axis(squares, rows, axis=1))
    distances[excluded] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    distances, rows = np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)
    rows = np.where(np.isinf(distances), -1, rows)
    missing = [(0, 0), (0, max(0, count - wanted))]
    return np.pad(distances, missing, constant_values=np.inf), np.pad(rows, missing, constant_values=-1)
