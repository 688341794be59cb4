"""Values over checkpoints or time, beside published and accepted ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.numbers import interval_to_text, number_to_text
from latte_eval.report.charts import FAKE, HEIGHT, MARKS, MUTED, SERIES, draw, join_words, legend, legend_text, shorten

# Points of a chart and rows of its table; more are thinned.
DRAWN, LISTED = 300, 40

# Up to so many points are marked, with intervals as bars; intervals of more points are drawn as a band.
MARKED = 40

# Training runs that are drawn, the newest ones.
RUNS = 60

# A level further from the values than so many times their range is named, not drawn.
FAR = 1.5
LABEL_LENGTH, LEVELS_NAMED = 44, 3

# Published levels that are drawn, those nearest to the newest value; each has its own dashes.
DASHES = ((4, 1.5), (1, 1.5), (6, 1.5, 1, 1.5), (2, 3))


@dataclass(frozen=True)
class Point:
    """One value.

    Attributes:
        label: what was measured, such as a checkpoint.
        x: iteration, or seconds since 1970.
        value: the metric.
        low, high: its interval; None without one.
        run: the training run that it is a checkpoint of; points of one run make one line.
    """

    label: str
    x: float
    value: float
    low: float | None = None
    high: float | None = None
    run: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Reference:
    """A value to compare with, drawn as a level.

    Attributes:
        label: whose it is, such as `Latte, published` or `accepted 2026-11-21`.
        value: the metric.
        accepted: whether it is the accepted value of this project, not a published one.
    """

    label: str
    value: float
    accepted: bool = False


@dataclass(frozen=True)
class Curve:
    """Values of one metric under one protocol by one detector.

    Attributes:
        name: of the chart.
        metric: its name.
        better: `lower` or `higher`.
        points: ascending in x, at least one.
        references: levels to compare with.
        xlabel: what x is.
        times: whether x is seconds since 1970.
    """

    name: str
    metric: str
    better: str
    points: list[Point]
    references: list[Reference]
    xlabel: str
    times: bool

    @property
    def title(self) -> str:
        return f"{self.metric.upper()} over {self.xlabel}"

    @property
    def best(self) -> Point:
        """The first of the best values."""
        return (min if self.better == "lower" else max)(self.points, key=lambda each: each.value)

    @property
    def levels(self) -> list[Reference]:
        """References that are drawn: not too far off, and of the published ones those nearest to the newest value."""
        bounds = [bound for each in self.points for bound in (each.value, *(each.interval or ()))]
        low, high = min(bounds), max(bounds)
        room = FAR * max(high - low, 0.25 * abs(high))
        near = [each for each in self.references if low - room <= each.value <= high + room]
        published = [each for each in near if not each.accepted]
        published.sort(key=lambda each: abs(each.value - self.points[-1].value))
        kept = [each for each in near if each.accepted or each in published[: len(DASHES)]]
        return sorted(kept, key=lambda each: (not each.accepted, each.value))

    @property
    def runs(self) -> dict[str | None, list[Point]]:
        """The points of each training run, the run of the newest point first."""
        found: dict[str | None, list[Point]] = {each.run: [] for each in reversed(self.points)}
        for each in self.points:
            found[each.run].append(each)
        return found

    @property
    def named_runs(self) -> int:
        """Lines that a legend tells apart; 0 where there is one line, or more than there are colours."""
        runs = len(self.runs)
        return runs if 1 < runs <= len(SERIES) else 0

    def chart(self) -> str | None:
        """One line per run with intervals, and the levels; None where all points have the same x."""
        if len({each.x for each in self.points}) < 2:
            return None
        height = HEIGHT + 0.18 * (len(self.levels) + self.named_runs)
        return draw(self.name, self.title, " ".join(self.sentences()), self.paint, height=height)

    def paint(self, figure: Any) -> None:
        axes, runs = figure.subplots(), self.runs
        drawn = list(runs)[:RUNS]
        for order, run in enumerate(drawn):
            name = shorten(legend_text(run), LABEL_LENGTH) if self.named_runs else None
            place = (FAKE + order) % len(SERIES) if self.named_runs else FAKE
            paint_run(axes, name, thinned(runs[run], max(4, DRAWN // len(drawn))), place, len(runs) > len(SERIES))
        dashes = iter(DASHES)
        for level in self.levels:
            paint_level(axes, level, "-" if level.accepted else (0, next(dashes)))
        paint_ticks(axes, self)
        if self.levels or self.named_runs:
            legend(figure, columns=1)

    def table(self) -> Table:
        """The points, of many the best and the newest; then the references."""
        listed = self.points if len(self.points) <= LISTED else self.points[-LISTED:]
        listed = listed if self.best in listed else [self.best, *listed]
        headings = {
            "label": Heading("Value of"), "x": Heading(self.xlabel.capitalize(), ",.2f"),
            "value": Heading(self.metric.upper()), "interval": Heading("95 % interval"),
        }  # fmt: skip
        rows: list[dict[str, Cell]] = [
            {"label": each.label, "x": self.cell(each), "value": each.value, "interval": each.interval}
            for each in listed
        ]
        rows += [{"label": each.label, "value": each.value} for each in self.references]
        left = len(self.points) - len(listed)
        notes = [f"The best and the newest of {len(self.points):,} values are listed."] if left else []
        return Table(self.name, self.title, headings, rows, notes)

    @property
    def whole(self) -> bool:
        """Whether every x is a whole number."""
        return all(float(each.x).is_integer() for each in self.points)

    def cell(self, point: Point) -> Cell:
        """x in a table."""
        if self.times:
            return f"{datetime.fromtimestamp(point.x, UTC):%Y-%m-%d %H:%M}"
        return int(point.x) if self.whole else point.x

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        return [*last_sentences(self), *run_sentence(self), *level_sentences(self), *thinned_sentence(self)]


def paint_run(axes: Any, name: str | None, shown: Sequence[Point], place: int, crowd: bool) -> None:
    """One line. In a crowd, more runs than colours, lines are thin and intervals are left to the table."""
    xs, style = [each.x for each in shown], {"color": SERIES[place], "marker": MARKS[place], "zorder": 3}
    if len(shown) > MARKED or (crowd and len(shown) > 1):
        style["marker"] = None
    if shown[0].run is None and len(set(xs)) < len(xs):
        style |= {"linestyle": "none", "marker": MARKS[place], "markersize": 3}  # nobody knows which belong together
    style |= {"linewidth": 0.8, "markersize": 3, "alpha": 0.7} if crowd else {}
    axes.plot(xs, [each.value for each in shown], label=name, **style)
    if not crowd:
        paint_intervals(axes, xs, shown, SERIES[place])


def paint_intervals(axes: Any, xs: Sequence[float], shown: Sequence[Point], colour: str) -> None:
    """Bars for few points, a band for many."""
    known = [(x, each.interval) for x, each in zip(xs, shown, strict=True) if each.interval]
    if len(shown) <= MARKED:
        for x, bounds in known:
            axes.vlines(x, *bounds, color=colour, linewidth=1.1)
    elif known:
        lows, highs = zip(*(bounds for _, bounds in known), strict=True)
        axes.fill_between([x for x, _ in known], lows, highs, color=colour, alpha=0.25, linewidth=0)


def paint_level(axes: Any, level: Reference, style: Any) -> None:
    """A line across, named above the chart."""
    label = f"{shorten(level.label, LABEL_LENGTH)}, {number_to_text(level.value)}"
    axes.axhline(level.value, color=SERIES[2] if level.accepted else MUTED, linewidth=1.2, linestyle=style, label=label)


def paint_ticks(axes: Any, curve: Curve) -> None:
    """Dates, or iterations in thousands or millions."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set(xlabel=curve.xlabel, ylabel=f"{curve.metric.upper()} ({curve.better} is better)")
    if curve.times:
        xs = [each.x for each in curve.points]
        axes.set_xticks(*date_ticks(min(xs), max(xs)))
        return
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=curve.whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short_number(x)))


