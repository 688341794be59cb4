"""`Uncertainty`: a distance and how sure it is, as data; and the checked input it is computed from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.metrics.groups import check_names, group_places, row_groups
from latte_eval.metrics.moments import feature_pair


@dataclass(frozen=True)
class Corrected:
    """A value without its bias.

    Attributes:
        value: may be below 0 where the populations are as good as equal.
        interval: (low, high); it holds the systematic term.
        systematic: how far the corrections of first and second order are apart.
    """

    value: float
    interval: tuple[float, float]
    systematic: float


@dataclass(frozen=True)
class Floor:
    """The distance between two halves of the real side: what a perfect generator would score at that N.

    Attributes:
        value: the distance of the halves: at half the clips. At all of them it is about half as high.
        rows: feature rows of the halves.
        videos: source videos of the halves; a video is never in both.
    """

    value: float
    rows: tuple[int, int]
    videos: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """In JSON types."""
        return {"value": self.value, "rows": list(self.rows), "videos": list(self.videos)}


@dataclass(frozen=True)
class Uncertainty:
    """A distance and how sure it is.

    Attributes:
        value: the distance at this N.
        standard_error: of the value at N; None where a side has fewer than four source videos.
        interval: (low, high) for the value at N; None likewise.
        confidence: of both intervals.
        corrected: the distance of the populations, or in words why it cannot be told.
        variance_share: the part of the variance that comes from the `real` and from the `fake` side.
        groups: groups of source videos of each side that the jackknife left out in turn.
        videos: source videos of each side.
        floor: the real side against itself.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    confidence: float
    corrected: Corrected | str
    variance_share: dict[str, float] | None
    groups: dict[str, int]
    videos: dict[str, int]
    floor: Floor | None = None

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; a corrected value that cannot be told is `{"unidentified": reason}`."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        corrected = self.corrected
        record["corrected"] = (
            {"unidentified": corrected}
            if isinstance(corrected, str)
            else {**dataclasses.asdict(corrected), "interval": list(corrected.interval)}
        )
        record["interval"] = list(self.interval) if self.interval else None
        record["floor"] = self.floor.to_dict() if self.floor else None
        return record


@dataclass(frozen=True)
class Sides:
    """Checked feature rows of both sides and the source video of each row."""

    real: np.ndarray
    fake: np.ndarray
    real_names: Sequence[str]
    fake_names: Sequence[str]

    @classmethod
    def checked(cls, real: Any, fake: Any, real_names: Sequence[str], fake_names: Sequence[str]) -> Sides:
        """Raises what the distance would, and `FeatureError` unless there is one name a row."""
        real, fake = feature_pair(real, fake)
        check_names(len(real), real_names, "real")
        check_names(len(fake), fake_names, "fake")
        return cls(real, fake, real_names, fake_names)

    @property
    def dimensions(self) -> int:
        """D, the length of a feature row."""
        return int(self.real.shape[1])

    @property
    def videos(self) -> dict[str, int]:
        """Source videos of each side."""
        return {"real": len(set(self.real_names)), "fake": len(set(self.fake_names))}

    def group_count(self, wanted: int) -> int:
        """As many groups as wanted, or as there are videos on the smaller side."""
        return min(wanted, *self.videos.values())

    def labels(self, groups: int) -> tuple[np.ndarray, np.ndarray]:
        """The group of each row of both sides."""
        names = self.real_names, self.fake_names
        real, fake = (row_groups(side, group_places(side, groups)) for side in names)
        return real, fake


class Steps:
    """Counts the steps of long work; `progress` hears (done, total) after each."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int):
        self.progress, self.done, self.total = progress, 0, total

    def __call__(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
