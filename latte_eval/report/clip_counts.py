"""A value against the number of clips it is measured with, and where it would end with infinitely many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.compare.results import metric_of
from latte_eval.core.features import Features
from latte_eval.core.numbers import number_to_text, share_to_text
from latte_eval.core.result import Result
from latte_eval.metrics.estimate import Steps
from latte_eval.metrics.metric import Metric, Progress
from latte_eval.metrics.parts import deal_rows
from latte_eval.metrics.rows import METRICS
from latte_eval.report.charts import FAKE, MUTED, SERIES, draw, legend

# Sizes are N/2, N/4 ... N/32.
HALVINGS = 5

# Parts measured at one size: fewer, but at least one, where they would take more than BUDGET multiplications.
DRAWS, BUDGET = 5, 2.2e11

# Up to so many source videos per dimension, the bias of a Fréchet distance is not proportional to 1 / N.
FULL_RANK = 1.2


@dataclass(frozen=True)
class Size:
    """Values at one number of clips.

    Attributes:
        clips, real_clips: of each side, the mean over the parts; real_clips is 0 without a real side.
        values: one per part.
    """

    clips: float
    real_clips: float
    values: list[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def range(self) -> tuple[float, float] | None:
        """Lowest and highest; None for a single value."""
        return (min(self.values), max(self.values)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Fit:
    """level + slope / clips, through the sizes of at least `clips` clips."""

    level: float
    slope: float
    clips: float


@dataclass(frozen=True)
class ClipCounts:
    """A value at several numbers of clips, the full number last.

    Attributes:
        name: of the chart.
        result: of all clips; it says whether a corrected value is known.
        sizes: ascending.
        fit: of a Fréchet distance whose corrected value is known, where three sizes have enough clips; else None.
    """

    name: str
    result: Result
    sizes: list[Size]
    fit: Fit | None

    @property
    def corrected(self) -> dict[str, Any] | None:
        """Value and interval for infinitely many clips; None where they cannot be told."""
        found = self.result.corrected
        return found if found and "unidentified" not in found else None

    @property
    def title(self) -> str:
        return f"{self.result.metric.upper()} against the number of clips"

    def chart(self) -> str | None:
        """Means and ranges over the number of clips, the level for infinitely many where known; None with one size."""
        if len(self.sizes) < 2:
            return None
        return draw(self.name, self.title, " ".join(self.sentences()), self.paint)

    def paint(self, figure: Any) -> None:
        axes = figure.subplots()
        self.paint_level(axes)
        self.paint_sizes(axes)
        clips = [each.clips for each in self.sizes]
        axes.set(xscale="log", xlabel=self.xlabel, ylabel=self.result.metric.upper())
        axes.set_xticks(clips, [f"{each:,.0f}" for each in clips])
        axes.minorticks_off()
        axes.margins(x=0.09)
        if axes.get_ylim()[0] > 0:
            axes.set_ylim(bottom=0)
        legend(figure)

    @property
    def xlabel(self) -> str:
        """What is counted: sides of different sizes are cut down in proportion."""
        last = self.sizes[-1]
        return "clips a side" if last.clips == last.real_clips else "fake clips" if last.real_clips else "clips"

    def paint_sizes(self, axes: Any) -> None:
        """Means as squares, the range of the parts or the interval as bars, the last value as text."""
        colour, last = SERIES[FAKE], self.sizes[-1]
        clips, means = [each.clips for each in self.sizes], [each.mean for each in self.sizes]
        axes.plot(clips, means, color=colour, marker="s", label="mean of the parts", zorder=3)
        for each in self.sizes[:-1]:
            axes.vlines(each.clips, *(each.range or (each.mean, each.mean)), color=colour, linewidth=1.2)
        if self.result.interval:
            axes.vlines(last.clips, *self.result.interval, color=colour, linewidth=1.2)
        place = last.clips, max(last.mean, *(self.result.interval or (last.mean,)))
        axes.annotate(number_to_text(last.mean), place, xytext=(0, 5), textcoords="offset points", ha="center")

    def paint_level(self, axes: Any) -> None:
        """The corrected value with its interval, and the fit towards it."""
        if self.corrected:
            low, high = self.corrected["interval"]
            axes.axhspan(low, high, color=SERIES[2], alpha=0.22, linewidth=0)
            axes.axhline(self.corrected["value"], color=SERIES[2], linewidth=1.3, label="infinitely many clips")
        if self.fit:
            places = np.geomspace(self.fit.clips, 2 * self.sizes[-1].clips, 50)
            axes.plot(places, self.fit.level + self.fit.slope / places, color=MUTED, linestyle=(0, (3, 1.5)),
                      linewidth=1.1, label="fit of a + b / clips", zorder=4)  # fmt: skip

    def table(self) -> Table:
        """Every size with its mean and range, and infinitely many clips where they are known."""
        headings = {
            "clips": Heading("Fake clips"), "real": Heading("Real clips"), "parts": Heading("Parts"),
            "mean": Heading(self.result.metric.upper()), "range": Heading("Lowest and highest"),
            "interval": Heading("95 % interval"),
        }  # fmt: skip
        rows: list[dict[str, Cell]] = [
            {"clips": round(each.clips), "real": round(each.real_clips), "parts": len(each.values), "mean": each.mean,
             "range": each.range}
            for each in self.sizes
        ]  # fmt: skip
        if self.result.interval:
            rows[-1]["interval"] = (self.result.interval[0], self.result.interval[1])
        if self.corrected:
            low, high = self.corrected["interval"]
            rows.append({"clips": "infinitely many", "mean": self.corrected["value"], "interval": (low, high)})
        kept = {key: head for key, head in headings.items() if any(row.get(key) for row in rows)}
        return Table(self.name, self.title, kept, rows)

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        return [*trend_sentences(self), *limit_sentences(self)]


def trend_sentences(found: ClipCounts) -> list[str]:
    """How the value changes with the number of clips, and why."""
    metric, first, last = found.result.metric, found.sizes[0], found.sizes[-1]
    if len(found.sizes) == 1:
        return [f"{last.clips:,.0f} clips are too few to show how {metric.upper()} changes with their number."]
    half = found.sizes[-2]
    change = last.mean / half.mean - 1 if half.mean > 0 else 0.0
    step = f", {share_to_text(abs(change))} {'less' if change < 0 else 'more'} than with half of them" if change else ""
    head = (
        f"{metric.upper()} is {number_to_text(first.mean)} on average with {first.clips:,.0f} clips and "
        f"{number_to_text(last.mean)} with all {last.clips:,.0f}{step}."
    )
    return [head, METRICS[metric].about_counts]


def limit_sentences(found: ClipCounts) -> list[str]:
    """Where the value would end."""
    if found.corrected:
        low, high = found.corrected["interval"]
        value = number_to_text(found.corrected["value"])
        doubt = "; that holds 0, so a difference is not certain" if low <= 0 <= high else ""
        bounds = f"between {number_to_text(low)} and {number_to_text(high)} (95 %){doubt}"
        return [f"With infinitely many clips it would be {value}, {bounds}."]
    if not METRICS[found.result.metric].frechet:
        return []
    reason = (found.result.corrected or {}).get("unidentified") or "this result was measured without an interval"
    return [f"Where it would end with infinitely many clips is not drawn: {reason}."]


def clip_counts(
    result: Result,
    fake: Features,
    real: Features | None,
    name: str = "clip-counts",
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> ClipCounts:
    """The metric of `result` on parts of its clips; `fake` and `real` are the features that it was measured on.

    Both sides are dealt into 2, 4 ... 32 parts, whole source videos together: with one side cut down alone, a distance
    would keep the bias of the other (Chong and Forsyth 2020, arXiv 1911.07023). A few parts of each size are measured,
    only one where that takes long; parts of one size share no clip.
    """
    sides = [fake] if real is None else [fake, real]
    plan = list(planned(result.metric, sides))
    step = Steps(progress, sum(draws for _, draws in plan))
    sizes = [measure_parts(metric_of(result), sides, parts, draws, seed, step) for parts, draws in plan]
    sizes.append(Size(len(fake), len(real) if real is not None else 0, [result.value]))
    return ClipCounts(name, result, sizes, fitted(result, sizes, sides))


def measure_parts(
    metric: Metric, sides: Sequence[Features], parts: int, draws: int, seed: int, step: Callable[[], None]
) -> Size:
    """The metric on the first `draws` of `parts` parts; `step` is called after each."""
    dealt = [deal_rows(side.groups, parts, "part", parts, seed) for side in sides]
    values, counts = [], []
    for part in range(draws):
        cut = [side.take(np.flatnonzero(labels == part)) for side, labels in zip(sides, dealt, strict=True)]
        values.append(metric.value_of_part(cut[0], cut[1] if len(cut) > 1 else None))
        counts.append([len(side) for side in cut])
        step()
    means = [float(each) for each in np.mean(counts, axis=0)]
    return Size(means[0], means[1] if len(means) > 1 else 0.0, values)


def planned(metric: str, sides: Sequence[Features]) -> Iterator[tuple[int, int]]:
    """Each number of parts, the largest first, with how many of the parts to measure."""
    row = METRICS[metric]
    videos = min(len(set(side.groups)) for side in sides)
    for parts in (2**power for power in range(HALVINGS, 0, -1)):
        if videos >= parts and min(smallest_part(side.groups, parts) for side in sides) >= row.fewest_clips:
            affordable = BUDGET / work(sides, parts) if row.frechet else DRAWS
            yield parts, min(parts, DRAWS, max(1, int(affordable)))


def smallest_part(groups: Sequence[str], parts: int) -> int:
    """Clips in the smallest of `parts` parts."""
    return int(np.bincount(deal_rows(groups, parts), minlength=parts).min())


def work(sides: Sequence[Features], parts: int) -> float:
    """About how many multiplications a Fréchet distance of one part takes: its moments and one decomposition."""
    shapes = [side.outputs["features"].shape for side in sides]
    rows, dimensions = sum(float(np.prod(shape[:-1])) for shape in shapes) / parts, shapes[0][-1]
    return rows * dimensions**2 + 10 * min(rows, dimensions) ** 2 * dimensions


def fitted(result: Result, sizes: Sequence[Size], sides: Sequence[Features]) -> Fit | None:
    """Least squares through the sizes with enough source videos; None with fewer than three of them."""
    corrected = result.corrected
    if not corrected or "unidentified" in corrected or not METRICS[result.metric].frechet:
        return None
    shares = [len(set(side.groups)) / len(side) for side in sides]
    least = FULL_RANK * sides[0].outputs["features"].shape[-1]
    counts = [(each, (each.clips, each.real_clips)) for each in sizes]
    used = [each for each, clips in counts if min(n * share for n, share in zip(clips, shares, strict=True)) > least]
    if len(used) < 3:
        return None
    slope, level = np.polyfit([1 / each.clips for each in used], [each.mean for each in used], 1)
    return Fit(float(level), float(slope), used[0].clips)
