"""Owners and clocks for tests of claims."""

from __future__ import annotations

import dataclasses

from latte_eval.files.owners import Owner


@dataclasses.dataclass
class Clock:
    """Seconds that a test lets pass."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def elsewhere(rank: int = 0, token: str = "other") -> Owner:
    """A process of another machine: nothing but its sign of life tells whether it lives."""
    return Owner(f"{token}-{rank:05d}", rank, "faraway", 4711)
