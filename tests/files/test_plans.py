"""Plans of jobs that share an evaluation: which of two are the same, and what is said where they are not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from latte_eval.core.errors import NotComparable
from latte_eval.files.plans import Plan, PlannedSide, differing, keep, settle
from latte_eval.files.run_folder import RunFolder

DETECTOR = {"name": "i3d", "sha256": "a" * 64, "comparable": True, "used": "i3d", "note": ""}
SIDE = PlannedSide("clips", "f" * 64, 20, 10, None, [], {"clips": 20}, None)
PLAN = Plan("1.0", 3, ["fvd", "fid"], {"benchmark": "shapes", "frames": 16}, 0, None, True, SIDE, None,
            {"fvd": DETECTOR}, {"world": 1})  # fmt: skip


def changed(**fields: Any) -> Plan:
    return dataclasses.replace(PLAN, **fields)


def side(**fields: Any) -> PlannedSide:
    return dataclasses.replace(SIDE, **fields)


def test_what_is_a_jobs_own_may_differ() -> None:
    """Where it ran, how it calls a folder, and what it found out while it read."""
    own = side(name="elsewhere", rejected=[["a", "damaged"]], candidates=["b"])
    assert differing(PLAN, changed(env={"world": 8}, fake=own)) == []


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (PLAN, changed(seed=3), "seed is 3, there 0"),
        (PLAN, changed(protocol_fields={"frames": 8}), "protocol frames is 8, there 16"),
        (PLAN, changed(detectors={"fvd": {**DETECTOR, "name": "other"}}), "detectors fvd name is 'other'"),
        (PLAN, changed(fake=side(fingerprint="e" * 64)), "fake fingerprint is 'eee"),
        (PLAN, changed(real=SIDE), "real limit is 20, there None"),
        (changed(real=SIDE), PLAN, "real limit is None, there 20"),
    ],
)
def test_everything_else_is_named(there: Plan, asked: Plan, said: str) -> None:
    assert any(text.startswith(said) for text in differing(there, asked)), differing(there, asked)


def test_a_fingerprint_is_named_where_nothing_else_tells() -> None:
    both = changed(seed=3, fake=side(fingerprint="e" * 64))
    assert differing(PLAN, both) == ["seed is 3, there 0"]


def test_one_subject_has_one_key() -> None:
    first, other = ({"name": "x.pt", "sha256": letter * 64} for letter in "ab")
    keys = [changed(fake=side(checkpoint=each)).key for each in (first, other)]
    assert keys[0] != keys[1] != PLAN.key
    assert changed(metrics=["fid", "fvd"]).key == PLAN.key != changed(metrics=["fvd"]).key
    assert changed(fake=side(name="/far/clips"), seed=3).key == PLAN.key


@pytest.mark.parametrize(("wanted", "at_most", "goal"), [(10, None, 10), (None, 15, 15), (None, None, 20), (90, 9, 20)])
def test_no_more_clips_are_wanted_than_there_are(wanted: int | None, at_most: int | None, goal: int) -> None:
    assert side(wanted=wanted, at_most=at_most).goal == goal


def test_the_plan_of_the_first_job_counts(tmp_path: Path) -> None:
    """It may know more: which candidates had to be replaced."""
    run = RunFolder(tmp_path)
    assert settle(run, PLAN) == PLAN
    keep(run, PLAN.with_side("fake", side(candidates=["a", "b"])))
    assert settle(run, PLAN).fake.candidates == ["a", "b"]
    with pytest.raises(NotComparable, match="compute fvd, fid of clips in .* another way: seed is 3, there 0. Give"):
        settle(run, changed(seed=3))
