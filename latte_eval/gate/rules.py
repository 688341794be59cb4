"""What a gate fails: `fvd:+3%` is an FVD that rose by more than 3 %, `is:-0.5` an IS that fell by more than 0.5."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from latte_eval.core.errors import UsageError
from latte_eval.metrics.rows import METRICS

FORM = re.compile(r"\s*([A-Za-z][\w-]*)\s*:\s*([+-])\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*")
WORSE = {"lower": "+", "higher": "-"}


@dataclass(frozen=True)
class Rule:
    """By how much a metric may become worse.

    Attributes:
        metric: `fvd`, `is`, ...
        sign: `+` where higher is worse, `-` where lower is.
        amount: percent or units of the metric, 0 or more.
        relative: whether the amount is in percent.
    """

    metric: str
    sign: str
    amount: float
    relative: bool

    def __str__(self) -> str:
        # Never with an exponent: a rule that is printed can be typed.
        return f"{self.metric}:{self.sign}{Decimal(f'{self.amount:g}'):f}{'%' if self.relative else ''}"

    def margin(self, accepted: float) -> float:
        """The allowance in units of the metric."""
        return self.amount / 100 * accepted if self.relative else self.amount

    def check_direction(self, better: str) -> None:
        """Raise `UsageError` unless the rule names the direction in which its metric becomes worse."""
        if better not in WORSE:
            raise UsageError(f"--fail {self}: {self.metric} cannot be gated, it has no direction (better: {better!r})")
        if WORSE[better] != self.sign:
            right = Rule(self.metric, WORSE[better], self.amount, self.relative)
            raise UsageError(f"--fail {self}: {better} is better for {self.metric}, so write {right}")


def parse_rule(text: str) -> Rule:
    """`fvd:+3%` as a `Rule`. Raises `UsageError` with what was meant, as far as it can be guessed."""
    found = FORM.fullmatch(text)
    if not found:
        raise UsageError(f"--fail {text!r} cannot be read.{guess(text)} Write it as fvd:+3% or is:-0.5")
    name, sign, amount, percent = found.groups()
    if name.lower() not in METRICS:
        near = closest(name)
        hint = f" Did you mean {near}:{sign}{amount}{percent}?" if near else ""
        raise UsageError(f"--fail {text}: there is no metric {name!r}.{hint} Metrics: {', '.join(METRICS)}")
    rule = Rule(name.lower(), sign, float(amount), percent == "%")
    rule.check_direction(METRICS[rule.metric].better)
    return rule


def closest(name: str) -> str | None:
    near = difflib.get_close_matches(name.lower(), METRICS.names(), n=1, cutoff=0.5)
    return near[0] if near else None


def guess(text: str) -> str:
    """` Did you mean fvd:+3%?` where a metric and a number can be made out."""
    name, numbers = re.search(r"[A-Za-z][\w-]*", text), re.findall(r"\d+(?:\.\d+)?\s*%?", text)
    metric = closest(name.group()) if name else None
    if metric is None or not numbers:
        return ""
    return f" Did you mean {metric}:{WORSE[METRICS[metric].better]}{numbers[-1].replace(' ', '')}?"


def parse_rules(texts: Sequence[str]) -> list[Rule]:
    """All rules, one per metric. Raises `UsageError` where there is none, or two for one metric."""
    rules = [parse_rule(text) for text in texts]
    if not rules:
        raise UsageError("give at least one rule, such as --fail fvd:+5%")
    for i, rule in enumerate(rules):
        if rule.metric in {other.metric for other in rules[:i]}:
            raise UsageError(f"--fail {rule}: {rule.metric} has a rule already; give one a metric")
    return rules
