"""Nearest real neighbours of generated clips: which are best, which worst, and whether the model copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.features import Features, clip_rows
from latte_eval.core.numbers import number_to_text, share_to_text
from latte_eval.metrics import nearest, nearest_within
from latte_eval.report.charts import FAKE, MUTED, REAL, SERIES, draw, legend

# Clips of each list, and real neighbours of each clip.
LISTED, NEIGHBOURS = 6, 3

# A fake clip is suspiciously near within the distance at which this share of real clips have another real video.
NEAR = 0.05

# Fewest real clips from which that distance can be told.
FEWEST_REAL = 40
DRAWN = 200


@dataclass(frozen=True)
class Match:
    """A generated clip and the real clips nearest to it.

    Attributes:
        row, index: of the generated clip: its row in the features, and its clip index.
        real_rows, real_indices: of the nearest real clips, the nearest first.
        distances: to them.
        ratio: the first distance divided by that from the same real clip to the nearest clip of another real video;
            small where the generated clip is closer to it than any other real video. None without another real video.
    """

    row: int
    index: int
    real_rows: list[int]
    real_indices: list[int]
    distances: list[float]
    ratio: float | None


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Distances from each generated clip to the nearest real one, beside those among real videos.

    Attributes:
        name: of the chart.
        fake_distances: [N1] to the nearest real clip.
        real_distances: [N2] to the nearest clip of another real video; empty where there is no other video.
        best, worst, suspicious: generated clips with the smallest distance, with the largest distance, and with the
            smallest ratio, as a copy would have. A clip may be in several lists.
    """

    name: str
    fake_distances: np.ndarray
    real_distances: np.ndarray
    best: list[Match]
    worst: list[Match]
    suspicious: list[Match]

    @property
    def threshold(self) -> float | None:
        """The distance within which 5 % of real clips have another real video; None with too few real clips."""
        return float(np.quantile(self.real_distances, NEAR)) if len(self.real_distances) >= FEWEST_REAL else None

    @property
    def near_share(self) -> float | None:
        """The share of generated clips within the threshold of a real one."""
        return None if self.threshold is None else float((self.fake_distances <= self.threshold).mean())

    @property
    def real_near_share(self) -> float:
        """The same for real clips: 5 %, or more where many distances are equal."""
        return float((self.real_distances <= (self.threshold or 0)).mean()) if len(self.real_distances) else NEAR

    @property
    def chance_share(self) -> float:
        """The most by chance if both sides are alike: the real share and three standard errors of the difference."""
        share, counts = self.real_near_share, (len(self.fake_distances), max(1, len(self.real_distances)))
        return share + 3 * float(np.sqrt(share * (1 - share) * sum(1 / count for count in counts)))

    def chart(self) -> str:
        """The share of clips that have a real one within each distance: for generated clips and for real ones."""
        return draw(self.name, "Distance to the nearest real clip", " ".join(self.sentences()), self.paint)

    def paint(self, figure: Any) -> None:
        axes = figure.subplots()
        for distances, side, style, label in (
            (self.real_distances, REAL, (0, (5, 2)), "real to another real video"),
            (self.fake_distances, FAKE, "-", "fake to a real clip"),
        ):
            if len(distances):
                places = np.linspace(0, 1, min(len(distances), DRAWN))
                within = np.quantile(distances, places)
                axes.plot(within, 100 * places, color=SERIES[side], linestyle=style, label=label)
        if self.threshold is not None:
            axes.axvline(self.threshold, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlabel="distance in feature space", ylabel="clips within it, %", ylim=(0, 103))
        legend(figure)

    def table(self) -> Table:
        """Quantiles of both distances."""
        headings = {"side": Heading("Distance of"), "clips": Heading("Clips")}
        quantiles = {"min": 0, "5": 5, "25": 25, "median": 50, "75": 75, "95": 95, "max": 100}
        headings |= {key: Heading(f"{key} %" if key.isdigit() else key) for key in quantiles}
        rows: list[dict[str, Cell]] = []
        for side, distances in (
            ("fake clips to the nearest real clip", self.fake_distances),
            ("real clips to the nearest other real video", self.real_distances),
        ):
            found = np.percentile(distances, list(quantiles.values())) if len(distances) else [None] * len(quantiles)
            values = {key: None if each is None else float(each) for key, each in zip(quantiles, found, strict=True)}
            rows.append({"side": side, "clips": len(distances), **values})
        return Table(self.name, "Distances to the nearest real clip", headings, rows)

    def matches_table(self) -> Table:
        """The listed clips with their nearest real clips."""
        lists = (("best", self.best), ("worst", self.worst), ("suspicious", self.suspicious))
        headings = {
            "list": Heading("List"), "fake": Heading("Fake clip"), "real": Heading("Nearest real clips"),
            "distance": Heading("Distance"), "ratio": Heading("Ratio", ".2f"),
        }  # fmt: skip
        rows: list[dict[str, Cell]] = [
            {"list": name, "fake": match.index, "real": ", ".join(map(str, match.real_indices)),
             "distance": match.distances[0], "ratio": match.ratio}
            for name, found in lists for match in found
        ]  # fmt: skip
        note = "Ratio: the distance over that of the real clip to the nearest other real video."
        return Table(f"{self.name}-matches", "Generated clips and their nearest real clips", headings, rows, [note])

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        return [*distance_sentences(self), *copy_sentence(self), *closest_sentence(self), LIMITS]


