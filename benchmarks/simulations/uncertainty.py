"""Bias and coverage of the uncertainties that latte-eval prints, and of alternatives that are known to fail.

    OPENBLAS_NUM_THREADS=1 python benchmarks/simulations/uncertainty.py --repetitions 100

prints three markdown tables. The true distance is known exactly: the fake population is an affine image Ax + b of the
real one with A symmetric and positive definite, so that F = |E(Ax + b - x)|^2 + tr (A - I) S (A - I), whatever the law
of x. Real features are Gaussian, or rectified with heavy tails; their spectrum falls as 1/k with total variance 500.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from latte_eval.metrics import contrast_uncertainty, frechet_distance_between, frechet_uncertainty
from latte_eval.metrics.deletion import frechet_statistic
from latte_eval.metrics.jackknife import delete_one

TOTAL_VARIANCE = 500.0
HEAVY = 0.5
CONFIDENCE = 0.95
RESAMPLES = 60
PARTS = 32


@dataclass(frozen=True)
class Case:
    """One setting: features, true distance, clips of each side, clips per source video and their correlation."""

    name: str
    dimensions: int
    heavy: bool
    distance: float
    real: int
    fake: int
    clips_per_video: int = 1
    correlation: float = 0.0


CASES = (
    Case("Gauss, F 30, 512/512", 64, False, 30, 512, 512),
    Case("heavy, F 30, 512/512", 64, True, 30, 512, 512),
    Case("heavy, F 0, 512/512", 64, True, 0, 512, 512),
    Case("heavy, F 30, 512 real/256 fake", 64, True, 30, 512, 256),
    Case("Gauss, F 30, 128 videos x 4 clips", 64, False, 30, 512, 512, 4, 0.8),
    Case("heavy, F 30, 128 videos x 4 clips", 64, True, 30, 512, 512, 4, 0.8),
    Case("Gauss, F 30, 96/96, d 128", 128, False, 30, 96, 96),
)


class Population:
    """Features with known mean and covariance, and an affine image of them at a known distance."""

    def __init__(self, case: Case, seed: int):
        self.case = case
        self.scale, self.mean, self.cov = moments_of(case.dimensions, case.heavy)
        random = np.random.default_rng([seed, 1])
        turn, _ = np.linalg.qr(random.standard_normal((case.dimensions, case.dimensions)))
        stretch = (turn * np.tanh(random.standard_normal(case.dimensions))) @ turn.T
        self.matrix, self.shift = self.affine(stretch, random.standard_normal(case.dimensions), case.distance)

    def affine(self, stretch: np.ndarray, shift: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
        """A and b at the wanted distance, half of it in the mean and half in the covariance."""
        stretch = stretch * np.sqrt(distance / 2 / np.trace(stretch @ self.cov @ stretch))
        shift = shift * np.sqrt(distance / 2 / (shift @ shift)) - stretch @ self.mean
        matrix = np.eye(len(stretch)) + stretch
        if np.linalg.eigvalsh(matrix)[0] <= 0:
            raise ValueError(f"a distance of {distance} is too far for an affine image with a known distance")
        return matrix, shift

    def real(self, random: np.random.Generator, clips: int) -> np.ndarray:
        """[clips, D] rows; the clips of one source video stand together."""
        case = self.case
        videos = clips // case.clips_per_video
        shared = random.standard_normal((videos, 1, case.dimensions))
        own = random.standard_normal((videos, case.clips_per_video, case.dimensions))
        rows = np.sqrt(case.correlation) * shared + np.sqrt(1 - case.correlation) * own
        if case.heavy:
            rows = np.exp(HEAVY * random.standard_normal((videos, 1, 1)) - HEAVY**2) * np.maximum(rows, 0)
        return rows.reshape(clips, -1) * self.scale

    def fake(self, random: np.random.Generator, clips: int) -> np.ndarray:
        """[clips, D] rows of the affine image."""
        return self.real(random, clips) @ self.matrix + self.shift


def moments_of(dimensions: int, heavy: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, mean and covariance of the real features.

    Heavy ones are w max(z, 0) with z Gaussian and w = exp(h g - h^2) shared by all coordinates of a video: E w^2 = 1.
    """
    first = np.exp(-(HEAVY**2) / 2)
    spread = 0.5 - first**2 / (2 * np.pi) if heavy else 1.0
    shared = (1 - first**2) / (2 * np.pi) if heavy else 0.0
    spectrum = 1 / np.arange(1, dimensions + 1)
    scale = np.sqrt(TOTAL_VARIANCE * spectrum / spectrum.sum() / spread)
    mean = scale * first / np.sqrt(2 * np.pi) if heavy else np.zeros(dimensions)
    return scale, mean, np.outer(scale, scale) * (np.eye(dimensions) * (spread - shared) + shared)


