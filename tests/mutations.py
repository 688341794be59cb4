"""Damaged copies of files, a function of the seed: bytes that flipped, ends that are gone, JSON of other shapes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

# What may stand where something else is expected.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 2**63, 10**18, 10**400, 1e308, -0.5, "", "x", "\0", "\ud800", "9" * 5_000, [], [[]],
    {}, [None], {"": None}, {"name": {"name": []}}, [1, "a"], ["a", "b", "c"],
)  # fmt: skip


def damaged_bytes(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Copies in which bytes flipped, are gone, came twice, or end early."""
    for number in range(count):
        dice = random.Random(f"bytes {seed} {number}")
        at, length = dice.randrange(len(data)), dice.choice((1, 3, 40))
        yield dice.choice((
            data[:at],
            data[:at] + data[at + length :],
            data[:at] + data[at : at + length] + data[at:],
            data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :],
            data[:at] + dice.randbytes(length) + data[at + length :],
        ))  # fmt: skip


def damaged_records(record: dict[str, Any], seed: int, count: int) -> Iterator[str]:
    """JSON texts of a record in which one value, somewhere, is gone or has become something else."""
    yield from (change(json.dumps(record)) for change in TEXTS)
    places = list(places_in(record))
    for number in range(count):
        dice = random.Random(f"record {seed} {number}")
        changed = copy.deepcopy(record)
        inner, key = changed, places[number % len(places)]
        for step in key[:-1]:
            inner = inner[step]
        if dice.random() < 0.15:
            del inner[key[-1]]  # type: ignore[arg-type]
        else:
            inner[key[-1]] = dice.choice(ODD)  # type: ignore[index]
        yield json.dumps(changed)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value below one."""
    keys = value if isinstance(value, dict) else range(min(3, len(value))) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places_in(value[key], (*path, key))


# What JSON's grammar, or Python's idea of it, allows.
TEXTS: tuple[Callable[[str], str], ...] = (
    lambda text: "[" * 100_000,
    lambda text: '{"a":' * 900 + "1" + "}" * 900,
    lambda text: text[:-1] + ', "deep": ' + "[" * 300 + "]" * 300 + "}",
    lambda text: text[:-1] + ', "long": ' + "9" * 5_000 + "}",
    lambda text: text[:-1] + ', "none": NaN}',
    lambda text: text[:-1] + ', "far": -Infinity}',
    lambda text: text[:-1] + ', "far": 1e999}',
    lambda text: text[:-1] + ", " + text[1:],
    lambda text: "\ufeff" + text,
    lambda text: "null",
    lambda text: "[]",
    lambda text: '"text"',
    lambda text: "\0" * 64,
)