def date_ticks(first: float, last: float) -> tuple[list[float], list[str]]:
    """Evenly spaced times with short texts: as short as the span between them allows."""
    days = (last - first) / 86400
    form, count = ("%m-%d %H:%M", 3) if days < 3 else ("%Y-%m-%d", 3) if days < 150 else ("%Y-%m", 4)
    ticks = [first + (last - first) * i / (count - 1) for i in range(count)] if last > first else [first]
    return ticks, [format(datetime.fromtimestamp(tick, UTC), form) for tick in ticks]


def short_number(value: float) -> str:
    """`250k`, `1.5M`: long numbers of neighbouring ticks would touch."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (abs(value) >= size and value % (size / 10) == 0):
            return f"{value / size:,g}{letter}"
    return f"{value:,g}"


def last_sentences(curve: Curve) -> list[str]:
    """The newest value beside the best and the one before it."""
    last, best = curve.points[-1], curve.best
    bounds = f", 95 % interval {interval_to_text(last.interval)}" if last.interval else ""
    head = f"{curve.metric.upper()} of {last.label} is {number_to_text(last.value)}{bounds}"
    if len(curve.points) == 1:
        return [f"{head}; it is the only value so far."]
    if best.value == last.value:
        return [f"{head}: the best of {len(curve.points):,} values."]
    said = f"{head}; the best of {len(curve.points):,} values is {number_to_text(best.value)} ({best.label})"
    if last.interval and last.interval[0] <= best.value <= last.interval[1]:
        return [f"{said}, which lies within that interval: which of them is better is not sure."]
    return [f"{said}."]


def run_sentence(curve: Curve) -> list[str]:
    """How many lines there are."""
    runs = len(curve.runs)
    if runs < 2:
        return []
    if runs > RUNS:
        return [f"The {RUNS} newest of {runs:,} training runs are drawn over each other."]
    return [f"{runs} training runs are drawn over each other."]


def level_sentences(curve: Curve) -> list[str]:
    """The accepted value, and the references that are not drawn."""
    said = [f"{each.label}: {number_to_text(each.value)}." for each in curve.references if each.accepted]
    levels = curve.levels
    hidden = [f"{each.label} ({number_to_text(each.value)})" for each in curve.references if each not in levels]
    more = [f"{len(hidden) - LEVELS_NAMED} more"] if len(hidden) > LEVELS_NAMED else []
    return [*said, *([f"Not drawn: {join_words(hidden[:LEVELS_NAMED] + more)}."] if hidden else [])]


def thinned_sentence(curve: Curve) -> list[str]:
    if len(curve.points) <= DRAWN:
        return []
    return [f"Of {len(curve.points):,} values the lowest and highest of neighbours are drawn."]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points: the lowest and the highest of neighbours, and both ends."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) // (most // 2 - 1))
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
    """A curve of at least one point, in any order."""
    return Curve(name, metric, better, sorted(points, key=lambda each: each.x), list(references), xlabel, times)