LIMITS = "Distances are those of the detector's features, not of pixels: look at the clips before you call one a copy."


def distance_sentences(found: Neighbours) -> list[str]:
    """Medians of both sides."""
    median = float(np.median(found.fake_distances))
    if not len(found.real_distances):
        return [
            f"Half of the generated clips have a real clip within {number_to_text(median)}. "
            "With one real video there is no distance among real ones to compare with."
        ]
    real = float(np.median(found.real_distances))
    return [
        f"Half of the generated clips have a real clip within {number_to_text(median)}; "
        f"half of the real clips have another real video within {number_to_text(real)}."
    ]


def copy_sentence(found: Neighbours) -> list[str]:
    """Whether generated clips lie closer to real ones than real ones to each other."""
    share, threshold = found.near_share, found.threshold
    if share is None or threshold is None:
        return [f"Whether it copies cannot be told from the distances of {len(found.real_distances):,} real clips; it "
                f"takes {FEWEST_REAL}."]  # fmt: skip
    head = (f"{share_to_text(share)} of the generated clips have a real one within {number_to_text(threshold)} "
            f"(dotted); of the real clips {share_to_text(found.real_near_share)} have another real video that "
            "near")  # fmt: skip
    if share > found.chance_share:
        return [f"{head}, and chance would give up to {share_to_text(found.chance_share)}: the model copies some "
                "clips, or its clips vary too little and crowd where real ones are dense."]  # fmt: skip
    return [f"{head}: no sign of copying."]


def closest_sentence(found: Neighbours) -> list[str]:
    """The clip that looks most like a copy."""
    first = found.suspicious[0]
    if first.ratio is None or not np.isfinite(first.ratio):
        return []
    if first.ratio == 0:
        return [f"Generated clip {first.index} has the very features of real clip {first.real_indices[0]}: a copy."]
    return [f"Most like a copy is generated clip {first.index}: its distance to real clip {first.real_indices[0]} is "
            f"{first.ratio:.2g} times that clip's distance to the nearest other real video."]  # fmt: skip


def neighbours(
    fake: Features, real: Features, name: str = "neighbours", listed: int = LISTED, count: int = NEIGHBOURS
) -> Neighbours:
    """The nearest real clips of every generated clip. With an image detector a clip is the mean over its frames.

    Raises `FeatureError` or `NotComparable` as `nearest` does.
    """
    fake_rows, real_rows = clip_rows(fake), clip_rows(real)
    distances, rows = nearest(fake_rows, real_rows, min(count, len(real_rows)))
    own = nearest_within(real_rows, real.groups)[0][:, 0]
    ratios = distance_ratios(distances[:, 0], own[rows[:, 0]])

    def matches(order: Sequence[int] | np.ndarray) -> list[Match]:
        return [match(int(row), fake, real, distances, rows, ratios) for row in order[:listed]]

    order = np.argsort(distances[:, 0], kind="stable")
    by_ratio = np.argsort(ratios, kind="stable")
    known = own[np.isfinite(own)]
    return Neighbours(name, distances[:, 0], known, matches(order), matches(order[::-1]), matches(by_ratio))


def distance_ratios(distances: np.ndarray, others: np.ndarray) -> np.ndarray:  # [N], [N] -> [N]
    """Distance divided by that of the real clip itself; 1 where both are 0, NaN where there is no other real video."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = distances / others
    ratios[(distances == 0) & (others == 0)] = 1.0
    ratios[np.isinf(others)] = np.nan
    return ratios


def match(
    row: int, fake: Features, real: Features, distances: np.ndarray, rows: np.ndarray, ratios: np.ndarray
) -> Match:
    """One generated clip with its neighbours."""
    real_rows = [int(each) for each in rows[row]]
    ratio = float(ratios[row])
    return Match(
        row, fake.indices[row], real_rows, [real.indices[each] for each in real_rows],
        [float(each) for each in distances[row]], None if np.isnan(ratio) else ratio,
    )  # fmt: skip
