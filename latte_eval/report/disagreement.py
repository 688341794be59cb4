"""Metrics side by side over several evaluations: where their orders differ, lines cross."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.compare.comparable import decisive, differences
from latte_eval.core.result import Result
from latte_eval.metrics.jackknife import t_quantile
from latte_eval.metrics.uncertainty import PARTS
from latte_eval.report.charts import MARKS, SERIES, draw, join_words, legend, legend_text, shorten
from latte_eval.report.page import Figure, Section, to_page_table
from latte_eval.report.runs import Evaluated

# Evaluations of the picture, the newest: one for each colour.
MOST = len(SERIES)


@dataclass(frozen=True)
class Disagreement:
    """Several evaluations by several metrics.

    Attributes:
        metrics: in the order of the newest evaluation; every evaluation has all of them.
        rows: name and results of each evaluation by metric, newest first.
    """

    metrics: list[str]
    rows: list[tuple[str, dict[str, Result]]]

    def places(self, metric: str) -> list[int]:
        """The place of each evaluation by one metric, 1 for the best; equal values share one."""
        values = [goodness(results[metric]) for _, results in self.rows]
        return [1 + sum(other > value for other in values) for value in values]

    def opposed(self) -> Iterator[tuple[str, str, int]]:
        """Pairs of metrics that order a pair of evaluations the other way round, each beyond its noise; how many."""
        for one, other in combinations(self.metrics, 2):
            pairs = combinations([results for _, results in self.rows], 2)
            count = sum(preference(a[one], b[one]) * preference(a[other], b[other]) < 0 for a, b in pairs)
            if count:
                yield one, other, count

    def sentences(self) -> list[str]:
        """Which metrics contradict each other, beyond what noise explains."""
        pairs = math.comb(len(self.rows), 2)
        said = [
            f"{one.upper()} and {other.upper()} order {count} of {pairs} pairs the other way round, each by more than "
            "its noise."
            for one, other, count in self.opposed()
        ]
        none = "No two metrics contradict each other by more than their noise; where lines cross, it may be chance."
        return said or [none]

    def chart(self) -> str:
        """The place of every evaluation by every metric, the best on top."""
        names = join_words([name for name, _ in self.rows])
        height = 1.6 + 0.45 * len(self.rows)
        return draw("chart-disagreement", "Places by metric", f"Places of {names}.", self.paint, height=height)

    def paint(self, figure: Any) -> None:
        axes = figure.subplots()
        for i, (name, _) in enumerate(self.rows):
            places = [self.places(metric)[i] for metric in self.metrics]
            axes.plot(range(len(self.metrics)), places, color=SERIES[i], marker=MARKS[i],
                      label=legend_text(shorten(name, 24)))  # fmt: skip
        axes.set_xticks(range(len(self.metrics)), [metric.upper() for metric in self.metrics], rotation=40, ha="right")
        axes.set_yticks(range(1, len(self.rows) + 1))
        axes.set(ylabel="place")
        axes.invert_yaxis()
        axes.margins(x=0.06, y=0.12)
        legend(figure, 1)

    def table(self) -> Table:
        """Every value, with its place."""
        headings = {"name": Heading("Evaluation"), **{metric: Heading(metric.upper()) for metric in self.metrics}}
        rows: list[dict[str, Cell]] = [
            {"name": name, **{metric: results[metric].value for metric in self.metrics}} for name, results in self.rows
        ]
        better = [f"{metric.upper()}: {self.rows[0][1][metric].better} is better" for metric in self.metrics]
        return Table("disagreement", "Values of the same clips by several metrics", headings, rows, ["; ".join(better)])


def goodness(result: Result) -> float:
    """The value, with the sign that makes larger ones better."""
    return result.value if result.better == "higher" else -result.value


def preference(one: Result, other: Result) -> int:
    """1 where the first is better beyond noise, -1 where the second is, else 0: also where no error is known."""
    if one.standard_error is None or other.standard_error is None:
        return 0
    gap = goodness(one) - goodness(other)
    noise = t_quantile(0.95, PARTS - 1) * math.hypot(one.standard_error, other.standard_error)
    return 0 if abs(gap) <= noise else 1 if gap > 0 else -1


def disagreement(evaluations: Sequence[Evaluated]) -> Disagreement | None:
    """The newest evaluations that compare with the newest of all by two metrics or more; None with fewer than two."""
    newest, chosen = evaluations[0], [evaluations[0]]
    metrics = list(newest.results)
    for each in evaluations[1:]:
        shared = [metric for metric in metrics if metric in each.results and comparable(each, newest, metric)]
        if len(chosen) < MOST and len(shared) > 1 and each.name not in [other.name for other in chosen]:
            chosen, metrics = [*chosen, each], shared
    if len(chosen) < 2:
        return None
    return Disagreement(metrics, [(each.name, each.results) for each in chosen])


def comparable(one: Evaluated, other: Evaluated, metric: str) -> bool:
    """Whether two evaluations compare by one metric."""
    return not decisive(differences(one.results[metric], other.results[metric]))


def disagreement_sections(evaluations: Sequence[Evaluated]) -> list[Section]:
    """The picture with its numbers, where there is anything to compare."""
    found = disagreement(evaluations)
    if found is None:
        return []
    figures = (Figure(found.chart()), Figure(None, to_page_table(found.table())))
    return [Section("disagreement", "Do the metrics agree?", tuple(found.sentences()), figures)]
