"""Records that a page is made from, checked in depth: what was edited by hand is named in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from latte_eval.core.errors import StoreError
from latte_eval.core.result import Result

Check = Callable[[Any], bool]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_pair(value: Any) -> bool:
    """Two numbers, such as an interval."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def is_time(value: Any) -> bool:
    """Whether it is a time in the form that results use."""
    try:
        return bool(datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo)
    except ValueError:
        return False


def is_corrected(value: Any) -> bool:
    known = is_number(value.get("value")) and is_pair(value.get("interval"))
    return not value or known or is_text(value.get("unidentified"))


def is_floor(value: Any) -> bool:
    rows = value.get("rows")
    return not value or (is_number(value.get("value")) and isinstance(rows, list) and all(map(is_count, rows)))


def is_yardstick(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and is_text(row.get("row"))
        and is_number(row.get("fvd"))
        and (row.get("interval") is None or is_pair(row["interval"]))
    )


# Field -> what it must be where it is not null.
FIELDS: dict[str, Check] = {
    "started": is_time, "seconds": is_number, "fake": is_count, "real": is_count, "interval": is_pair,
    "corrected": is_corrected, "floor": is_floor, "seeds": is_pair,
}  # fmt: skip

# Field and member -> what the member must be where it is there.
MEMBERS: dict[tuple[str, str], Check] = {
    ("fake_source", "name"): is_text, ("real_source", "name"): is_text, ("checkpoint", "name"): is_text,
    ("checkpoint", "run"): or_none(is_text), ("checkpoint", "iteration"): or_none(is_number),
    ("checkpoint", "sha256"): or_none(is_text), ("detector", "sha256"): is_text, ("details", "std"): is_number,
    ("details", "splits"): is_count, ("details", "subsets"): is_count,
    ("sampler", "guidance_scale"): or_none(is_number), ("sampler", "eta"): or_none(is_number),
    ("sampler", "guidance_interval"): or_none(is_pair), ("sampler", "steps"): or_none(is_count),
    ("sampler", "codec"): or_none(is_text),
    ("env", "world"): or_none(is_count), ("code", "commit"): or_none(is_text),
    ("details", "table"): lambda rows: isinstance(rows, list) and all(map(is_yardstick, rows)),
}  # fmt: skip


def check_result(result: Result, where: str) -> None:
    """Raise `StoreError` that names a field of a result which cannot be shown."""
    for name, check in FIELDS.items():
        value = getattr(result, name)
        if value is not None and not check(value):
            raise StoreError(f"{where} was edited: {name} of the {result.metric} result is {value!r}")
    for (name, member), check in MEMBERS.items():
        record = getattr(result, name) or {}
        if member in record and not check(record[member]):
            raise StoreError(f"{where} was edited: {member} of its {name} is {record[member]!r}")


VERDICT: dict[str, Check] = {
    "verdict": is_text, "new": is_text, "accepted": is_text, "clips": is_count, "budget": is_count,
    "confidence": is_number, "rules": lambda rules: isinstance(rules, list) and all(map(is_rule, rules)),
}  # fmt: skip


def is_rule(rule: Any) -> bool:
    """Whether a page can show it."""
    if not isinstance(rule, dict) or not isinstance(rule.get("notes"), list):
        return False
    values = [rule.get("new"), rule.get("accepted")]
    return is_text(rule.get("rule")) and is_text(rule.get("verdict")) and all(map(or_none(is_number), values))


def check_verdict(verdict: dict[str, Any], where: str) -> None:
    """Raise `StoreError` for an edited record of a gate."""
    for name, check in VERDICT.items():
        if not check(verdict.get(name)):
            raise StoreError(f"{where} was edited: {name} of a verdict is {verdict.get(name)!r}")
