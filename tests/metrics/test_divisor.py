"""What covariances are divided by: N as in StyleGAN-V, or N - 1 as in pytorch-fid; every form agrees, to the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gate_makers import NOISE, OLD, REAL

from latte_eval.core.features import Features
from latte_eval.core.protocol import Protocol
from latte_eval.gate.contrast import compare_features
from latte_eval.gate.rules import parse_rule
from latte_eval.metrics import (
    Moments,
    frechet_displacement,
    frechet_distance,
    frechet_distance_between,
    frechet_distance_from_features,
    frechet_uncertainty,
    influence_values,
)
from latte_eval.metrics.deletion import CrossGram, PartMoments
from latte_eval.metrics.rows import METRICS


def rows(count: int, dimensions: int, seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimensions)) * scale


def pair(count: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    return rows(count, dimensions, 1), rows(count + 3, dimensions, 2, 1.3) + 0.2


def one_dimension(x: np.ndarray, y: np.ndarray) -> float:
    """(m1 - m2)^2 + (s1 - s2)^2 of unbiased standard deviations."""
    return float((x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2)


@pytest.mark.parametrize("count", [4, 40])
def test_closed_form_in_one_dimension(count: int) -> None:
    x, y = pair(count, 1)
    want = pytest.approx(one_dimension(x, y), rel=1e-9)
    assert frechet_distance_from_features(x, y, ddof=1) == want
    assert frechet_distance(Moments.from_features(x), Moments.from_features(y), ddof=1) == want
    assert frechet_distance_from_features(x, y) != want


def test_golden_of_clean_fid(golden: Callable, seeded: Any) -> None:
    stored = golden("clean_prdc")
    real, fake = (seeded.seeded_normal(name, (n, 24), stored.meta["seed"]).astype("f8")
                  for name, n in (("real", 600), ("fake", 420)))  # fmt: skip
    assert frechet_distance_between(real + 0.2, 1.15 * fake, ddof=1) == pytest.approx(stored["clean_fid"][0], rel=1e-6)
    assert frechet_distance_between(real + 0.2, 1.15 * fake) != pytest.approx(stored["clean_fid"][0], rel=1e-4)


@pytest.mark.parametrize(("count", "column"), [(600, "torch_fidelity_fid"), (300, "videogpt_f64")])
def test_golden_of_those_that_divide_by_one_less(golden: Callable, count: int, column: str) -> None:
    stack = golden("metric_stack")
    columns = stack.meta["frechet_columns"]
    (row,) = [each for each in stack["frechet_table"] if tuple(each[:2]) == (count, count)][:1]
    found = frechet_distance_between(stack["real"][:count], stack["gen"][:count], ddof=1)
    assert found == pytest.approx(row[columns.index(column)], rel=2e-6)


@pytest.mark.parametrize(("count", "dimensions"), [(60, 6), (20, 30)])
def test_every_form_agrees(count: int, dimensions: int) -> None:
    real, fake = pair(count, dimensions)
    want = pytest.approx(frechet_distance_from_features(real, fake, ddof=1), rel=1e-6)
    assert frechet_displacement(real, fake, ddof=1).value == want
    labels = np.arange(len(real)) % 5, np.arange(len(fake)) % 5
    kept = [side[each != 2] for side, each in zip((real, fake), labels, strict=True)]
    left = pytest.approx(frechet_distance_from_features(*kept, ddof=1), rel=1e-6)
    for way in (CrossGram, PartMoments):
        statistic = way(real, fake, *labels, 1)
        assert statistic(()) == want and statistic((2,)) == left


def test_influence_is_the_derivative_under_either_divisor() -> None:
    """One row more in a hundred copies moves the distance by its value over their number."""
    real, fake = pair(40, 3)
    for ddof in (0, 1):
        values, _ = influence_values(np.tile(real, (50, 1)), fake, ddof)
        more = frechet_distance_between(np.vstack([np.tile(real, (50, 1)), real[7:8]]), fake, ddof)
        base = frechet_distance_between(np.tile(real, (50, 1)), fake, ddof)
        assert (more - base) * (50 * len(real) + 1) == pytest.approx(values[7], rel=0.02)


def test_value_interval_floor_and_correction_have_one_divisor() -> None:
    real, fake = pair(64, 4)
    names = [f"r{i}" for i in range(len(real))], [f"f{i}" for i in range(len(fake))]
    by_n, by_less = (frechet_uncertainty(real, fake, *names, ddof=ddof) for ddof in (0, 1))
    assert by_less.value == pytest.approx(frechet_distance_between(real, fake, ddof=1), rel=1e-9)
    assert by_n.floor and by_less.floor and by_less.floor.value > by_n.floor.value
    assert by_less.corrected.value == pytest.approx(by_n.corrected.value, rel=0.05)  # type: ignore[union-attr]
    assert by_less.interval and by_less.interval[0] < by_less.value < by_less.interval[1]


def test_a_metric_is_measured_and_gated_with_its_divisor() -> None:
    new, old, real = (Features({"features": each}, list(range(len(each))), [f"s{i}" for i in range(len(each))], [])
                      for each in (NOISE * 1.3, OLD, REAL))  # fmt: skip
    less = Protocol(covariance="n-1")
    row = METRICS["fvd"].under(less)
    value = row.measure(new, real, False, lambda done, total: None).value
    assert value == pytest.approx(frechet_distance_between(REAL, NOISE * 1.3, ddof=1), rel=1e-9)
    found = [compare_features(parse_rule("fvd:+1"), new, old, real, protocol=each) for each in (None, less)]
    assert found[0].accepted != found[1].accepted
    assert found[0].accepted == pytest.approx(found[1].accepted, rel=0.1)
    assert METRICS["kvd"].under(less) is METRICS["kvd"]
