"""Jackknife: standard error and bias of any statistic (Quenouille 1956; Tukey 1958; Efron and Stein 1981).

Groups (source videos) are dealt into parts, and one part is left out at a time; the literature calls this the
delete-a-group jackknife. A statistic is called with the parts to leave out: `()` for none, `(j,)`, `(j, k)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

Statistic = Callable[[Sequence[int]], float]
Tick = Callable[[], None]


@dataclass(frozen=True)
class Jackknife:
    """What follows from leaving out each part in turn.

    Attributes:
        value: the statistic of all rows.
        standard_error: of the value and, to first order, of the corrected value.
        corrected: the value without its bias of order 1/N.
        parts: how many parts there were; intervals use t quantiles with parts - 1 degrees of freedom.
        left: the statistic without each part.
    """

    value: float
    standard_error: float
    corrected: float
    parts: int
    left: tuple[float, ...] = ()

    def interval(self, centre: float, confidence: float, extra: float = 0.0) -> tuple[float, float]:
        """(low, high) around `centre`: t quantile times standard error, plus `extra`, on both sides."""
        half = t_quantile(confidence, self.parts - 1) * self.standard_error + extra
        return centre - half, centre + half


def delete_one(statistic: Statistic, parts: int, tick: Tick | None = None) -> Jackknife:
    """Jackknife of first order: parts + 1 evaluations.

    With g parts, V = (g-1)/g sum (F_j - mean F_j)^2 and the corrected value is g F - (g-1) mean F_j.
    """
    value = statistic(())
    left = np.array(evaluate(statistic, [(j,) for j in range(parts)], tick))
    error = math.sqrt((parts - 1) / parts * ((left - left.mean()) ** 2).sum())
    return Jackknife(value, error, parts * value - (parts - 1) * float(left.mean()), parts, tuple(left.tolist()))


def delete_two(statistic: Statistic, parts: int, value: float, tick: Tick | None = None) -> float:
    """`value` without its bias of orders 1/N and 1/N^2: parts (parts + 1) / 2 evaluations.

    With g parts, [g^2 F - 2 (g-1)^2 mean F_j + (g-2)^2 mean F_jk] / 2 over all single parts and all pairs of parts.
    """
    singles: list[tuple[int, ...]] = [(j,) for j in range(parts)]
    left = evaluate(statistic, [*singles, *combinations(range(parts), 2)], tick)
    one, two = float(np.mean(left[:parts])), float(np.mean(left[parts:]))
    return (parts**2 * value - 2 * (parts - 1) ** 2 * one + (parts - 2) ** 2 * two) / 2


def evaluate(statistic: Statistic, deletions: Sequence[Sequence[int]], tick: Tick | None) -> list[float]:
    """The statistic without each set of parts; `tick` is called after each."""
    values = []
    for deleted in deletions:
        values.append(statistic(deleted))
        if tick:
            tick()
    return values


def t_quantile(confidence: float, degrees: int) -> float:
    """The two-sided Student quantile: 2.04 for .95 and 31 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))
