"""How much worse a new result is than an accepted one, beyond what a rule allows, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from latte_eval.core.errors import StoreError
from latte_eval.core.features import Features
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.gate.boundaries import normal_quantile, student_boundary
from latte_eval.gate.rules import Rule
from latte_eval.metrics.rows import METRICS
from latte_eval.metrics.uncertainty import PARTS

# A rule is meaningful where a checkpoint that is as good as the accepted one passes this often.
POWER = 0.8

# A percentage is offered unless a rule in units could be tighter by more than this factor.
NEAR_ZERO = 2.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Errors:
    """Standard errors of the new value, of the accepted one, and of new - accepted."""

    new: float
    accepted: float
    difference: float

    def smallest_part(self, accepted: float, reach: float, sign: int) -> float | None:
        """The smallest allowance d, as a share of the accepted value, that is `reach` standard errors of its contrast.

        The contrast new - (1 + sign d) accepted has the variance V(difference) + 2 sign d C + d^2 V(accepted) with
        C = [V(accepted) + V(difference) - V(new)] / 2. None where the accepted value is so near 0 that a larger share
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
        accepted: the accepted value, to which the allowance refers.
        paired: whether clips were compared with clips, not numbers with numbers.
        errors: those from which the standard error under another rule follows.
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
        """The tightest rules, of the same kind and in units, that an equal checkpoint passes with probability `POWER`.

        The first is None where no percentage of the accepted value will do. `share` is how much of the budget has been
        sampled: standard errors fall with the root of the clips.
        """
        reach = (student_boundary(boundary, self.degrees) + normal_quantile(POWER)) * math.sqrt(share)
        # A checkpoint never differs from itself, which says nothing of another: a percentage takes the accepted error.
        error = self.errors.difference or (self.errors.accepted if rule.relative else 0.0)
        units = replace(rule, amount=reach * error, relative=False)
        if not rule.relative:
            return units, units
        part = self.errors.smallest_part(self.accepted, reach, 1 if rule.sign == "+" else -1)
        return None if part is None else replace(rule, amount=part * 100), units


def compare_features(
    rule: Rule, new: Features, accepted: Features, real: Features | None, progress: Progress | None = None,
    protocol: Protocol | None = None,
) -> Finding:  # fmt: skip
    """Clips against clips: the jackknife leaves out together what both checkpoints make of one seed.

    `protocol` is that of the accepted result.
    """
    contrast = METRICS[rule.metric].under(protocol or Protocol()).contrast
    assert contrast is not None  # where there is none, numbers are compared
    found = contrast(new, accepted, real, rule.amount / 100 if rule.relative else 0.0, progress)
    excess = found.value - (0.0 if rule.relative else rule.amount)
    errors = Errors(found.new_error, found.accepted_error, found.difference_error)
    return Finding(excess, found.standard_error, found.degrees, found.accepted, True, errors)


def compare_numbers(rule: Rule, new: Result, accepted: Result) -> Finding:
    """Numbers against numbers: without clips nothing cancels, so the standard error is that of independent values."""
    (value, error), (old, old_error) = (known_number(each, [new, accepted]) for each in (new, accepted))
    factor = 1.0
    if rule.relative:
        factor += rule.amount / 100 * (1 if rule.sign == "+" else -1)
    worse = value - factor * old if rule.sign == "+" else factor * old - value
    excess = worse - (0.0 if rule.relative else rule.amount)
    errors = Errors(error, old_error, math.hypot(error, old_error))
    return Finding(excess, math.hypot(error, factor * old_error), degrees_of(new, accepted), old, False, errors)


def known_number(result: Result, both: list[Result]) -> tuple[float, float]:
    """Value (corrected where both results have that) and standard error. Raises `StoreError` without the latter."""
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
    """The recorded one; for a score over splits, that of their mean."""
    splits = result.details.get("splits")
    if result.standard_error is None and splits and splits > 1 and "std" in result.details:
        return float(result.details["std"]) / math.sqrt(splits - 1)
    return result.standard_error


def degrees_of(*results: Result) -> int:
    """Degrees of freedom of the least sure of several results."""
    known = [min(parts_of(result).values()) for result in results]
    splits = [result.details["splits"] for result in results if "splits" in result.details]
    return max(1, min(known + splits) - 1)


def parts_of(result: Result) -> dict[str, int]:
    """How many parts the jackknife left out of each side; results of earlier versions call them groups."""
    return result.details.get("parts") or result.details.get("groups") or {"both": PARTS}
