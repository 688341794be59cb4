"""Is one checkpoint worse than another? The contrast of two distances to the same real side, and its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from latte_eval.core.errors import NotEnoughClips
from latte_eval.metrics.deletion import frechet_statistic
from latte_eval.metrics.estimate import Sides, Steps
from latte_eval.metrics.inception_scores import inception_score
from latte_eval.metrics.jackknife import Statistic, delete_one
from latte_eval.metrics.parts import deal_rows, groups_to_parts, row_parts
from latte_eval.metrics.uncertainty import FEWEST_PARTS, PARTS

MakeStatistic = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Statistic]


@dataclass(frozen=True)
class Contrast:
    """T: how much worse the new value is than the accepted one and the allowance together.

    For a distance F, T = F_new - (1 + allowance) F_accepted; for a score S, T = (1 - allowance) S_accepted - S_new.

    Attributes:
        value: T without its bias of order 1/N. The bias does not cancel by itself where one model has lost variance.
        plug_in: T of the two values as they are printed.
        standard_error: of the value; value / standard_error has a Student distribution where the true T is 0.
        degrees: degrees of freedom of that distribution, parts - 1.
        accepted: the accepted value without its bias of order 1/N.
        new_error, accepted_error, difference_error: standard errors of the new value, of the accepted one, and of new
            minus accepted; the standard error of T under any other allowance follows from these three.
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
    higher_is_better: bool = False,
) -> Contrast:  # [N, D], [M, D], [M, D], names of source videos
    """The contrast of two distances and its standard error, by leaving out parts of all three sets at once.

    Clips of one name (the same seed) fall into one part in both fake sets. What both checkpoints make of the same
    noise is correlated, and the standard error takes this into account only if such clips are left out together.
    `make_statistic` is `frechet_statistic` or `latte_eval.metrics.kernel.KernelSums`; where higher is better, the
    contrast is that of a score. Raises what the distance raises, and `NotEnoughClips` below four parts.
    """
    new = Sides.checked(real, fake_new, real_groups, new_groups)
    accepted = Sides.checked(real, fake_accepted, real_groups, accepted_groups)
    parts = min(new.part_count(PARTS), accepted.part_count(PARTS))
    if parts < FEWEST_PARTS:
        raise NotEnoughClips(f"comparing two checkpoints takes {FEWEST_PARTS} source videos a side; one has {parts}")
    real_labels, part_of = deal_rows(real_groups, parts), groups_to_parts([*new_groups, *accepted_groups], parts)
    new_value = make_statistic(new.real, new.fake, real_labels, row_parts(new_groups, part_of))
    old_value = make_statistic(new.real, accepted.fake, real_labels, row_parts(accepted_groups, part_of))
    excess = partial(lost if higher_is_better else gained, allowance=allowance)
    return jackknifed(new_value, old_value, excess, parts, progress)


def gained(new: float, accepted: float, allowance: float) -> float:
    """How much worse a new distance is."""
    return new - (1 + allowance) * accepted


def lost(new: float, accepted: float, allowance: float) -> float:
    """How much worse a new score is."""
    return (1 - allowance) * accepted - new


def contrast_scores(
    new: np.ndarray,
    accepted: np.ndarray,
    new_groups: Sequence[str],
    accepted_groups: Sequence[str],
    allowance: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Contrast:  # [N, K] or [N, T, K] probabilities of each checkpoint
    """As `contrast_uncertainty` for two Inception Scores, each over one split: with several, parts cannot be left out.

    Raises `NotEnoughClips` below four parts.
    """
    parts = min(PARTS, len(set(new_groups)), len(set(accepted_groups)))
    if parts < FEWEST_PARTS:
        raise NotEnoughClips(f"comparing two checkpoints takes {FEWEST_PARTS} clips a side; one has {parts}")
    part_of = groups_to_parts(sorted({*new_groups, *accepted_groups}), parts)
    new_score = score_without(new, row_parts(new_groups, part_of))
    old_score = score_without(accepted, row_parts(accepted_groups, part_of))
    return jackknifed(new_score, old_score, partial(lost, allowance=allowance), parts, progress)


def jackknifed(
    new: Statistic,
    accepted: Statistic,
    excess: Callable[[float, float], float],
    parts: int,
    progress: Callable[[int, int], None] | None,
) -> Contrast:
    """The contrast `excess(new value, accepted value)`; each statistic is computed once per set of deleted parts."""
    new, accepted = cache(new), cache(accepted)
    found = delete_one(lambda deleted: excess(new(deleted), accepted(deleted)), parts, Steps(progress, parts))
    alone, old = delete_one(new, parts), delete_one(accepted, parts)
    difference = delete_one(lambda deleted: new(deleted) - accepted(deleted), parts)
    return Contrast(
        found.corrected, found.value, found.standard_error, parts - 1, old.corrected,
        alone.standard_error, old.standard_error, difference.standard_error,
    )  # fmt: skip


def score_without(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:  # [N, K] or [N, T, K], [N] int
    """`statistic(deleted)`: the one-split score without the rows of the deleted parts."""
    table = probabilities.reshape(-1, probabilities.shape[-1])
    labels = np.repeat(labels, len(table) // len(labels))
    return lambda deleted: inception_score(table[~np.isin(labels, list(deleted))], splits=1)[0]
