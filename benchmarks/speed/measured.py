"""What a comparison measured: the seconds of both sides, turn by turn, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Timed:
    """One side.

    Attributes:
        seconds: of each turn.
        value: what it answered, where that is one number.
        peak_mib: most memory that was resident at once, of its largest process; None where it had no process of its
            own.
        cpu_seconds: of all cores in each turn, which say more on a busy machine; empty where they were not counted.
    """

    seconds: list[float]
    value: float | None = None
    peak_mib: int | None = None
    cpu_seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Seconds of the middle turn."""
        return median(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"seconds": [round(each, 3) for each in self.seconds], "median": round(self.median, 3),
                "cpu_seconds": [round(each, 3) for each in self.cpu_seconds], "value": self.value,
                "peak_mib": self.peak_mib}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Both sides.

    Attributes:
        apart: relative difference of what the two answered.
    """

    ours: Timed
    theirs: Timed
    apart: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster latte-eval was: of the medians."""
        return self.theirs.median / self.ours.median


def relative(value: float, reference: float) -> float:
    """Difference of two numbers as a share of the second."""
    return abs(value - reference) / abs(reference)
