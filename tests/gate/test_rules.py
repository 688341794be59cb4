"""What the gate is made of: boundaries, rules, comparisons of clips and of numbers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gate_makers import CLIPS, NOISE, OLD, REAL
from repository import ROOT
from result_makers import make_result

from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.result import Result
from latte_eval.gate.boundaries import rounds, spending_boundaries, student_boundary
from latte_eval.gate.contrast import Errors, compare_features, compare_numbers
from latte_eval.gate.rules import parse_rule, parse_rules


# The published study's table for three of its levels, looks at 1/8, 1/4, 1/2 and 1.
@pytest.mark.parametrize(
    ("alpha", "known"),
    [
        (0.05, (3.168, 2.801, 2.309, 1.707)),
        (0.025, (3.365, 3.022, 2.566, 2.025)),
        (0.01, (3.610, 3.294, 2.875, 2.393)),
    ],
)
def test_boundaries_are_those_of_the_study(alpha: float, known: tuple[float, ...]) -> None:
    assert spending_boundaries([1 / 8, 1 / 4, 1 / 2, 1], alpha) == pytest.approx(known, abs=0.011)


def test_boundaries_keep_the_error_over_all_looks() -> None:
    fractions = [0.25, 0.5, 1.0]
    steps = np.random.default_rng(1).standard_normal((400_000, 3)) * np.sqrt(np.diff([0, *fractions]))
    paths = steps.cumsum(axis=1) / np.sqrt(fractions)
    crossed = (paths > spending_boundaries(fractions, 0.05)).cumsum(axis=1) > 0
    assert crossed.mean(axis=0) == pytest.approx([0.05 / 16, 0.05 / 4, 0.05], rel=0.05)
    naive = (paths > 1.645).any(axis=1).mean()
    assert naive > 0.1


def test_information_has_to_grow() -> None:
    with pytest.raises(ValueError, match="must grow"):
        spending_boundaries([0.5, 0.5], 0.05)


def test_rounds() -> None:
    assert rounds(2048) == [512, 1024, 2048]
    assert rounds(64) == [16, 32, 64]
    assert rounds(20) == [16, 20] and rounds(12) == [12]


def test_few_parts_need_more() -> None:
    assert student_boundary(1.6449, 31) == pytest.approx(1.6955, abs=1e-3)


def test_rules() -> None:
    rule = parse_rule("fvd:+3%")
    assert (rule.metric, rule.margin(200.0), str(rule)) == ("fvd", 6.0, "fvd:+3%")
    assert parse_rule(" IS : -0.5 ").margin(20.0) == 0.5


PRINTED = ["fvd:+0.000031", "fvd:+2500000", "is:-0.5", "kid:+12.5%", "fd-dinov2:+5%", "recall:-0.1"]


@pytest.mark.parametrize("text", PRINTED)
def test_a_rule_that_is_printed_can_be_typed(text: str) -> None:
    assert str(parse_rule(text)) == text


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["fdv:+3%"], r"Did you mean fvd:\+3%\?"),
        (["fvd+3%"], r"Did you mean fvd:\+3%\?"),
        (["fvd:3%"], r"Did you mean fvd:\+3%\?"),
        (["fd-dinov2 5%"], r"Did you mean fd-dinov2:\+5%\?"),
        (["fvd:-3%"], r"lower is better for fvd, so write fvd:\+3%"),
        (["is:+0.5"], r"higher is better for is, so write is:-0.5"),
        (["colour:+1"], "there is no metric 'colour'"),
        (["fvd:+3%", "fvd:+5%"], "fvd has a rule already"),
        ([], "at least one rule"),
        (["fvd:+nan"], "cannot be read"),
    ],
)
def test_rules_that_are_not(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_rules(texts)


def test_a_metric_without_direction() -> None:
    with pytest.raises(UsageError, match="no direction"):
        parse_rule("fvd:+3%").check_direction("")


def numbers(value: float, error: float | None, **fields: Any) -> Result:
    interval = [value - 1, value + 1]
    return make_result(value=value, interval=interval, standard_error=error, **fields)


def test_numbers_by_hand() -> None:
    found = compare_numbers(parse_rule("fvd:+10%"), numbers(115.0, 3.0), numbers(100.0, 4.0))
    assert found.excess == pytest.approx(5.0) and found.standard_error == pytest.approx(np.hypot(3, 4.4))
    with pytest.raises(StoreError, match="neither features nor a standard error"):
        compare_numbers(parse_rule("fvd:+10%"), numbers(115.0, None), numbers(100.0, 4.0))


def test_scores_are_better_when_higher() -> None:
    details = {"splits": 10, "std": 0.3}
    new, old = (numbers(v, None, metric="is", better="higher", details=details) for v in (5.0, 6.0))
    found = compare_numbers(parse_rule("is:-0.5"), new, old)
    assert found.excess == pytest.approx(0.5) and found.standard_error == pytest.approx(0.1 * np.sqrt(2))


def table(rows: np.ndarray, name: str = "features") -> Features:
    return Features({name: rows}, list(range(len(rows))), [f"clip-{i}" for i in range(len(rows))], [])


@pytest.mark.parametrize("metric", ["fvd", "kvd"])
def test_pairing_narrows_what_is_not_known(metric: str) -> None:
    rule = parse_rule(f"{metric}:+5%")
    other = np.random.default_rng(1).standard_normal(NOISE.shape).astype(np.float32)
    paired = compare_features(rule, table(NOISE * 1.01 + 1), table(OLD), table(REAL))
    strangers = compare_features(rule, table(other + 1), table(OLD), table(REAL))
    assert paired.standard_error < strangers.standard_error / 2


@pytest.mark.parametrize("metric", ["fvd", "kvd", "is"])
def test_the_offered_percentage_is_the_one_that_holds(metric: str) -> None:
    """The standard error grows with the allowance: the offer is where the allowance outgrows it."""
    sign, name = ("-", "probabilities") if metric == "is" else ("+", "features")
    rows = lambda seed: shares(seed) if metric == "is" else moved(seed)  # noqa: E731
    sides = table(rows(1), name), table(rows(2), name), table(REAL)
    rule = parse_rule(f"{metric}:{sign}1%")
    found = compare_features(rule, *sides)
    exact, units = found.detectable(rule, 1.6)
    assert exact is not None and exact.relative and not units.relative
    there = compare_features(exact, *sides)
    reach = units.amount / found.errors.difference
    assert exact.margin(there.accepted) == pytest.approx(reach * there.standard_error, rel=1e-6)
    assert exact.amount > rule.amount


def moved(seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(NOISE.shape) + 1).astype(np.float32)


def shares(seed: int) -> np.ndarray:
    """Probabilities of four classes, some clips sharper than others."""
    weights = np.random.default_rng(seed).gamma(0.3, size=(CLIPS, 4)) + 1e-3
    return weights / weights.sum(axis=1, keepdims=True)


def test_no_percentage_of_what_is_near_zero() -> None:
    errors = Errors(0.3, 0.3, 0.1)
    assert errors.smallest_part(0.5, 2.0, 1) is None and errors.smallest_part(-0.1, 2.0, 1) is None
    part = errors.smallest_part(100.0, 2.0, 1)
    assert part == pytest.approx(0.2 / 100, rel=0.01)


def test_inception_scores_of_clips() -> None:
    sharp = np.eye(4)[np.arange(CLIPS) % 4] * 0.9 + 0.025
    blurred = sharp * 0.7 + 0.075
    worse = compare_features(parse_rule("is:-5%"), table(blurred, "probabilities"), table(sharp, "probabilities"), None)
    same = compare_features(parse_rule("is:-5%"), table(sharp, "probabilities"), table(sharp, "probabilities"), None)
    assert worse.statistic > 5 and same.statistic < -5


def test_collapse_does_not_hide_behind_a_shrinking_bias() -> None:
    """Narrower features are farther from the real ones, but their plug-in distance has less bias."""
    random = np.random.default_rng(5)
    real, noise = (random.standard_normal((60, 24)).astype(np.float32) for _ in range(2))
    rule = parse_rule("fvd:+0")
    found = compare_features(rule, table(noise * 0.75), table(noise), table(real))
    assert found.excess == pytest.approx(24 * 0.25**2, abs=1.2) and found.excess > 0


def test_the_simulation_small() -> None:
    """Equal and slightly worse pass, clearly worse and collapsed fail, and paired noise saves clips."""
    simulation = load_simulation()
    verdicts = {case.name: simulation.simulate(case, 6, simulation.World(16), 256) for case in simulation.CASES}
    assert verdicts["equal, same noise"][0]["regression"] == 0
    for name in ("clearly worse, same noise", "collapsed, same noise"):
        assert verdicts[name][0]["pass"] == 0 and verdicts[name][0]["regression"] >= 3
    assert verdicts["equal, same noise"][1] < verdicts["equal, unrelated noise"][1]


def load_simulation() -> ModuleType:
    import importlib.util
    import sys

    path = ROOT / "benchmarks" / "simulations" / "gate.py"
    spec = importlib.util.spec_from_file_location("gate_simulation", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["gate_simulation"] = module
    spec.loader.exec_module(module)
    return module
