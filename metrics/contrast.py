"""Is one checkpoint worse than another? The contrast of two distances to the same real side, and its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from latte_eval.core.errors import NotEnoughClips
from latte_eval.metrics.deletion import frechet_statistic
from latte_eval.metrics.estimate import Sides, Steps
from latte_eval.metrics.groups import group_places, row_groups
from latte_eval.metrics.jackknife import Statistic, delete_one
from latte_eval.metrics.uncertainty import FEWEST_GROUPS, GROUPS

MakeStatistic = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Statistic]


@dataclass(frozen=True)
class Contrast:
    """T = F_new - (1 + allowance) F_accepted.

    Attributes:
        value: T without its bias of order 1/N. The bias does not cancel by itself where one model has lost variance.
        plug_in: T of the two distances as they are printed.
        standard_error: of the value; value / standard_error is Student distributed under T = 0.
        degrees: its degrees of freedom, groups - 1.
        accepted: F_accepted without its bias of order 1/N.
        new_error, accepted_error, difference_error: standard errors of F_new, F_accepted and F_new - F_accepted, from
            which that of T under any other allowance follows.
    """

    value: float
    plug_in: float
    standard_error: float
    degrees: int
    accepted: float
    new_error: float
    accepted_error: float
    difference_error: float


def contrast_uncertainty(
    real: Any,
    fake_new: Any,
    fake_accepted: Any,
    real_groups: Sequence[str],
    new_groups: Sequence[str],
    accepted_groups: Sequence[str],
    allowance: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
    make_statistic: MakeStatistic = frechet_statistic,
) -> Contrast:  # [N, D], [M, D], [M, D], names of source videos
    """The contrast and its standard error, by leaving out groups of all three sets at once.

    Clips of one name (the same seed) fall into one group in both fake sets: what both checkpoints make of the same
    noise is correlated, and only so is the correlation counted. `make_statistic` is `frechet_statistic` or
    `latte_eval.metrics.kernel.KernelSums`. Raises what the distance raises, and `NotEnoughClips` below four groups.
    """
    new = Sides.checked(real, fake_new, real_groups, new_groups)
    accepted = Sides.checked(real, fake_accepted, real_groups, accepted_groups)
    groups = min(new.group_count(GROUPS), accepted.group_count(GROUPS))
    if groups < FEWEST_GROUPS:
        raise NotEnoughClips(f"comparing two checkpoints takes {FEWEST_GROUPS} source videos a side; one has {groups}")
    real_labels = row_groups(real_groups, group_places(real_groups, groups))
    places = group_places([*new_groups, *accepted_groups], groups)
    new_value = cache(make_statistic(new.real, new.fake, real_labels, row_groups(new_groups, places)))
    old_value = cache(make_statistic(new.real, accepted.fake, real_labels, row_groups(accepted_groups, places)))
    found = delete_one(lambda j: new_value(j) - (1 + allowance) * old_value(j), groups, Steps(progress, groups))
    old, new_alone = delete_one(old_value, groups), delete_one(new_value, groups)
    difference = delete_one(lambda j: new_value(j) - old_value(j), groups)
    return Contrast(
        found.corrected, found.value, found.standard_error, groups - 1, old.corrected,
        new_alone.standard_error, old.standard_error, difference.standard_error,
    )  # fmt: skip