@dataclass(frozen=True)
class Estimate:
    """What one method says in one repetition; `true` is what it estimates, if not the distance of the populations."""

    value: float
    interval: tuple[float, float] | None = None
    true: float | None = None


Rows = tuple[np.ndarray, np.ndarray, list[str], list[str]]


def shipped(rows: Rows, random: np.random.Generator) -> dict[str, Estimate]:
    """The value at N, the corrected value and the floor, as latte-eval prints them."""
    found = frechet_uncertainty(*rows, confidence=CONFIDENCE)
    estimates = {"**value at N, interval**": Estimate(found.value, found.interval)}
    if not isinstance(found.corrected, str):
        estimates["**corrected, interval**"] = Estimate(found.corrected.value, found.corrected.interval)
    if found.floor:
        estimates["real-against-real floor (N/2)"] = Estimate(found.floor.value, true=0.0)
    return estimates


def jackknife_by_clip(rows: Rows, random: np.random.Generator) -> dict[str, Estimate]:
    """Parts of clips instead of videos: clips of one video are treated as independent."""
    real, fake = rows[:2]
    real_labels, fake_labels = (random.permutation(len(side)) % PARTS for side in (real, fake))
    found = delete_one(frechet_statistic(real, fake, real_labels, fake_labels), PARTS)
    return {"value at N, jackknife by clip": Estimate(found.value, found.interval(found.value, CONFIDENCE))}


