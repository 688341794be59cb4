"""How much worse a new result is than an accepted one, beyond what a rule allows, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from latte_eval.core.errors import NotEnoughClips, StoreError
from latte_eval.core.result import Result
from latte_eval.evaluation.extract import Features
from latte_eval.gate.boundaries import normal_quantile, student_boundary
from latte_eval.gate.rules import Rule
from latte_eval.metrics.contrast import contrast_uncertainty
from latte_eval.metrics.deletion import frechet_statistic
from latte_eval.metrics.groups import group_places, row_groups
from latte_eval.metrics.inception_scores import inception_score
from latte_eval.metrics.jackknife import delete_one
from latte_eval.metrics.kernel import KernelSums
from latte_eval.metrics.rows import feature_rows
from latte_eval.metrics.uncertainty import FEWEST_GROUPS, GROUPS

# A rule is meaningful where a checkpoint that is as good as the accepted one passes this often.
POWER = 0.8

# A percentage is offered unless a rule in units could be tighter by more than this factor.
NEAR_ZERO = 2.0

STATISTICS = {"fvd": frechet_statistic, "fid": frechet_statistic, "kvd": KernelSums, "kid": KernelSums}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Errors:
    """Standard errors of the new value, of the accepted one, and of new - accepted."""

    new: float
    accepted: float
    difference: float

    def smallest_part(self, accepted: float, reach: float, sign: int) -> float | None:
        """The smallest allowance d, as a part of the accepted value, of `reach` standard errors of its contrast.

        The contrast new - (1 + sign d) accepted has the variance V(difference) + 2 sign d C + d^2 V(accepted) with
        C = [V(accepted) + V(difference) - V(new)] / 2. None where the accepted value is so near 0 that a larger part
        of it is no more certain than a smaller one.
        """
        shared = sign * (self.accepted**2 + self.difference**2 - self.new**2) / 2 * reach**2
        square = accepted**2 - (reach * self.accepted) ** 2
        if accepted <= 0 or square <= 0:
            return None
        return (shared + math.sqrt(shared**2 + square * (reach * self.difference) ** 2)) / square


@dataclass(frozen=True)
class Finding:
    """What one comparison says; positive is worse than the rule allows.

    Attributes:
        excess: how much worse the new value is than the accepted one and the allowance together, without bias where
            features of both were there.
        standard_error: of the excess.
        degrees: of freedom of excess / standard_error.
        accepted: the accepted value that the allowance is taken of.
        paired: whether clips were compared with clips, not numbers with numbers.
        errors: from which the standard error under another rule follows.
    """

    excess: float
    standard_error: float
    degrees: int
    accepted: float
    paired: bool
    errors: Errors

    @property
    def statistic(self) -> float:
        """Excess over standard error; 0 where both are 0."""
        if self.standard_error == 0:
            return 0.0 if self.excess == 0 else math.copysign(math.inf, self.excess)
        return self.excess / self.standard_error

    def detectable(self, rule: Rule, boundary: float, share: float = 1.0) -> tuple[Rule | None, Rule]:
        """The tightest rules, of the same kind and in units, under which an equal checkpoint passes with `POWER`.

        The first is None where no percentage of the accepted value does. `share` is the part of the budget that has
        been sampled: standard errors fall with the root of the clips.
        """
        reach = (student_boundary(boundary, self.degrees) + normal_quantile(POWER)) * math.sqrt(share)
        # Beside itself a checkpoint differs by nothing, which tells nothing of another: then as far as it is known.
        error = self.errors.difference or (self.errors.accepted if rule.relative else 0.0)
        units = replace(rule, amount=reach * error, relative=False)
        if not rule.relative:
            return units, units
        part = self.errors.smallest_part(self.accepted, reach, 1 if rule.sign == "+" else -1)
        return None if part is None else replace(rule, amount=part * 100), units


def compare_features(
    rule: Rule, new: Features, accepted: Features, real: Features | None, progress: Progress | None = None
) -> Finding:
    """Clips against clips: what both checkpoints make of one seed is left out together."""
    if rule.metric == "is":
        return compare_scores(rule, new, accepted)
    assert real is not None
    (new_rows, new_groups), (old_rows, old_groups), (real_rows, real_groups) = map(feature_rows, (new, accepted, real))
    allowance = rule.amount / 100 if rule.relative else 0.0
    found = contrast_uncertainty(
        real_rows, new_rows, old_rows, real_groups, new_groups, old_groups, allowance, progress,
        STATISTICS[rule.metric],
    )  # fmt: skip
    excess = found.value - (0.0 if rule.relative else rule.amount)
    errors = Errors(found.new_error, found.accepted_error, found.difference_error)
    return Finding(excess, found.standard_error, found.degrees, found.accepted, True, errors)


def compare_scores(rule: Rule, new: Features, accepted: Features) -> Finding:
    """As `compare_features` for the Inception Score, over one split: of splits the groups could not be left out."""
    names = set(new.groups) | set(accepted.groups)
    groups = min(GROUPS, len(set(new.groups)), len(set(accepted.groups)))
    if groups < FEWEST_GROUPS:
        raise NotEnoughClips(f"comparing two checkpoints takes {FEWEST_GROUPS} clips a side; one has {groups}")
    places = group_places(sorted(names), groups)
    score, old_score = (cache(score_without(features, places)) for features in (new, accepted))
    kept = 1 - (rule.amount / 100 if rule.relative else 0.0)
    found = delete_one(lambda j: kept * old_score(tuple(j)) - score(tuple(j)), groups)
    excess = found.corrected - (0.0 if rule.relative else rule.amount)
    old, alone = delete_one(lambda j: old_score(tuple(j)), groups), delete_one(lambda j: score(tuple(j)), groups)
    difference = delete_one(lambda j: score(tuple(j)) - old_score(tuple(j)), groups)
    errors = Errors(alone.standard_error, old.standard_error, difference.standard_error)
    return Finding(excess, found.standard_error, groups - 1, old.corrected, True, errors)


def score_without(features: Features, places: dict[str, int]) -> Callable[[object], float]:
    """The one-split score without some groups. # [N, K] or [N, T, K] probabilities"""
    rows, labels = features.outputs["probabilities"], row_groups(features.groups, places)
    table = rows.reshape(-1, rows.shape[-1])
    labels = np.repeat(labels, len(table) // len(labels))
    return lambda deleted: inception_score(table[~np.isin(labels, list(deleted))], splits=1)[0]  # type: ignore[call-overload]


def compare_numbers(rule: Rule, new: Result, accepted: Result) -> Finding:
    """Numbers against numbers: without the clips nothing cancels, so the standard error is that of two strangers."""
    (value, error), (old, old_error) = (known_number(each, [new, accepted]) for each in (new, accepted))
    factor = 1.0
    if rule.relative:
        factor += rule.amount / 100 * (1 if rule.sign == "+" else -1)
    worse = value - factor * old if rule.sign == "+" else factor * old - value
    excess = worse - (0.0 if rule.relative else rule.amount)
    errors = Errors(error, old_error, math.hypot(error, old_error))
    return Finding(excess, math.hypot(error, factor * old_error), degrees_of(new, accepted), old, False, errors)


def known_number(result: Result, both: list[Result]) -> tuple[float, float]:
    """Value and standard error; the corrected value where both results have one. Raises `StoreError` without error."""
    error = standard_error(result)
    if error is None:
        raise StoreError(
            f"the {result.metric} of {result.started} has neither features nor a standard error to compare with: "
            "measure it again without --no-interval, and keep its run folder"
        )
    corrected = [(each.corrected or {}).get("value") for each in both]
    if all(value is not None for value in corrected):
        return float((result.corrected or {})["value"]), error
    return result.value, error


def standard_error(result: Result) -> float | None:
    """The recorded one; for a score over splits that of their mean."""
    splits = result.details.get("splits")
    if result.standard_error is None and splits and splits > 1 and "std" in result.details:
        return float(result.details["std"]) / math.sqrt(splits - 1)
    return result.standard_error


def degrees_of(*results: Result) -> int:
    """Degrees of freedom of the less sure of several results."""
    known = [min((result.details.get("groups") or {"both": GROUPS}).values()) for result in results]
    splits = [result.details["splits"] for result in results if "splits" in result.details]
    return max(1, min(known + splits) - 1)
