"""JSON from outside, checked where it comes in: one schema for each kind of file.

Python's parser takes more than any file of latte-eval holds, and what it takes breaks later, far from the file: nesting
without an end, NaN, integers of thousands of digits, a name that comes twice. All of that is refused here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latte_eval.core.errors import StoreError, TornLine

Check = Callable[[Any], bool]

# The deepest record of any version has 6 levels, the largest integer is a seed of 64 bits.
MOST_DEPTH, MOST_INTEGER_DIGITS = 32, 20
MOST_NAME_BYTES = 255


class BadJson(ValueError):
    """JSON that no file of latte-eval can hold, with the reason in words that follow the name of the file."""


def parse_json(text: str | bytes) -> Any:
    """A JSON text. Raises `json.JSONDecodeError` for what is none or was cut, `BadJson` for what is out of bounds."""
    try:
        value = json.loads(
            text, object_pairs_hook=unique_keys, parse_constant=finite, parse_float=finite, parse_int=integer
        )
    except RecursionError as error:
        raise BadJson("is nested too deep") from error
    except UnicodeDecodeError as error:
        raise BadJson(f"is no UTF-8 text ({error.reason})") from error
    check_depth(value)
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises `BadJson` for a key that comes twice, of which Python would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadJson(f"has the key {twice!r} twice: it was edited by hand or merged; keep one")
    return found


def finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadJson(f"holds {shortened(text)}, which is no finite number")
    return value


def integer(text: str) -> int:
    if len(text) > MOST_INTEGER_DIGITS:
        raise BadJson(f"holds an integer of {len(text):,} digits")
    return int(text)


def check_depth(value: Any) -> None:
    """Raise `BadJson` for more levels than `MOST_DEPTH`."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for each in level for inner in members(each) if isinstance(inner, dict | list)]
        if not level:
            return
    raise BadJson("is nested too deep")


def members(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def parse_json_line(text: str, where: str) -> Any:
    """One line of a file of lines; `where` names it. Raises `TornLine` for one that was cut, `StoreError`."""
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise TornLine(f"{where} is not a whole JSON line ({error.msg}); it was cut or edited") from error
    except BadJson as error:
        raise StoreError(f"{where} {error}") from error


def schema_number(record: Any, newest: int, where: str) -> int | None:
    """The number of the schema that a record names, if it does. Raises `StoreError` for a newer one than `newest`."""
    found = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(found, int) or not is_count(found):
        return None
    if found > newest:
        raise StoreError(f"{where} has schema {found}, newer than the {newest} this version understands: upgrade "
                         "latte-eval")  # fmt: skip
    return found


@dataclass(frozen=True)
class Schema:
    """What a record must hold, and what it may: name -> check of the value. Names that are not listed may be there."""

    required: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)

    def fault(self, record: Any) -> str:
        """What is wrong with a record, in a few words that end a sentence; empty where nothing is."""
        if not isinstance(record, dict):
            return f"{shortened(record)} is no record"
        if lacking := [name for name in self.required if name not in record]:
            return f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not there"
        checks = {**self.required, **self.optional}
        wrong = next((name for name, check in checks.items() if name in record and not check(record[name])), None)
        return f"{wrong} is {shortened(record[wrong])}" if wrong is not None else ""

    def holds(self, record: Any) -> bool:
        return not self.fault(record)


def shortened(value: Any, most: int = 60) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def is_anything(value: Any) -> bool:
    return True


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_path(value: Any) -> bool:
    """Whether a system could have a file of this name; one that is beside the rule makes its calls break."""
    if not is_text(value) or "\0" in value:
        return False
    try:
        parts = os.fsencode(value).split(b"/")
    except UnicodeEncodeError:
        return False
    return any(parts) and max(map(len, parts)) <= MOST_NAME_BYTES


def is_record(value: Any) -> bool:
    return isinstance(value, dict)


def is_pair(value: Any) -> bool:
    """Whether it is two numbers, such as an interval."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))


def or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def record_of(check: Check) -> Check:
    """A record of any names whose values pass a check."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def is_pair_of_texts(value: Any) -> bool:
    """Whether it is a path and a reason, as rejected files are stored."""
    return isinstance(value, list) and len(value) == 2 and all(map(is_text, value))
