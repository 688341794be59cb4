"""Precision, recall, density and coverage: how much of one side lies among rows of the other.

Every row has a ball: its radius is the distance to the k-th nearest other row of its own side. Precision is the share
of fake rows within some real ball, recall the share of real rows within some fake ball (Kynkaanniemi et al. 2019,
arXiv 1904.06991); density counts the real balls around each fake row, over k, and coverage is the share of real balls
that hold a fake row (Naeem et al. 2020, arXiv 2002.09797). A row on the edge of a ball is not within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from latte_eval.core.errors import FeatureError, NotEnoughClips
from latte_eval.metrics.jackknife import Statistic
from latte_eval.metrics.moments import feature_pair

NEIGHBOURS = 5
BLOCK_ELEMENTS = 2**22
# Of the largest squared length: squared distances that differ by less differ by rounding, so a row lies on the edge.
EDGE = 64 * float(np.finfo(np.float64).eps)


class PrecisionRecall(NamedTuple):
    """The four shares; density can be above 1, the others cannot. Higher is better in all."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Any, fake: Any, k: int = NEIGHBOURS) -> PrecisionRecall:  # [N1, D], [N2, D]
    """Precision, recall, density and coverage of fake rows beside real ones, in float64.

    Raises `NotEnoughClips` where a side has no more than `k` rows, `NotComparable` for rows of unequal lengths,
    `FeatureError` where features are not finite or `k` is below 1.
    """
    real, fake = feature_pair(real, fake)
    return Balls(real, fake, np.zeros(len(real), np.int64), np.zeros(len(fake), np.int64), k, whole_only=True).whole


class Balls:
    """The four shares of all rows, and of those that remain without each part, from one pass over pairs of rows.

    Attributes:
        table: [1 + parts, 4] float64: without nothing, without part 0, without part 1, ...
    """

    def __init__(
        self, real: np.ndarray, fake: np.ndarray, real_labels: np.ndarray, fake_labels: np.ndarray,
        k: int = NEIGHBOURS, tick: Callable[[], None] | None = None, whole_only: bool = False,
    ):  # fmt: skip
        check_neighbours(len(real), len(fake), k)
        centre = real.mean(axis=0, dtype=np.float64)
        sides = real - centre, fake - centre
        labels = real_labels, fake_labels
        parts = 0 if whole_only else 1 + int(max(each.max() for each in labels))
        edge = EDGE * max(float(np.einsum("nd,nd->n", rows, rows).max()) for rows in sides)
        radii = [squared_radii(rows, each, parts, k) - edge for rows, each in zip(sides, labels, strict=True)]
        self.table = shares(sides, labels, (radii[0], radii[1]), k, tick)

    @property
    def whole(self) -> PrecisionRecall:
        """The four shares of all rows."""
        return PrecisionRecall(*map(float, self.table[0]))

    def statistic(self, name: str) -> Statistic:
        """`statistic(deleted)`: one share without the rows of no part or of one."""
        column = PrecisionRecall._fields.index(name)
        return lambda deleted: float(self.table[1 + deleted[0] if len(deleted) else 0, column])


