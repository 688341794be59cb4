"""How far each class is from its real clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.features import Features, clip_rows
from latte_eval.core.numbers import number_to_text
from latte_eval.metrics import kernel_uncertainty
from latte_eval.report.charts import FAKE, INK, SERIES, draw, join_words, shorten

WORST, BEST = 10, 5

# With fewer clips of a class on a side nothing is said about that class.
FEWEST_CLIPS = 5
NAME_LENGTH = 20

# Classes that a sentence names.
NAMED = 3


@dataclass(frozen=True)
class ClassDistance:
    """One class.

    Attributes:
        label: its number.
        name: its name, or `class 7`.
        fake, real: clips of each side.
        value: the unbiased kernel distance; None with fewer than 5 clips on a side. Below 0 is closer than chance.
        interval: 95 %; None with fewer than four source videos on a side.
    """

    label: int
    name: str
    fake: int
    real: int
    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Classes:
    """Every class that has clips, the worst first and those without a value at the end.

    Attributes:
        name: of the chart.
        classes: all of them.
    """

    name: str
    classes: list[ClassDistance]

    @property
    def measured(self) -> list[ClassDistance]:
        """Those with a value, the worst first."""
        return [each for each in self.classes if each.value is not None]

    @property
    def shown(self) -> list[ClassDistance]:
        """The worst 10 and the best 5, or all where there are no more than 15."""
        found = self.measured
        return found if len(found) <= WORST + BEST else [*found[:WORST], *found[-BEST:]]

    def chart(self) -> str | None:
        """Bars of the worst and of the best classes, with intervals; None where no class has enough clips."""
        if not self.measured:
            return None
        height = 0.9 + 0.2 * max(len(self.shown), 2)
        return draw(self.name, "Distance by class", " ".join(self.sentences()), self.paint, height=height)

    def paint(self, figure: Any) -> None:
        axes, shown = figure.subplots(), self.shown
        cut = len(self.measured) > len(shown)
        places = [i + (0.6 if cut and i >= WORST else 0) for i in range(len(shown))]
        axes.barh(places, [each.value or 0 for each in shown], height=0.65, color=SERIES[FAKE], alpha=0.75)
        for place, each in zip(places, shown, strict=True):
            if each.interval:
                axes.hlines(place, *each.interval, color=INK, linewidth=1)
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_yticks(places, [shorten(each.name, NAME_LENGTH) for each in shown])
        axes.invert_yaxis()
        axes.set(xlabel="kernel distance, 0 is as good as real")
        axes.grid(visible=False, axis="y")

    def table(self) -> Table:
        """Every class with its clips and its distance."""
        headings = {
            "class": Heading("Class"), "fake": Heading("Fake clips"), "real": Heading("Real clips"),
            "value": Heading("Kernel distance"), "interval": Heading("95 % interval"),
        }  # fmt: skip
        rows: list[dict[str, Cell]] = [
            {"class": each.name, "fake": each.fake, "real": each.real, "value": each.value, "interval": each.interval}
            for each in self.classes
        ]
        return Table(self.name, "Kernel distance by class, the worst first", headings, rows)

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        return [*rank_sentences(self), *missing_sentences(self)]


def rank_sentences(found: Classes) -> list[str]:
    """Worst and best, and how sure that is."""
    measured = found.measured
    if not measured:
        return [f"No class has {FEWEST_CLIPS} clips on both sides: nothing can be said about single classes."]
    worst, best = measured[0], measured[-1]
    said = f"{worst.name} is worst at {number_to_text(worst.value or 0)}"
    if len(measured) == 1:
        return [f"{said}; it is the only class with {FEWEST_CLIPS} clips on both sides."]
    head = f"Of {len(measured)} classes {said}, {best.name} best at {number_to_text(best.value or 0)}."
    return [head, *sure_sentences(measured)]


def sure_sentences(measured: Sequence[ClassDistance]) -> list[str]:
    """What can be said, given the intervals."""
    bounds = [each.interval for each in measured if each.interval]
    if not bounds or not measured[0].interval:
        return ["With fewer than four source videos a class there are no intervals: the order is not sure."]
    alike = sum(high >= measured[0].interval[0] for _, high in bounds) - 1
    apart = sum(low > 0 for low, _ in bounds)
    others = f"the interval of {alike} other reaches" if alike == 1 else f"the intervals of {alike} others reach"
    order = f"{others} into that of the worst" if alike else "the worst stands apart"
    return [
        f"The interval starts above 0 for {apart} of {len(bounds)}, as it does by chance for about 1 in 40; {order}."
    ]


def missing_sentences(found: Classes) -> list[str]:
    """Classes that could not be measured."""
    lacking = [each for each in found.classes if each.value is None]
    names = join_words([each.name for each in lacking])
    if len(lacking) > NAMED:
        names = f"{', '.join(each.name for each in lacking[:NAMED])} and {len(lacking) - NAMED} more"
    return [f"Not measured, with fewer than {FEWEST_CLIPS} clips on a side: {names}."] if lacking else []


def classes(
    fake: Features, real: Features, names: Sequence[str] | None = None, name: str = "classes"
) -> Classes | None:
    """The unbiased kernel distance of every class; None where a side has no labels.

    Args:
        names: of the classes by label, where they are known.

    A Fréchet distance of 20 clips would be all bias; a kernel distance has none at any number of clips. With an image
    detector a clip is the mean over its frames.
    """
    if fake.labels is None or real.labels is None:
        return None
    labels = sorted({*fake.labels, *real.labels})
    found = [measure_class(label, fake, real, class_name(label, names)) for label in labels]
    found.sort(key=lambda each: (each.value is None, -(each.value or 0.0), each.label))
    return Classes(name, found)


def class_name(label: int, names: Sequence[str] | None) -> str:
    """The name of a class, or its number."""
    return names[label] if names is not None and 0 <= label < len(names) else f"class {label}"


def measure_class(label: int, fake: Features, real: Features, name: str) -> ClassDistance:
    """One class."""
    sides = [side.take(np.flatnonzero(np.array(side.labels) == label)) for side in (fake, real)]
    counts = [len(side) for side in sides]
    if min(counts) < FEWEST_CLIPS:
        return ClassDistance(label, name, counts[0], counts[1], None, None)
    one, other = sides
    found = kernel_uncertainty(clip_rows(other), clip_rows(one), other.groups, one.groups)
    return ClassDistance(label, name, counts[0], counts[1], found.value, found.interval)
