"""Every error of the library, and the stage at which it may show: before the hours of sampling wherever that can be."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Literal

import pytest

import latte_eval
from latte_eval.core.errors import LatteEvalError

Stage = Literal["before", "during", "after", "reading"]

# Class -> (the latest stage, why it can show no earlier). The stages: `before` clips are sampled and read, `during` it,
# `after` it, while metrics are measured; and `reading` of results, where nothing is sampled.
STAGES: dict[str, tuple[Stage, str]] = {
    "UsageError": ("before", ""),
    "ProtocolError": ("before", ""),
    "CheckpointError": ("before", ""),
    "WeightsError": ("before", ""),
    "LocationError": ("before", ""),
    "OtherBytes": ("before", ""),
    "NotComparable": ("before", ""),
    "TooShort": ("before", ""),
    "RanksDiffer": ("before", ""),
    "RankError": ("before", ""),
    "LostRank": ("during", "a process may be lost at any time"),
    "SamplerError": (
        "during",
        "a pipeline of another package may refuse a call, or give other frames",
    ),
    "ClipError": ("during", "a clip that came out as NaN, or a size that no header tells, is seen when it is there"),
    "DecordRefused": ("during", "decord may not read what PyAV found whole"),
    "NoImage": ("during", "a file that is no image is seen when it is opened"),
    "Damaged": ("during", "damage behind a sound header shows in decoding"),
    "FramesNotFinite": ("during", "NaN is seen in what was decoded"),
    "GeneratorError": ("during", "a program of somebody else is known by what it yields"),
    "NotEnoughClips": ("during", "videos that turn out to be damaged leave fewer than were listed"),
    "StoreError": ("during", "a disk fills up; that it can be written at all is tried before"),
    "MachineFault": ("during", "a disk or network may fail at any time"),
    "DamagedFile": ("during", "a shard is damaged after it was checked"),
    "AbsentFile": ("during", "another job may take a shard away at any time"),
    "FeatureError": ("after", "a network's answers are seen when it has answered"),
    "MetricFailed": ("after", "it carries the metrics that did not fail"),
    "TornLine": ("reading", ""),
    "IncompleteRun": ("reading", ""),
}


PROGRAMS = tuple(f"latte_eval.{name}" for name in ("__main__", "benchmarks.speed", "benchmarks.simulations",
                                                  "benchmarks.studies"))  # fmt: skip


def subclasses(of: type[LatteEvalError]) -> Iterator[type[LatteEvalError]]:
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.fixture(scope="module")
def errors() -> dict[str, type[LatteEvalError]]:
    """Every class of error in the package, by name."""
    for module in pkgutil.walk_packages(latte_eval.__path__, "latte_eval."):
        if not module.name.startswith(PROGRAMS):
            importlib.import_module(module.name)
    return {each.__name__: each for each in subclasses(LatteEvalError) if each.__module__.startswith("latte_eval.")}


def test_every_error_has_a_stage(errors: dict[str, type[LatteEvalError]]) -> None:
    assert set(errors) == set(STAGES)


def test_one_that_may_show_late_says_why() -> None:
    assert all(bool(why) == (stage in ("during", "after")) for stage, why in STAGES.values())


def test_what_is_a_usage_error_shows_before_anything_is_sampled(errors: dict[str, type[LatteEvalError]]) -> None:
    late = [name for name, each in errors.items() if each.exit_code == 2 and STAGES[name][0] != "before"]
    assert late == ["SamplerError"]
