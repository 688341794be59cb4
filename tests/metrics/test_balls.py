"""Precision, recall, density, coverage: the reference, a line by hand, closed forms, the jackknife, the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from latte_eval.core.errors import FeatureError, NotEnoughClips
from latte_eval.core.features import Features
from latte_eval.evaluation.request import Request
from latte_eval.gate.contrast import compare_features
from latte_eval.gate.rules import parse_rule
from latte_eval.metrics import balls as balls_module
from latte_eval.metrics import precision_recall
from latte_eval.metrics import share_rows as share_rows_module
from latte_eval.metrics.balls import Balls
from latte_eval.metrics.parts import deal_rows
from latte_eval.metrics.rows import METRICS, TOGETHER

SHARES = TOGETHER["prdc"]


def rows(count: int, dimensions: int = 6, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimensions)) * scale + shift


def side(table: np.ndarray, name: str = "s") -> Features:
    return Features({"features": table}, list(range(len(table))), [f"{name}{i}" for i in range(len(table))], [])


def inputs(stored: Any, seeded: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = {name: seeded.seeded_normal(name, (count, 24), stored.meta["seed"]).astype("f8")
            for name, count in (("real", 600), ("fake", 420))}  # fmt: skip
    real, fake = made["real"] + 0.2, 1.15 * made["fake"]
    return real, fake, real[:210] + 0.05 * fake[:210]


def test_golden(golden: Callable, seeded: Any) -> None:
    stored = golden("clean_prdc")
    real, fake, near = inputs(stored, seeded)
    for k, other, name in ((3, fake, "prdc_k3"), (5, fake, "prdc_k5"), (5, near, "prdc_near_k5")):
        assert np.abs(np.array(precision_recall(real, other, k)) - stored[name]).max() <= 1e-12
    swapped = precision_recall(fake, real, 5)
    assert np.abs(np.array(swapped) - stored["prdc_k5"]).max() > 0.1


def test_by_hand_on_a_line() -> None:
    """Real balls of radius 1, 1, 2 at 0, 1, 3; fake ones of 3.5, 1.5, 1.5 at -3, 0.5, 2: edges are outside."""
    real, fake = np.array([[0.0], [1], [3]]), np.array([[-3.0], [0.5], [2]])
    found = precision_recall(real, fake, k=1)
    assert found == pytest.approx((2 / 3, 1.0, (0 + 2 + 1) / 3, 1.0))
    edges = np.array([[-1.0], [2], [5]])
    assert precision_recall(real, edges, k=1).precision == pytest.approx(1 / 3)


def test_same_far_and_repeated_sets() -> None:
    x = rows(60)
    same = precision_recall(x, x.copy())
    assert same[:2] == (1.0, 1.0) and same.coverage == 1.0
    assert precision_recall(x, x + 100) == (0, 0, 0, 0)
    one = precision_recall(x, np.repeat(x[:1], 60, axis=0))
    assert one.precision == 1.0 and one.recall == 0.0 and one.coverage < 0.3
    y = rows(50, seed=1, shift=0.3)
    assert precision_recall(x + 2.0**24, y + 2.0**24) == pytest.approx(precision_recall(x, y), abs=0.02)


def test_a_narrow_model_is_precise_and_a_wide_one_has_recall() -> None:
    real = rows(300)
    narrow, wide = (
        precision_recall(real, rows(300, seed=1, scale=0.5)),
        precision_recall(real, rows(300, seed=1, scale=2)),
    )
    assert narrow.precision > 0.95 > 0.5 > narrow.recall
    assert wide.recall > 0.95 > 0.5 > wide.precision


@pytest.mark.parametrize("parts", [4, 7])
def test_what_remains_without_a_part_is_measured_exactly(parts: int) -> None:
    real, fake = rows(61, seed=3), rows(50, seed=4, shift=0.3)
    labels = np.random.default_rng(0).integers(0, parts, 61), np.random.default_rng(1).integers(0, parts, 50)
    balls = Balls(real, fake, *labels)
    assert balls.whole == precision_recall(real, fake)
    for part in range(parts):
        want = precision_recall(*(each[label != part] for each, label in zip((real, fake), labels, strict=True)))
        assert [balls.statistic(name)((part,)) for name in SHARES] == pytest.approx(list(want), abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = rows(61, seed=3), rows(50, seed=4)
    whole = Balls(real, fake, np.arange(61) % 5, np.arange(50) % 5).table
    monkeypatch.setattr("latte_eval.metrics.balls.BLOCK_ELEMENTS", 61 * 7)
    assert np.array_equal(Balls(real, fake, np.arange(61) % 5, np.arange(50) % 5).table, whole)


def test_bad_input() -> None:
    with pytest.raises(NotEnoughClips, match="5 neighbours .* more than 5 rows; the fake side has 5"):
        precision_recall(rows(9), rows(5))
    with pytest.raises(FeatureError, match="at least 1"):
        precision_recall(rows(9), rows(9), k=0)
    with pytest.raises(FeatureError, match="NaN"):
        precision_recall(rows(9), np.full((9, 6), np.nan))


def test_a_metric_is_a_share_with_interval_and_floor() -> None:
    fake, real = side(rows(120, seed=1, shift=0.4)), side(rows(100, seed=2), "r")
    want = precision_recall(real.outputs["features"], fake.outputs["features"])
    for name in SHARES:
        row = METRICS[name]
        found = row.measure(fake, real, True, lambda done, total: None)
        assert found.value == getattr(want, name) and found.details["k"] == 5 and row.better == "higher"
        assert found.interval and 0 <= found.interval[0] <= found.value <= found.interval[1]
        assert name == "density" or found.interval[1] <= 1
        assert found.standard_error and found.floor and found.floor["videos"] == [50, 50]
        first = deal_rows(real.groups, 2, "half", 0) == 0
        halves = precision_recall(real.outputs["features"][first], real.outputs["features"][~first])
        assert found.floor["value"] == getattr(halves, name)
        assert row.measure(fake, real, False, lambda done, total: None).value == found.value


def test_an_interval_is_cut_where_a_share_ends_and_that_of_density_is_not() -> None:
    real = side(rows(24, seed=2), "r")
    low = METRICS["recall"].measure(side(rows(24, seed=1, shift=1.5)), real, True, lambda done, total: None)
    assert low.interval and low.standard_error and low.interval[0] == 0 < low.value < 2.07 * low.standard_error
    dense = METRICS["density"].measure(side(rows(24, seed=3, scale=0.3)), real, True, lambda done, total: None)
    assert dense.interval and dense.interval[1] > dense.value > 1
    assert dense.details["parts"] == {"real": 24, "fake": 24}


def test_a_value_without_interval_does_not_stand_for_one_with_it() -> None:
    fake, real = side(rows(60, seed=1, shift=0.4)), side(rows(60, seed=2), "r")
    bare = METRICS["coverage"].measure(fake, real, False, lambda done, total: None)
    whole = METRICS["coverage"].measure(fake, real, True, lambda done, total: None)
    assert bare.value == whole.value and bare.interval is None and whole.interval


def test_four_metrics_are_read_from_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(Balls):
        def __init__(self, *arguments: Any, **options: Any):
            made.append(1)
            super().__init__(*arguments, **options)

    for module in (share_rows_module, balls_module):
        monkeypatch.setattr(module, "Balls", Counted)
    fake, real = side(rows(80, seed=1)), side(rows(80, seed=2))
    for name in SHARES:
        METRICS[name].measure(fake, real, True, lambda done, total: None)
    assert len(made) == 2  # one of both sides, one of the halves of the real side
    METRICS["recall"].measure(side(rows(80, seed=3)), real, True, lambda done, total: None)
    assert len(made) == 3
    METRICS["recall"].measure(fake, side(rows(80, seed=4)), True, lambda done, total: None)
    assert len(made) == 5


def test_the_interval_covers_the_spread_of_new_clips() -> None:
    """The standard error of one sample is near the spread of values over samples."""
    values, errors = [], []
    for seed in range(12):
        fake, real = side(rows(150, seed=2 * seed, shift=0.3)), side(rows(150, seed=2 * seed + 1))
        found = METRICS["coverage"].measure(fake, real, True, lambda done, total: None)
        values.append(found.value)
        errors.append(found.standard_error or 0)
    assert 0.5 < np.mean(errors) / np.std(values, ddof=1) < 2


def test_few_source_videos_have_no_interval() -> None:
    few = Features({"features": rows(30).reshape(3, 10, 6)}, [0, 1, 2], ["a", "b", "c"], [])
    found = METRICS["recall"].measure(few, few, True, lambda done, total: None)
    assert found.interval is None and found.value == 1.0
    assert found.details["no_interval"] == "3 real source videos are too few to leave any out; it takes 4"
    rows_of_four = Features({"features": rows(6)}, list(range(6)), ["a", "a", "a", "b", "c", "d"], [])
    found = METRICS["recall"].measure(rows_of_four, rows_of_four, True, lambda done, total: None)
    assert found.interval is None and "a side has 3 rows; 5 neighbours take more" in found.details["no_interval"]


@pytest.mark.parametrize("counts", [(40,), (36, 4), (30, 2, 2, 2)])
def test_rows_of_nearly_one_video_have_no_floor(counts: tuple[int, ...]) -> None:
    names = [f"v{i}" for i, count in enumerate(counts) for _ in range(count)]
    real = Features({"features": rows(len(names))}, list(range(len(names))), names, [])
    found = METRICS["coverage"].measure(side(rows(40, seed=1)), real, True, lambda done, total: None)
    assert found.floor is None and found.value > 0


def test_a_share_that_never_moves_is_not_called_certain() -> None:
    fake, real = side(rows(40, seed=1) + 100), side(rows(40, seed=2), "r")
    for name in SHARES:
        found = METRICS[name].measure(fake, real, True, lambda done, total: None)
        assert found.value == 0 and found.interval is None and found.standard_error is None and found.floor
        assert "does not tell how sure" in found.details["no_interval"]
        assert "no_interval" not in METRICS[name].measure(fake, real, False, lambda done, total: None).details


def test_a_gate_sees_a_model_that_dropped_modes() -> None:
    real, old = rows(200, seed=1), rows(200, seed=2)
    narrow = old * 0.5
    sides = side(old), side(real, "r")
    assert compare_features(parse_rule("recall:-5%"), side(narrow), *sides).statistic > 3
    assert compare_features(parse_rule("precision:-5%"), side(narrow), *sides).statistic < -1
    assert compare_features(parse_rule("recall:-0.2"), side(old), *sides).statistic < -3


def test_a_name_stands_for_four() -> None:
    request = Request(metrics=("fvd", "prdc", "recall"), detectors=("seeded",))
    assert request.metrics == ("fvd", *SHARES)
    assert request.detector_names() == ["i3d-seeded"]
    assert Request(metrics=("prdc", "fid"), detectors=("inception-seeded",)).detector_names() == ["inception-seeded"]
