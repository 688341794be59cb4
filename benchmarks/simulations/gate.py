"""How often the gate is right, and how many clips it takes.

    OPENBLAS_NUM_THREADS=1 python benchmarks/simulations/gate.py --repetitions 200

prints a markdown table. Features are Gaussian, or heavy-tailed with --heavy; their spectrum falls as 1/k with total
variance 500. Every checkpoint makes an affine image of the same law, so true distances are known; the accepted one is
at distance 40. The rule allows 10 %: a checkpoint at 40 or 42 should pass, one at 52 should fail, one at 44 is on the
line, where a regression is a false alarm and a pass a miss, each at most 5 %. `collapsed` is at 52 because it lost
variance: it lost 44 %, the accepted one 36 %. Everything from features to verdict is the code that the command runs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from latte_eval.core.features import Features
from latte_eval.gate.boundaries import rounds, spending_boundaries, student_boundary
from latte_eval.gate.contrast import compare_features
from latte_eval.gate.rules import parse_rule
from latte_eval.gate.verdict import Judgement, Look, conclude

TOTAL_VARIANCE = 500.0
ACCEPTED = 40.0
HEAVY = 0.5
RULE = "fvd:+10%"


@dataclass(frozen=True)
class Case:
    """A new checkpoint: its true distance, whether it loses variance, whether it shares the accepted one's noise."""

    name: str
    distance: float
    collapsed: bool = False
    paired: bool = True


CASES = tuple(
    Case(f"{name}, {'same' if paired else 'unrelated'} noise", distance, name == "collapsed", paired)
    for paired in (True, False)
    for name, distance in (("equal", 40), ("slightly worse", 42), ("on the line", 44), ("clearly worse", 52),
                           ("collapsed", 52))
)  # fmt: skip


class World:
    """The law of real features and the affine images that checkpoints make of it."""

    def __init__(self, dimensions: int, heavy: bool = False):
        self.heavy = heavy
        spectrum = 1 / np.arange(1, dimensions + 1)
        self.scale = np.sqrt(TOTAL_VARIANCE * spectrum / spectrum.sum())
        self.direction = np.ones(dimensions) / np.sqrt(dimensions)

    def rows(self, random: np.random.Generator, clips: int) -> np.ndarray:
        """[clips, D] real features; heavy ones have a random size, with mean square 1, that all coordinates share."""
        rows = random.standard_normal((clips, len(self.scale))) * self.scale
        return rows * np.exp(HEAVY * random.standard_normal((clips, 1)) - HEAVY**2) if self.heavy else rows

    def shape(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Factors and shift: half of the accepted distance is in the mean and half in narrower features.

        With a diagonal factor a and a shift b the distance is |b|^2 + sum (1 - a)^2 var.
        """
        lost = ACCEPTED / 2 if not case.collapsed else case.distance - ACCEPTED / 2
        moved = case.distance - lost
        factor = 1 - np.sqrt(lost / TOTAL_VARIANCE)
        return np.full(len(self.scale), factor), self.direction * np.sqrt(moved)

    def make(self, case: Case, rows: np.ndarray) -> np.ndarray:
        """What a checkpoint makes of noise."""
        factor, shift = self.shape(case)
        return rows * factor + shift


def features(rows: np.ndarray, kind: str) -> Features:
    """Rows as the gate reads them; clips of one seed have one name."""
    return Features({"features": rows}, list(range(len(rows))), [f"{kind}-{i:06d}" for i in range(len(rows))], [])


def run_gate(world: World, case: Case, budget: int, random: np.random.Generator, confidence: float = 0.95) -> Judgement:
    """One gate, from fresh clips to its verdict."""
    noise = world.rows(random, budget)
    old = features(world.make(Case("accepted", ACCEPTED), noise), "clip")
    new = features(world.make(case, noise if case.paired else world.rows(random, budget)), "clip")
    real, rule = features(world.rows(random, budget), "real"), parse_rule(RULE)
    bounds = spending_boundaries([count / budget for count in rounds(budget)], 1 - confidence)
    looks = list(until_clear(rule, new, old, real, budget, bounds))
    return conclude(rule, looks, budget, bounds[-1], (case.distance, ACCEPTED), ())


def until_clear(rule, new, old, real, budget, bounds) -> Iterator[Look]:  # type: ignore[no-untyped-def]
    """Looks, up to the first with a clear verdict."""
    for count, bound in zip(rounds(budget), bounds, strict=True):
        finding = compare_features(rule, new.first(count), old.first(count), real)
        look = Look(count, finding, student_boundary(bound, finding.degrees))
        yield look
        if look.verdict != "inconclusive":
            return


def simulate(case: Case, repetitions: int, world: World, budget: int) -> tuple[Counter[str], float]:
    """Verdicts, and the mean number of clips."""
    found, clips = Counter[str](), []
    for repetition in range(repetitions):
        judgement = run_gate(world, case, budget, np.random.default_rng(repetition))
        found[judgement.verdict] += 1
        clips.append(judgement.looks[-1].clips)
    return found, float(np.mean(clips))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--clips", type=int, default=1024)
    parser.add_argument("--heavy", action="store_true")
    options = parser.parse_args()
    world = World(options.dimensions, options.heavy)
    print("| new checkpoint | true distance | regression | pass | inconclusive | refused | mean clips |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for case in CASES:
        found, clips = simulate(case, options.repetitions, world, options.clips)
        shares = [f"{found[name] / options.repetitions:.3f}" for name in
                  ("regression", "pass", "inconclusive", "refused")]  # fmt: skip
        print(f"| {case.name} | {case.distance:g} | {' | '.join(shares)} | {clips:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
