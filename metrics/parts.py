"""Groups (source videos) dealt into parts: the jackknife leaves out one part at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from latte_eval.core.errors import FeatureError
from latte_eval.core.seeding import identity_to_seed


def groups_to_parts(names: Sequence[str], parts: int, *identity: object) -> dict[str, int]:
    """The part of each distinct group name, by a hash of the name (and of `identity`), balanced in rows.

    Groups with the most rows are dealt first. The rows of one video always stay together: they are not independent.
    """
    counts = Counter(names)
    order = sorted(counts, key=lambda name: (-counts[name], identity_to_seed("group", *identity, name)))
    return {name: position % parts for position, name in enumerate(order)}


def row_parts(names: Sequence[str], part_of: Mapping[str, int]) -> np.ndarray:  # N names -> [N] int64
    """The part of each row."""
    return np.array([part_of[name] for name in names], dtype=np.int64)


def deal_rows(names: Sequence[str], parts: int, *identity: object) -> np.ndarray:  # N names -> [N] int64
    """The part of each row, where one set of rows is dealt by itself."""
    return row_parts(names, groups_to_parts(names, parts, *identity))


def check_names(rows: int, names: Sequence[str], side: str) -> None:
    """Raise `FeatureError` unless there is one group name per row."""
    if len(names) != rows:
        raise FeatureError(f"the {side} side has {rows} feature rows but {len(names)} group names")
