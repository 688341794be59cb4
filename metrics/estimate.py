"""`Uncertainty`: a distance and how sure it is, as data; and the checked input that it is computed from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.metrics.moments import feature_pair
from latte_eval.metrics.parts import check_names, deal_rows


@dataclass(frozen=True)
class Corrected:
    """A value without its bias.

    Attributes:
        value: can be below 0 where the populations are almost equal.
        interval: (low, high). That of a Fréchet distance is widened on both sides by `systematic`.
        systematic: how far the corrections of first and second order are apart; for a kernel distance, how much was
            subtracted.
    """

    value: float
    interval: tuple[float, float]
    systematic: float


@dataclass(frozen=True)
class Floor:
    """The distance between two halves of the real side: what a perfect generator would score with that many clips.

    Attributes:
        value: the distance of the halves. With as many clips as the whole real side it would be about half as high.
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
        interval: (low, high) for the value at N; None in the same case.
        confidence: of both intervals.
        corrected: the estimated distance of the populations, or the reason in words why it cannot be estimated.
        variance_share: the share of the variance that comes from the `real` and from the `fake` side.
        parts: number of parts of each side, each left out in turn by the jackknife; a part is a set of source videos.
        videos: number of source videos of each side.
        floor: the real side against itself.
        without_part: the distance of all rows without each part in turn; what moves it shows there.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    confidence: float
    corrected: Corrected | str
    variance_share: dict[str, float] | None
    parts: dict[str, int]
    videos: dict[str, int]
    floor: Floor | None = None
    without_part: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; a corrected value that cannot be estimated is `{"unidentified": reason}`."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        corrected = self.corrected
        record["corrected"] = (
            {"unidentified": corrected}
            if isinstance(corrected, str)
            else {**dataclasses.asdict(corrected), "interval": list(corrected.interval)}
        )
        record["interval"] = list(self.interval) if self.interval else None
        record["floor"] = self.floor.to_dict() if self.floor else None
        record["without_part"] = list(self.without_part)
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
        """Raises what the distance raises, and `FeatureError` unless there is one name per row."""
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
        """Number of source videos of each side."""
        return {"real": len(set(self.real_names)), "fake": len(set(self.fake_names))}

    def part_count(self, wanted: int) -> int:
        """As many parts as wanted, but no more than there are videos on the smaller side."""
        return min(wanted, *self.videos.values())

    def labels(self, parts: int) -> tuple[np.ndarray, np.ndarray]:  # [N1] int64, [N2] int64
        """The part of each row of both sides."""
        return deal_rows(self.real_names, parts), deal_rows(self.fake_names, parts)


class Steps:
    """Counts the steps of long work; `progress` is called with (done, total) after each."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int):
        self.progress, self.done, self.total = progress, 0, total

    def __call__(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
