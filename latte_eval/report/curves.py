"""Values over checkpoints or time, beside published and accepted ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.report.charts import FAKE, INK, MUTED, SERIES, draw, number, spec_for

# More points than these are thinned: in the drawing to the lowest and highest of neighbours, in the table to the ends.
DRAWN, LISTED = 300, 40


@dataclass(frozen=True)
class Point:
    """One value.

    Attributes:
        label: what it is of, such as a checkpoint.
        x: iteration, or seconds since 1970.
        value: the metric.
        low, high: its interval; None without one.
    """

    label: str
    x: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Reference:
    """A value to stand beside, drawn as a level."""

    label: str
    value: float


@dataclass(frozen=True)
class Curve:
    """Values of one metric under one protocol by one detector, by x.

    Attributes:
        name: of the chart.
        metric: its name.
        better: `lower` or `higher`.
        points: ascending in x.
        references: levels to compare with.
        xlabel: what x is.
        times: x are seconds since 1970.
    """

    name: str
    metric: str
    better: str
    points: list[Point]
    references: list[Reference]
    xlabel: str = "iteration"
    times: bool = False

    def chart(self) -> str:
        """A line with intervals, and the levels."""
        title = f"{self.metric.upper()} over {self.xlabel}"
        return draw(self.name, title, " ".join(self.sentences()), self.paint)

    def paint(self, figure: Any) -> None:
        axes, shown = figure.subplots(), thinned(self.points, DRAWN)
        xs = [each.x for each in shown]
        axes.plot(xs, [each.value for each in shown], color=SERIES[FAKE], marker="s" if len(shown) <= 40 else None)
        for each in shown:
            if each.low is not None and each.high is not None:
                axes.vlines(each.x, each.low, each.high, color=SERIES[FAKE], linewidth=1)
        for reference in self.references:
            axes.axhline(reference.value, color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
            axes.annotate(reference.label, (1, reference.value), xycoords=("axes fraction", "data"), ha="right",
                          va="bottom", fontsize=8, color=INK)  # fmt: skip
        axes.set(xlabel=self.xlabel, ylabel=f"{self.metric.upper()} ({self.better} is better)")

    def table(self) -> Table:
        """The points; of many the first, the best and the last."""
        listed = self.points
        spec = spec_for([each.value for each in self.points])
        headings = {
            "label": Heading("What"), "x": Heading(self.xlabel.capitalize(), ",.0f"),
            "value": Heading(self.metric.upper(), spec), "interval": Heading("95 % interval", spec),
        }  # fmt: skip
        rows: list[dict[str, Cell]] = [
            {"label": each.label, "x": each.x, "value": each.value,
             "interval": None if each.low is None or each.high is None else (each.low, each.high)}
            for each in listed
        ]  # fmt: skip
        return Table(self.name, f"{self.metric.upper()} over {self.xlabel}", headings, rows)

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        last = self.points[-1]
        return [f"The last value is {number(last.value)} ({last.label})."]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about so many points: the lowest and the highest of neighbours, and both ends."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) // (most // 2))
    kept = {0, len(points) - 1}
    for start in range(0, len(points), step):
        block = range(start, min(start + step, len(points)))
        kept |= {min(block, key=lambda i: points[i].value), max(block, key=lambda i: points[i].value)}
    return [points[i] for i in sorted(kept)]


def curve(
    metric: str,
    better: str,
    points: Sequence[Point],
    references: Sequence[Reference] = (),
    xlabel: str = "iteration",
    times: bool = False,
    name: str = "curve",
) -> Curve:
    """Points in order of x."""
    return Curve(name, metric, better, sorted(points, key=lambda each: each.x), list(references), xlabel, times)
