"""A value against the number of clips it is measured with, and where it would end with endlessly many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.extract import Features
from latte_eval.measure import METRICS, Progress, feature_rows
from latte_eval.metrics import kernel_distance_subsets
from latte_eval.metrics.groups import group_places, row_groups
from latte_eval.report.charts import FAKE, MUTED, SERIES, draw, number, percent, spec_for
from latte_eval.report.rows import take
from latte_eval.result import Result

# Sizes are N/2, N/4 ... N/32; a part has at least so many clips.
HALVINGS, FEWEST_CLIPS = 5, 4

# An Inception Score over 10 splits needs several clips a split to say anything.
FEWEST_SCORED = 40

# Parts measured at one size, fewer where that would take more than about so many multiplications in all.
DRAWS, BUDGET = 5, 6e12

# KID of a part: subsets instead of the 100 of the full value.
KID_SUBSETS = 5


@dataclass(frozen=True)
class Size:
    """Values at one number of clips.

    Attributes:
        clips, real_clips: of each side, the mean over the draws; real_clips is 0 without a real side.
        values: one a draw.
    """

    clips: float
    real_clips: float
    values: list[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


@dataclass(frozen=True)
class ClipCounts:
    """A value at several numbers of clips, the full number last.

    Attributes:
        name: of the chart.
        result: of all clips; it says whether a corrected value is known.
        sizes: ascending.
        fit: (a, b) of a + b / clips through the means, where the corrected value is known and enough sizes have more
            clips than a feature row has dimensions; else None.
    """

    name: str
    result: Result
    sizes: list[Size]
    fit: tuple[float, float] | None

    @property
    def corrected(self) -> dict[str, Any] | None:
        """Value and interval for endlessly many clips; None where they cannot be told."""
        found = self.result.corrected
        return found if found and "unidentified" not in found else None

    @property
    def title(self) -> str:
        return f"{self.result.metric.upper()} against the number of clips"

    def chart(self) -> str:
        """Means and ranges over the number of clips, and the level for endlessly many where it is known."""
        return draw(self.name, self.title, " ".join(self.sentences()), self.paint)

    def paint(self, figure: Any) -> None:
        axes = figure.subplots()
        colour = SERIES[FAKE]
        clips, means = [each.clips for each in self.sizes], [each.mean for each in self.sizes]
        axes.plot(clips, means, color=colour, marker="s", label="mean of the parts", zorder=3)
        for each in self.sizes:
            axes.vlines(each.clips, min(each.values), max(each.values), color=colour, linewidth=1.2)
        if self.fit:
            a, b = self.fit
            places = np.geomspace(clips[0], 2 * clips[-1], 60)
            axes.plot(places, a + b / places, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.1, label="a + b/clips")
        if self.corrected:
            level = self.corrected["value"]
            axes.axhspan(*self.corrected["interval"], color=SERIES[2], alpha=0.18, linewidth=0)
            axes.axhline(level, color=SERIES[2], linewidth=1.2, label="endlessly many clips")
        axes.set(xscale="log", xlabel="clips a side", ylabel=self.result.metric.upper())
        axes.set_xticks(clips, [f"{each:,.0f}" for each in clips])
        axes.minorticks_off()
        axes.legend()

    def table(self) -> Table:
        """Every size with its mean and range."""
        spec = spec_for([value for each in self.sizes for value in each.values])
        headings = {
            "clips": Heading("Fake clips", ",.0f"), "real": Heading("Real clips", ",.0f"), "draws": Heading("Parts"),
            "mean": Heading("Mean", spec), "range": Heading("Range", spec),
        }  # fmt: skip
        if not self.result.real:
            del headings["real"]
        rows: list[dict[str, Cell]] = [
            {"clips": each.clips, "real": each.real_clips, "draws": len(each.values), "mean": each.mean,
             "range": (min(each.values), max(each.values)) if len(each.values) > 1 else None}
            for each in self.sizes
        ]  # fmt: skip
        return Table(self.name, self.title, headings, rows)

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        return [trend_sentence(self), limit_sentence(self)]


def trend_sentence(found: ClipCounts) -> str:
    """How the value changes with the number of clips."""
    name, first, last = found.result.metric.upper(), found.sizes[0], found.sizes[-1]
    if len(found.sizes) == 1:
        return f"{last.clips:,.0f} clips are too few to show how {name} changes with their number."
    half = found.sizes[-2]
    change = last.mean / half.mean - 1 if half.mean > 0 else 0.0
    step = f", {percent(abs(change))} {'less' if change < 0 else 'more'} than with half of them" if change else ""
    return (
        f"{name} is {number(first.mean)} on average with {first.clips:,.0f} clips and {number(last.mean)} with all "
        f"{last.clips:,.0f}{step}. Compare values of equal numbers of clips only."
    )


def limit_sentence(found: ClipCounts) -> str:
    """Where it would end."""
    if found.corrected:
        low, high = found.corrected["interval"]
        return (
            f"With endlessly many clips it would be {number(found.corrected['value'])}, between {number(low)} and "
            f"{number(high)} at 95 % confidence."
        )
    reason = (found.result.corrected or {}).get("unidentified") or "this run has no estimate of its bias"
    return f"Where it would end with endlessly many clips is not drawn: {reason}."


def clip_counts(
    result: Result,
    fake: Features,
    real: Features | None,
    name: str = "clip-counts",
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> ClipCounts:
    """The metric of `result` on parts of its clips.

    Both sides are dealt into 2, 4 ... 32 parts, whole source videos together, and a few parts are measured at each
    number: cut down on one side only, a distance keeps the bias of the other (Chong and Forsyth 2020, arXiv
    1911.07023). Parts of one number share no clip. KID of a part is the mean over 5 subsets.
    """
    sides = [fake] if real is None else [fake, real]
    plan = list(planned(result.metric, sides))
    total, done = sum(draws for _, draws in plan), 0
    sizes = []
    for parts, draws in plan:
        dealt = [row_groups(side.groups, group_places(side.groups, parts, "part", parts, seed)) for side in sides]
        values, counts = [], []
        for part in range(draws):
            cut = [take(side, np.flatnonzero(labels == part)) for side, labels in zip(sides, dealt, strict=True)]
            values.append(measure_part(result.metric, *cut))
            counts.append([len(side) for side in cut])
            done += 1
            progress(done, total)
        means = np.mean(counts, axis=0)
        sizes.append(Size(float(means[0]), float(means[1]) if real is not None else 0.0, values))
    sizes.append(Size(len(fake), len(real) if real is not None else 0, [result.value]))
    return ClipCounts(name, result, sizes, fitted(result, sizes, fake))


def planned(metric: str, sides: Sequence[Features]) -> Iterator[tuple[int, int]]:
    """Numbers of parts, the most first, and how many of them to measure."""
    least = max(FEWEST_CLIPS, FEWEST_SCORED if metric == "is" else 0)
    for parts in (2**power for power in range(HALVINGS, 0, -1)):
        videos = min(len(set(side.groups)) for side in sides)
        clips = min(smallest_part(side.groups, parts) for side in sides) if videos >= parts else 0
        if clips >= least:
            yield parts, int(max(1, min(DRAWS, parts, BUDGET / HALVINGS // work(sides, parts))))


def smallest_part(groups: Sequence[str], parts: int) -> int:
    """Clips in the smallest of some parts."""
    return int(np.bincount(row_groups(groups, group_places(groups, parts)), minlength=parts).min())


def work(sides: Sequence[Features], parts: int) -> float:
    """About how many multiplications one part takes: products of its rows, and a decomposition."""
    shapes = [side.outputs["features"].shape for side in sides if "features" in side.outputs]
    rows = sum(float(np.prod(shape[:-1])) for shape in shapes) / parts
    return sum(2 * rows * shape[-1] ** 2 + 15 * shape[-1] ** 3 for shape in shapes[:1]) or 1.0


def measure_part(metric: str, fake: Features, real: Features | None = None) -> float:
    """The metric of some of the clips, without its interval."""
    if metric == "kid" and real is not None:
        rows = [feature_rows(side)[0] for side in (real, fake)]
        return kernel_distance_subsets(rows[0], rows[1], subsets=KID_SUBSETS)[0]
    return METRICS[metric].measure(fake, real, False, lambda done, total: None).value


def fitted(result: Result, sizes: Sequence[Size], fake: Features) -> tuple[float, float] | None:
    """a and b of a + b / clips by least squares, as the sizes allow it.

    With fewer clips than dimensions the bias of a Fréchet distance is no multiple of 1 / clips.
    """
    corrected = result.corrected
    if not corrected or "unidentified" in corrected:
        return None
    frechet = result.metric in ("fvd", "fid")
    least = 1.2 * fake.outputs["features"].shape[-1] if frechet else 0
    used = [each for each in sizes if each.clips > least]
    if len(used) < 3:
        return None
    slope, level = np.polyfit([1 / each.clips for each in used], [each.mean for each in used], 1)
    return float(level), float(slope)