def bootstrap(rows: Rows, random: np.random.Generator) -> dict[str, Estimate]:
    """Percentile bootstrap over videos, and the same reflected at the value."""
    real, fake = (by_video(side, names) for side, names in zip(rows[:2], rows[2:], strict=True))
    draws = [frechet_distance_between(resampled(real, random), resampled(fake, random)) for _ in range(RESAMPLES)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    value = frechet_distance_between(*rows[:2])
    return {
        "percentile bootstrap": Estimate(value, (low, high)),
        "2 value - bootstrap": Estimate(2 * value - float(np.mean(draws)), (2 * value - high, 2 * value - low)),
    }


def by_video(rows: np.ndarray, names: list[str]) -> np.ndarray:
    """[N, D] -> [videos, clips, D]; the clips of one video stand together."""
    return rows.reshape(len(set(names)), -1, rows.shape[1])


def resampled(videos: np.ndarray, random: np.random.Generator) -> np.ndarray:  # [videos, clips, D] -> [N, D]
    """As many source videos, drawn with replacement, with all of their rows."""
    return videos[random.integers(len(videos), size=len(videos))].reshape(-1, videos.shape[2])


def extrapolated(rows: Rows, random: np.random.Generator) -> dict[str, Estimate]:
    """Straight line in 1/N through distances of ever fewer fakes to all reals, read off at 1/N = 0."""
    real, fake = rows[:2]
    sizes = np.linspace(len(fake) // 2, len(fake), 8).astype(int)
    values = [frechet_distance_between(real, fake[random.permutation(len(fake))[:size]]) for size in sizes]
    return {"1/N fit over fakes only": Estimate(float(np.polyfit(1 / sizes, values, 1)[1]))}


METHODS: tuple[Callable[[Rows, np.random.Generator], dict[str, Estimate]], ...] = (
    shipped, jackknife_by_clip, bootstrap, extrapolated,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Bias and coverage of a method in a case; the value at N is judged by both of its possible targets."""

    case: str
    method: str
    bias: float
    population: float | None
    expected: float | None
    width: float | None


def simulate(case: Case, repetitions: int, seed: int = 0) -> list[Outcome]:
    """All methods on the same `repetitions` data sets."""
    population, estimates = Population(case, seed), []
    for repetition in range(repetitions):
        random = np.random.default_rng([seed, 2, repetition])
        rows = draw(population, random)
        estimates.append({name: each for method in METHODS for name, each in method(rows, random).items()})
    expected = float(np.mean([each["**value at N, interval**"].value for each in estimates]))
    names = dict.fromkeys(name for each in estimates for name in each)
    return [outcome(case, name, [each[name] for each in estimates], expected) for name in names]


def draw(population: Population, random: np.random.Generator) -> Rows:
    """Rows of both sides and the source video of each row."""
    case = population.case
    real, fake = population.real(random, case.real), population.fake(random, case.fake)
    real_names, fake_names = ([f"{i // case.clips_per_video}" for i in range(n)] for n in (case.real, case.fake))
    return real, fake, real_names, fake_names


def outcome(case: Case, method: str, estimates: list[Estimate], expected: float) -> Outcome:
    true = case.distance if estimates[0].true is None else estimates[0].true
    bias = float(np.mean([each.value for each in estimates])) - true
    intervals = [each.interval for each in estimates if each.interval]
    if not intervals:
        return Outcome(case.name, method, bias, None, None, None)
    low, high = np.array(intervals).T
    population, at_n = (float(np.mean((low <= target) & (target <= high))) for target in (case.distance, expected))
    return Outcome(case.name, method, bias, population, at_n, float(np.mean(high - low)))


@dataclass(frozen=True)
class ContrastCase:
    """Two checkpoints: the new one is worse by `difference` because it has lost variance; noise may be shared."""

    correlation: float
    clips: int = 512
    dimensions: int = 64
    distance: float = 30.0
    difference: float = 5.0


def simulate_contrast(case: ContrastCase, repetitions: int, seed: int = 0) -> dict[str, float]:
    """Raw and jackknifed difference, its standard error against its spread, and coverage."""
    population = Population(Case("", case.dimensions, False, case.distance, case.clips, case.clips), seed)
    shrunk = shrinking(population, case.distance + case.difference)
    names = [str(i) for i in range(case.clips)]
    found = []
    for repetition in range(repetitions):
        random = np.random.default_rng([seed, 3, repetition])
        real, accepted, other = (population.real(random, case.clips) for _ in range(3))
        other = case.correlation * accepted + np.sqrt(1 - case.correlation**2) * other
        accepted = accepted @ population.matrix + population.shift
        result = contrast_uncertainty(real, other @ shrunk, accepted, names, names, names)
        covered = abs(result.value - case.difference) <= 2.04 * result.standard_error
        found.append((result.plug_in, result.value, result.standard_error, covered))
    raw, value, error, covers = np.array(found, float).T
    return {"correlation of the noise": case.correlation, "true": case.difference,
            "raw": raw.mean(), "jackknifed": value.mean(),
            "standard error": error.mean(), "spread": value.std(), "coverage": covers.mean()}  # fmt: skip


def shrinking(population: Population, distance: float) -> np.ndarray:
    """A contraction of all directions but the strongest few, at a known distance from the real population."""
    weights = np.minimum(1.0, np.arange(population.case.dimensions) / 8)
    stretch = np.diag(-weights)
    return np.eye(len(stretch)) + stretch * np.sqrt(distance / np.trace(stretch @ population.cov @ stretch))


def bias_table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Mean of each method minus the true distance of the populations."""
    yield from grid(outcomes, lambda each: f"{each.bias:+.1f}")


def coverage_table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Share of intervals that hold the distance of the populations / the expected value at N, and mean width."""
    covered = [each for each in outcomes if each.population is not None]
    yield from grid(covered, lambda each: f"{each.population:.2f} / {each.expected:.2f} ({each.width:.0f})")


def grid(outcomes: Iterable[Outcome], cell: Callable[[Outcome], str]) -> Iterator[str]:
    """Methods down, cases across."""
    cells = {(each.method, each.case): cell(each) for each in outcomes}
    cases, methods = (list(dict.fromkeys(key[i] for key in cells)) for i in (1, 0))
    yield f"| method | {' | '.join(cases)} |"
    yield "| --- |" + " --- |" * len(cases)
    for method in methods:
        yield f"| {method} | {' | '.join(cells.get((method, case), 'not told') for case in cases)} |"


def contrast_table(repetitions: int, seed: int) -> Iterator[str]:
    """One row per correlation of the noise that both checkpoints start from."""
    rows = [simulate_contrast(ContrastCase(correlation), repetitions, seed) for correlation in (0.0, 0.5, 0.9)]
    yield f"| {' | '.join(rows[0])} |"
    yield "|" + " --- |" * len(rows[0])
    for row in rows:
        yield f"| {' | '.join(f'{value:.2f}' for value in row.values())} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    for case in CASES:
        outcomes += simulate(case, arguments.repetitions, arguments.seed)
        print(f"{case.name}: {arguments.repetitions} repetitions done", file=sys.stderr)
    contrasts = contrast_table(arguments.repetitions, arguments.seed)
    print("Bias:\n", *bias_table(outcomes),
          "\nCoverage of the distance of the populations / of the expected value at N (mean width):\n",
          *coverage_table(outcomes),
          "\nTwo checkpoints, the new one worse by 5 because it has lost variance:\n",
          *contrasts, sep="\n")  # fmt: skip


if __name__ == "__main__":
    main()