def check_neighbours(real: int, fake: int, k: int) -> None:
    """Raise `NotEnoughClips` where a row has no k-th neighbour on its own side, `FeatureError` for k below 1."""
    if k < 1:
        raise FeatureError(f"{k} neighbours were asked for; it takes at least 1")
    for side, rows in (("real", real), ("fake", fake)):
        if rows <= k:
            raise NotEnoughClips(f"{k} neighbours of a row take more than {k} rows; the {side} side has {rows}")


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [N, D], [M, D] float64 -> [N, M] float64
    """|a - b|^2, off by no more than rounding errors of the lengths."""
    squares = -2 * (a @ b.T)
    squares += np.einsum("nd,nd->n", a, a)[:, None]
    squares += np.einsum("nd,nd->n", b, b)
    return squares


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Rows in blocks whose distances to `columns` rows take a bounded amount of memory."""
    step = max(1, BLOCK_ELEMENTS // columns)
    return (slice(start, start + step) for start in range(0, rows, step))


def squared_radii(rows: np.ndarray, labels: np.ndarray, parts: int, k: int) -> np.ndarray:  # [N, D] -> [1 + parts, N]
    """The squared radius of every ball, with all rows and without each part; -inf for one that is left out itself.

    The k nearest rows of every part are enough: without one part, the k nearest are among those of the others.
    """
    radii = np.empty((1 + parts, len(rows)))
    members = [np.flatnonzero(labels == part) for part in range(max(parts, 1))] if parts else [np.arange(len(rows))]
    for block in blocks(len(rows), len(rows)):
        squares = squared_distances(rows[block], rows)
        here = np.arange(len(squares))
        squares[here, here + block.start] = np.inf
        near, part_of = nearest_of_parts(squares, members, k)
        radii[0, block] = near[:, k - 1]
        for part in range(parts):
            radii[1 + part, block] = kth_without(near, part_of, part, k)
    for part in range(parts):
        radii[1 + part, labels == part] = -np.inf
    return radii


def nearest_of_parts(
    squares: np.ndarray, members: Sequence[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:  # [B, N] -> [B, 2 k] ascending, [B, 2 k] int
    """The nearest rows of all parts, and their parts: twice as many as wanted, at most k of each part."""
    found = [np.partition(squares[:, each], min(k, len(each)) - 1, axis=1)[:, :k] for each in members if len(each)]
    numbers = [part for part, each in enumerate(members) for _ in range(min(k, len(each)))]
    near = np.concatenate(found, axis=1)
    order = np.argsort(near, axis=1, kind="stable")[:, : 2 * k]
    return np.take_along_axis(near, order, axis=1), np.array(numbers)[order]


def kth_without(near: np.ndarray, part_of: np.ndarray, part: int, k: int) -> np.ndarray:  # [B, 2 k] -> [B]
    """The k-th nearest that is not of a part; infinity where there are fewer."""
    others = (part_of != part).cumsum(axis=1)
    place = (others == k).argmax(axis=1)
    return np.where(others[:, -1] >= k, near[np.arange(len(near)), place], np.inf)


def shares(
    sides: tuple[np.ndarray, np.ndarray], labels: tuple[np.ndarray, np.ndarray], radii: tuple[np.ndarray, np.ndarray],
    k: int, tick: Callable[[], None] | None,
) -> np.ndarray:  # fmt: skip
    """[1 + parts, 4]: the four shares with all rows and without each part, one block of fake rows at a time."""
    (real, fake), (real_radii, fake_radii) = sides, radii
    ways, parts = len(real_radii), len(real_radii) - 1
    balls_around = np.empty((ways, len(fake)), np.int64)
    recalled = np.zeros((ways, len(real)), bool)
    closest = np.full((max(parts, 1), len(real)), np.inf)
    for block in blocks(len(fake), len(real)):
        squares = squared_distances(fake[block], real)
        for way in range(ways):
            balls_around[way, block] = np.count_nonzero(squares < real_radii[way], axis=1)
            recalled[way] |= (squares < fake_radii[way, block, None]).any(axis=0)
        own = labels[1][block] if parts else np.zeros(len(squares), np.int64)
        for part in np.unique(own):
            closest[part] = np.minimum(closest[part], squares[own == part].min(axis=0))
        if tick:
            tick()
    rows = [
        share_row(balls_around[way], recalled[way], without(closest, way - 1) < real_radii[way], k,
                  labels[0] != way - 1, labels[1] != way - 1)
        for way in range(ways)
    ]  # fmt: skip
    return np.array(rows)


def without(closest: np.ndarray, part: int) -> np.ndarray:  # [parts, N] -> [N]
    """The least squared distance to a fake row that is not of a part; -1 stands for no part."""
    kept = np.arange(len(closest)) != part
    return closest[kept].min(axis=0) if kept.any() else np.full(closest.shape[1], np.inf)


def share_row(
    balls_around: np.ndarray, recalled: np.ndarray, covered: np.ndarray, k: int, real: np.ndarray, fake: np.ndarray
) -> PrecisionRecall:
    """The four shares of the rows that are kept: `real` [N1] bool and `fake` [N2] bool."""
    around = balls_around[fake]
    return PrecisionRecall(
        precision=float((around > 0).mean()),
        recall=float(recalled[real].mean()),
        density=float(around.mean() / k),
        coverage=float(covered[real].mean()),
    )
