"""What a Fréchet distance is made of: mean and covariance parts, leading directions, the clips at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.features import Features, clip_rows, feature_rows, framed
from latte_eval.core.numbers import number_to_text, share_to_text, spec_for
from latte_eval.core.protocol import Protocol
from latte_eval.metrics import Displacement, frechet_displacement
from latte_eval.report.charts import FAKE, MUTED, SERIES, draw, join_words, legend

BARS = 12
LEADING = (1, 5, 20)

# Directions whose clips are named, and clips at each end.
NAMED, ENDS = 3, 3


@dataclass(frozen=True)
class End:
    """A clip at one end of a direction.

    Attributes:
        row: of the side's features.
        index: of the clip.
        place: how far it lies along the direction, from the mean of the real clips, in the unit of the features.
    """

    row: int
    index: int
    place: float


@dataclass(frozen=True)
class Direction:
    """One leading direction; it points from real to fake.

    Attributes:
        value: its part of the distance.
        mean_value: what of that comes from the means.
        gap: mean of the fake rows along it, minus that of the real ones.
        real_spread, fake_spread: standard deviations along it.
        real_ends, fake_ends: the clips that lie furthest against it and along it, the furthest first.
    """

    value: float
    mean_value: float
    gap: float
    real_spread: float
    fake_spread: float
    real_ends: tuple[list[End], list[End]]
    fake_ends: tuple[list[End], list[End]]


@dataclass(frozen=True)
class Spectrum:
    """The parts of one Fréchet distance.

    Attributes:
        name: of the chart.
        displacement: the parts by direction.
        directions: the first few, with their clips.
        chance: the mean part to expect between two sets of this size from one population; None with one source
            video on a side.
        fewer: rows of the smaller side.
    """

    name: str
    displacement: Displacement
    directions: list[Direction]
    chance: float | None
    fewer: int

    def chart(self) -> str | None:
        """Above, bars of the leading directions; below, the share of the first ones together; None at distance 0."""
        if not len(self.displacement.values):
            return None
        return draw(self.name, "What the distance is made of", " ".join(self.sentences()), self.paint, height=3.9)

    def paint(self, figure: Any) -> None:
        bars, line = figure.subplots(2, 1, height_ratios=(3, 2))
        self.paint_bars(bars)
        self.paint_line(line)
        legend(figure)

    def paint_bars(self, axes: Any) -> None:
        found = self.displacement
        places = np.arange(1, min(BARS, len(found.values)) + 1)
        means, values = found.mean_values[: len(places)], found.values[: len(places)]
        axes.bar(places, means, color=SERIES[FAKE], width=0.7, label="means apart")
        axes.bar(places, values - means, bottom=means, width=0.7, label="spread differs",
                 facecolor=(SERIES[FAKE], 0.25), edgecolor=SERIES[FAKE], linewidth=0.8)  # fmt: skip
        axes.set(xlabel="direction, largest part first", ylabel="part of the distance")
        axes.set_xlim(0.3, max(len(places), 3) + 0.7)
        axes.set_xticks(places)
        axes.grid(visible=False, axis="x")

    def paint_line(self, axes: Any) -> None:
        total = np.cumsum(self.displacement.values)
        axes.plot(np.arange(1, len(total) + 1), 100 * total / total[-1], color=SERIES[0])
        for share in (50, 90):
            axes.axhline(share, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set(xlabel="first directions together", ylabel="share, %", ylim=(0, 103), xscale="log")
        axes.set_yticks([0, 50, 90])
        axes.xaxis.set_major_formatter("{x:,.0f}")

    def table(self) -> Table:
        """The leading directions, and all of them together."""
        found = self.displacement
        values, means = found.values[:BARS], found.mean_values[:BARS]
        headings = {
            "direction": Heading("Direction"),
            "value": Heading("Part of the distance", spec_for(found.values[:1])),
            "mean": Heading("of it means apart", spec_for(found.values[:1])),
            "cov": Heading("of it spread differs", spec_for(found.values[:1])),
            "share": Heading("Share, %", ".1f"),
            "together": Heading("Together, %", ".1f"),
        }
        rows: list[dict[str, Cell]] = [
            {
                "direction": i + 1, "value": float(value), "mean": float(mean), "cov": float(value - mean),
                "share": 100 * float(value / found.values.sum()), "together": 100 * found.share(i + 1),
            }
            for i, (value, mean) in enumerate(zip(values, means, strict=True))
        ]  # fmt: skip
        end: dict[str, Cell] = {"direction": f"all {len(found.values):,}", "value": found.value, "mean": found.mean}
        end["cov"] = found.cov
        return Table(self.name, "Parts of the distance by direction", headings, [*rows, end])

    def ends_table(self) -> Table:
        """The clips at the ends of the first directions."""
        headings = {"direction": Heading("Direction"), "side": Heading("Side"), "end": Heading("End"),
                    "clips": Heading("Clips, the furthest first")}  # fmt: skip
        rows: list[dict[str, Cell]] = [
            {"direction": i, "side": side, "end": end, "clips": ", ".join(str(clip.index) for clip in clips)}
            for i, direction in enumerate(self.directions, 1)
            for side, ends in (("fake", direction.fake_ends), ("real", direction.real_ends))
            for end, clips in zip(("real end", "fake end"), ends, strict=True)
        ]
        return Table(f"{self.name}-ends", "Clips at the ends of the first directions", headings, rows)

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        found = self.displacement
        if not len(found.values):
            return ["Real and fake have the same mean and the same covariance: the distance is 0."]
        said = [part_sentence(found), chance_sentence(self.chance), leading_sentence(found)]
        dimensions = found.directions.shape[1]
        return [*said, last_sentence(self.directions[0], self.fewer, dimensions)]


def part_sentence(found: Displacement) -> str:
    share = found.mean / found.value
    return (
        f"Of the distance {number_to_text(found.value)}, {number_to_text(found.mean)} ({share_to_text(share)}) is that "
        f"the means lie apart, {number_to_text(found.cov)} ({share_to_text(1 - share)}) that the spread around them "
        "differs."
    )


def chance_sentence(chance: float | None) -> str:
    if chance is None:
        return "How much of the first part is chance cannot be told from one source video."
    part = number_to_text(chance)
    return f"Between two sets of so many clips chance alone would give about {part} of the first part."


def leading_sentence(found: Displacement) -> str:
    """How much the leading directions hold."""
    total = len(found.values)
    if total == 1:
        return "All of it lies in one direction."
    counts = [count for count in LEADING if count < total]
    shares = [f"the first {f'{n} hold' if n > 1 else 'holds'} {share_to_text(found.share(n))}" for n in counts]
    return f"Of {total:,} directions {join_words(shares)}."


def last_sentence(first: Direction, rows: int, dimensions: int) -> str:
    """How the fake side differs along the first direction; a warning where the covariances lack full rank.

    With few rows the directions fit just these rows, and standard deviations along them are too small.
    """
    if rows <= dimensions:
        return (
            f"With {rows:,} rows of {dimensions:,} numbers the spread cannot be known in most directions: much of that "
            "part comes from too few clips."
        )
    if first.real_spread == 0:
        return f"Along the first direction real clips are all alike; fake ones lie {number_to_text(first.gap)} off."
    off, width = first.gap / first.real_spread, first.fake_spread / first.real_spread
    wide = "as wide as" if 0.95 < width < 1.05 else f"{width:.2g} times as wide as"
    return (
        f"Along the first direction the fake side lies {off:.2g} real standard deviations off and spreads {wide} "
        "the real one."
    )


def spectrum(fake: Features, real: Features, name: str = "spectrum", protocol: Protocol | None = None) -> Spectrum:
    """The parts of the Fréchet distance of two sides; with an image detector, over all frames.

    `protocol` is that of the result. Raises what `frechet_displacement` raises.
    """
    protocol = protocol or Protocol()
    fake, real = (framed(each, protocol.frame_rule) for each in (fake, real))
    (fake_rows, _), (real_rows, _) = feature_rows(fake), feature_rows(real)
    found = frechet_displacement(real_rows, fake_rows, protocol.ddof)
    directions = described(found, fake, real)
    return Spectrum(name, found, directions, chance_apart(fake, real), min(len(fake_rows), len(real_rows)))


def described(found: Displacement, fake: Features, real: Features) -> list[Direction]:
    """The first directions with the clips at their ends."""
    fake_places, real_places = (places_along(found, feature_rows(side)[0]) for side in (fake, real))
    fake_clips, real_clips = (places_along(found, clip_rows(side)) for side in (fake, real))
    centres = real_places.mean(axis=0)
    return [
        Direction(
            value=float(found.values[i]), mean_value=float(found.mean_values[i]),
            gap=float(fake_places[:, i].mean() - centre),
            fake_spread=float(fake_places[:, i].std()), real_spread=float(real_places[:, i].std()),
            fake_ends=ends(fake_clips[:, i] - centre, fake), real_ends=ends(real_clips[:, i] - centre, real),
        )
        for i, centre in enumerate(centres)
    ]  # fmt: skip


def places_along(found: Displacement, rows: np.ndarray) -> np.ndarray:  # [N, D] -> [N, 3]
    """Rows on the first directions, in the precision of the rows: a float64 copy of all frames would be large."""
    return rows @ found.directions[:NAMED].T.astype(rows.dtype)


def ends(places: np.ndarray, features: Features) -> tuple[list[End], list[End]]:
    """The clips at both ends of a direction."""
    order = np.argsort(places, kind="stable")
    both = order[:ENDS], order[::-1][:ENDS]
    low, high = ([End(int(row), features.indices[row], float(places[row])) for row in rows] for rows in both)
    return low, high


def chance_apart(fake: Features, real: Features) -> float | None:
    """Squared distance to expect between two means over so many source videos of one population; None with one."""
    variances = [mean_variance(clip_rows(side), side.groups) for side in (fake, real)]
    return None if None in variances else float(sum(each for each in variances if each is not None))


def mean_variance(rows: np.ndarray, groups: Sequence[str]) -> float | None:  # [N, D], N names
    """The squared standard error of a mean, summed over dimensions; clips of one source video vary together."""
    places = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    if len(places) < 2:
        return None
    sums = np.zeros((len(places), rows.shape[1]))
    np.add.at(sums, [places[name] for name in groups], rows - rows.mean(axis=0))
    return float((sums**2).sum()) / len(rows) ** 2 * len(places) / (len(places) - 1)
