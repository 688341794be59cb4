"""Source videos dealt into groups: the units that are left out together when an uncertainty is estimated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from latte_eval.core.errors import FeatureError
from latte_eval.core.seeding import identity_to_seed


def group_places(names: Sequence[str], groups: int, *identity: object) -> dict[str, int]:
    """A group for each distinct name, by a hash of the name (and of `identity`), balanced in rows.

    Names that stand for the most rows are dealt first. A video's rows always stay together: they are not independent.
    """
    counts = Counter(names)
    order = sorted(counts, key=lambda name: (-counts[name], identity_to_seed("group", *identity, name)))
    return {name: position % groups for position, name in enumerate(order)}


def row_groups(names: Sequence[str], places: Mapping[str, int]) -> np.ndarray:  # N names -> [N] int64
    """The group of each row."""
    return np.array([places[name] for name in names], dtype=np.int64)


def check_names(rows: int, names: Sequence[str], side: str) -> None:
    """Raise `FeatureError` unless there is one name a row."""
    if len(names) != rows:
        raise FeatureError(f"the {side} side has {rows} feature rows but {len(names)} group names")
