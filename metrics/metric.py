"""`Metric`: what a metric reads, in which direction it is better, how it is measured; and what a measurement gives.

Nothing here imports torch or numpy until a metric is measured, so that commands can list the rows quickly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

Progress = Callable[[int, int], None]  # done, total

SPLITS = 10  # of an Inception Score; each takes a row at least

if TYPE_CHECKING:
    from latte_eval.core.features import Features
    from latte_eval.core.protocol import Protocol
    from latte_eval.metrics.contrast import Contrast

    # (fake, real or None, with_interval, progress), and `splits` or `ddof` where the metric has such.
    Measure = Callable[..., "Measurement"]
    # (new, accepted, real or None, allowance, progress)
    MeasureContrast = Callable[..., Contrast]


@dataclass(frozen=True)
class Measurement:
    """A value and how sure it is, as far as its metric knows, in the JSON types of `Result`."""

    value: float
    interval: list[float] | None = None
    standard_error: float | None = None
    corrected: dict[str, Any] | None = None
    floor: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """All that the rest of the package must know of a metric.

    Attributes:
        name, title: such as `fvd`, `Fréchet video distance`.
        better: `lower` or `higher`.
        families: families of the detectors that can serve it, the default first.
        output: which output of the detector it reads.
        needs_real: whether it compares with real clips.
        measure: (fake, real or None, with_interval, progress) -> Measurement.
        contrast: (new, accepted, real or None, allowance, progress) -> Contrast, by which a gate compares two
            checkpoints clip against clip; None where only their numbers can be compared.
        about_counts: what the number of clips does to the value, in a sentence for the report.
        frechet: whether it is a Fréchet distance; of these the report shows the parts, and `explain --measure` the
            effect of every choice.
        splits: into how many parts the rows are split, over which the value is the mean; None where they are not.
        fewest_clips: a part of a set with fewer clips is not measured.
        measure_part: (fake, real or None) -> value of a part of a set, where `measure` would take too long.
        sees: what moves the value, in words.
        golden: the reference implementation that it was checked against.
        paired: whether it compares each clip with the real clip that it was given a part of.
    """

    name: str
    title: str
    better: str
    families: tuple[str, ...]
    output: str
    needs_real: bool
    measure: Measure
    contrast: MeasureContrast | None = None
    about_counts: str = "Compare values of equal numbers of clips only."
    frechet: bool = False
    splits: int | None = None
    fewest_clips: int = 4
    measure_part: Callable[[Features, Features | None], float] | None = None
    sees: str = ""
    golden: str = ""
    paired: bool = False

    @property
    def least_rows(self) -> int:
        """With fewer rows of features it cannot be computed: every split takes one, a distance two."""
        return self.splits or 2

    def split_into(self, splits: int | None) -> Metric:
        """The same metric over so many splits; itself for None, and where it has none."""
        if splits is None or self.splits is None:
            return self
        measure = partial(self.measure, splits=splits)
        return dataclasses.replace(self, splits=splits, measure=measure)

    def under(self, protocol: Protocol) -> Metric:
        """The same metric with the protocol's divisor of covariances and its rule for frames."""
        row = self
        if protocol.ddof and row.frechet:
            contrast = partial(row.contrast, ddof=protocol.ddof) if row.contrast else None
            row = dataclasses.replace(row, measure=partial(row.measure, ddof=protocol.ddof), contrast=contrast)
        return row.of_frames(protocol.frame_rule)

    def of_frames(self, rule: str) -> Metric:
        """The same metric with one row a clip, where `rule` is `first` or `mean` and each frame has a row."""
        if rule == "all" or not self.needs_real:
            return self
        contrast, part = self.contrast, self.measure_part
        return dataclasses.replace(
            self,
            measure=partial(on_one_row, self.measure, 2, rule),
            contrast=contrast and partial(on_one_row, contrast, 3, rule),
            measure_part=part and partial(on_one_row, part, 2, rule),
        )

    def value_of_part(self, fake: Features, real: Features | None) -> float:
        """The value of some of the clips, without its interval."""
        if self.measure_part:
            return self.measure_part(fake, real)
        return self.measure(fake, real, False, lambda done, total: None).value


def on_one_row(function: Callable[..., Any], count: int, rule: str, *arguments: Any, **options: Any) -> Any:
    """A function whose first `count` arguments are features, called with one row a clip in each."""
    from latte_eval.core.features import framed

    sides = [each and framed(each, rule) for each in arguments[:count]]
    return function(*sides, *arguments[count:], **options)
