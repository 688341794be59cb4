"""Real and generated clips on the two axes along which they vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.features import Features, clip_rows
from latte_eval.core.numbers import share_to_text, spec_for
from latte_eval.core.seeding import numpy_generator
from latte_eval.report.charts import FAKE, REAL, SERIES, draw, legend

# Clips drawn of each side.
DRAWN = 1000


@dataclass(frozen=True, eq=False)
class Scatter:
    """Clips on two principal axes.

    Attributes:
        name: of the chart.
        fake, real: [N, 2] places of all clips, relative to the mean of the real ones.
        shares: the share of each axis in the variance of both sides together.
        gap_share: the share of both axes in the squared distance between the means; None where the means are equal.
        seed: chooses the clips that are drawn.
    """

    name: str
    fake: np.ndarray
    real: np.ndarray
    shares: tuple[float, float]
    gap_share: float | None
    seed: int

    def chart(self) -> str:
        """At most 1,000 clips of each side: circles are real, crosses are fake."""
        return draw(self.name, "Real and fake clips on two axes", " ".join(self.sentences()), self.paint, height=3.4)

    def paint(self, figure: Any) -> None:
        axes = figure.subplots()
        sides = (REAL, self.real, "real", "o", 1.0), (FAKE, self.fake, "fake", "x", 1.2)
        for side, places, label, mark, size in sides:
            shown = places[chosen(len(places), self.seed, label)]
            size *= 4.5 if len(shown) <= 150 else 3
            axes.plot(*shown.T, mark, color=SERIES[side], label=label, markersize=size, markerfacecolor="none",
                      markeredgewidth=0.8, alpha=0.75)  # fmt: skip
        first, second = (share_to_text(share) for share in self.shares)
        axes.set(xlabel=f"first axis, {first} of the variance", ylabel=f"second axis, {second}")
        legend(figure)

    def table(self) -> Table:
        """Mean and spread of both sides on each axis."""
        stats = {"real": self.real, "fake": self.fake}
        spec = spec_for(np.abs(np.concatenate([self.real, self.fake])).max(axis=0))
        headings = {"axis": Heading("Axis"), "share": Heading("Share of the variance, %", ".1f")}
        headings |= {f"{side} mean": Heading(f"{side.title()} mean", spec) for side in stats}
        headings |= {f"{side} std": Heading(f"{side.title()} std", spec) for side in stats}
        rows: list[dict[str, Cell]] = []
        for axis, share in enumerate(self.shares):
            means = {f"{side} mean": float(places[:, axis].mean()) for side, places in stats.items()}
            spreads = {f"{side} std": float(places[:, axis].std()) for side, places in stats.items()}
            rows.append({"axis": axis + 1, "share": 100 * share, **means, **spreads})
        return Table(self.name, "Two principal axes", headings, rows)

    def sentences(self) -> list[str]:
        """What it shows, in words."""
        return [axes_sentence(self), gap_sentence(self), spread_sentence(self), *drawn_sentence(self)]


def axes_sentence(found: Scatter) -> str:
    share = share_to_text(sum(found.shares))
    return f"The two axes hold {share} of the variance. Clouds that overlap here may differ elsewhere."


def gap_sentence(found: Scatter) -> str:
    """How much of the gap between the means the axes show."""
    if found.gap_share is None:
        return "The means of both sides are equal."
    return f"They show {share_to_text(found.gap_share)} of the squared distance between the means of both sides."


def spread_sentence(found: Scatter) -> str:
    """Spread of the fake side beside the real one, on both axes."""
    fake, real = found.fake.std(axis=0), found.real.std(axis=0)
    if not (real > 0).all():
        return "The real clips do not vary along both axes."
    along, across = (f"{ratio:.2g}" for ratio in fake / real)
    return f"Fake clips spread {along} times as wide as real ones on the first axis, {across} times on the second."


def drawn_sentence(found: Scatter) -> list[str]:
    most = max(len(found.real), len(found.fake))
    return [f"{DRAWN:,} clips a side are drawn, chosen by seed {found.seed}."] if most > DRAWN else []


def chosen(count: int, seed: int, side: str) -> np.ndarray:  # -> [n] int64
    """Which clips are drawn."""
    if count <= DRAWN:
        return np.arange(count)
    return np.sort(numpy_generator("scatter", seed, side).choice(count, DRAWN, replace=False))


def scatter(fake: Features, real: Features, name: str = "scatter", seed: int = 0) -> Scatter:
    """The two principal axes of real and fake clips together, each side with half the weight.

    As in a Fréchet distance features are not standardised: what is long here counts there. With an image detector a
    clip is the mean over its frames.
    """
    fake_rows, real_rows = clip_rows(fake), clip_rows(real)
    axes, shares = principal_axes(fake_rows, real_rows)
    centre = real_rows.mean(axis=0)
    gap = fake_rows.mean(axis=0) - centre
    square = float(gap @ gap)
    gap_share = float(((axes @ gap) ** 2).sum() / square) if square > 0 else None
    return Scatter(name, (fake_rows - centre) @ axes.T, (real_rows - centre) @ axes.T, shares, gap_share, seed)


def principal_axes(
    fake: np.ndarray, real: np.ndarray
) -> tuple[np.ndarray, tuple[float, float]]:  # [N1, D], [N2, D] -> [2, D], shares
    """Two unit vectors and their shares of the variance; zeros where there is no second axis."""
    from scipy.linalg import eigh

    centre = (fake.mean(axis=0) + real.mean(axis=0)) / 2
    rows = np.vstack([(side - centre) / np.sqrt(2 * len(side)) for side in (fake, real)])
    wide = len(rows) < rows.shape[1]
    product = rows @ rows.T if wide else rows.T @ rows
    size, total = len(product), float(np.trace(product))
    values, vectors = eigh(product, subset_by_index=[max(0, size - 2), size - 1])
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1].T
    if wide:
        lengths = np.sqrt(values)[:, None]
        vectors = np.divide(vectors @ rows, lengths, out=np.zeros((len(values), rows.shape[1])), where=lengths > 0)
    axes = np.zeros((2, rows.shape[1]))
    axes[: len(vectors)] = vectors
    shares = [*(values / total if total > 0 else 0 * values), 0.0]
    return axes, (float(shares[0]), float(shares[1]))
