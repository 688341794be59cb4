"""What a gate said, as it stands on a page."""

from __future__ import annotations

from typing import Any

from latte_eval.core.numbers import number_to_text
from latte_eval.report.page import VerdictView

WORDS = {
    "pass": "not worse than the rules allow",
    "regression": "worse than the rules allow",
    "inconclusive": "the truth is too near the line for this budget",
    "not comparable": "it was not measured as the accepted result was",
    "refused": "a rule is tighter than what the budget can tell",
}


def verdict_view(verdict: dict[str, Any] | None) -> VerdictView | None:
    """The record of a gate as words; None without a gate."""
    if verdict is None:
        return None
    word = str(verdict["verdict"])
    clips, budget = int(verdict["clips"]), int(verdict["budget"])
    saved = f", {budget - clips:,} of {budget:,} were saved" if clips < budget else ""
    text = (
        f"{WORDS.get(word, '')}: {verdict['new']} against the accepted {verdict['accepted']}, "
        f"{clips:,} clips{saved}, {verdict['confidence'] * 100:g} % confidence."
    )
    return VerdictView(word if word in ("pass", "regression") else "unsure", word, text, rule_lines(verdict))


def rule_lines(verdict: dict[str, Any]) -> tuple[str, ...]:
    """One sentence per rule, and what else a person should know."""
    return tuple(line for rule in verdict["rules"] for line in (rule_line(rule), *map(str, rule["notes"])))


def rule_line(rule: dict[str, Any]) -> str:
    """`fvd:+5% pass: new 101.20, accepted 100.00`"""
    if rule["new"] is None or rule["accepted"] is None:
        return f"{rule['rule']}: {rule['verdict']}"
    new, accepted = number_to_text(rule["new"]), number_to_text(rule["accepted"])
    return f"{rule['rule']}: {rule['verdict']}; new {new}, accepted {accepted}"
