"""Delete-group jackknife: standard error and bias of any statistic (Quenouille 1956; Tukey 1958; Efron and Stein 1981).

A statistic is called with the groups to leave out: `()` for none, `(j,)`, `(j, k)`.
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
    """What leaving out each group in turn tells.

    Attributes:
        value: the statistic of all rows.
        standard_error: of the value and, to first order, of the corrected value.
        corrected: the value without its bias of order 1/N.
        groups: how many groups there were; intervals use t quantiles with one degree of freedom less.
    """

    value: float
    standard_error: float
    corrected: float
    groups: int

    def interval(self, centre: float, confidence: float, extra: float = 0.0) -> tuple[float, float]:
        """(low, high) around `centre`: t quantile times standard error, plus `extra`, to both sides."""
        half = t_quantile(confidence, self.groups - 1) * self.standard_error + extra
        return centre - half, centre + half


def delete_one(statistic: Statistic, groups: int, tick: Tick | None = None) -> Jackknife:
    """Jackknife of first order: `groups` + 1 evaluations.

    V = (g-1)/g sum (F_j - mean F_j)^2 and the corrected value is g F - (g-1) mean F_j.
    """
    value = statistic(())
    left = np.array(evaluate(statistic, [(j,) for j in range(groups)], tick))
    error = math.sqrt((groups - 1) / groups * ((left - left.mean()) ** 2).sum())
    return Jackknife(value, error, groups * value - (groups - 1) * float(left.mean()), groups)


def delete_two(statistic: Statistic, groups: int, value: float, tick: Tick | None = None) -> float:
    """`value` without its bias of orders 1/N and 1/N^2: groups (groups + 1) / 2 evaluations.

    [g^2 F - 2 (g-1)^2 mean F_j + (g-2)^2 mean F_jk] / 2 over all single groups and pairs.
    """
    singles: list[tuple[int, ...]] = [(j,) for j in range(groups)]
    left = evaluate(statistic, [*singles, *combinations(range(groups), 2)], tick)
    one, two = float(np.mean(left[:groups])), float(np.mean(left[groups:]))
    return (groups**2 * value - 2 * (groups - 1) ** 2 * one + (groups - 2) ** 2 * two) / 2


def evaluate(statistic: Statistic, deletions: Sequence[Sequence[int]], tick: Tick | None) -> list[float]:
    """The statistic without each set of groups; `tick` is called after each."""
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
