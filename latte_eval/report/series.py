"""Results as series for a dashboard: values by training step, a series for all that was measured in one way."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from latte_eval.baselines.frames import encodable
from latte_eval.compare.comparable import protocol_of
from latte_eval.compare.frame import PROTOCOL, result_to_record
from latte_eval.compare.results import subject, training_run
from latte_eval.core.result import Result

# Cells of a result that are the same in all of a series.
ALONG = ("benchmark", "protocol", "real_source", "seed", "weights", "sampler", "steps", "guidance_scale", "dtype")

# What a name of MLflow may not hold, such as `=` and brackets of a file with own weights.
UNFIT = re.compile(r"[^\w.\- ]")


@dataclass(frozen=True)
class Point:
    """One result: its training step, 0 where it has none; when it was measured, in seconds since 1970; its scalars."""

    step: int
    time: float
    scalars: dict[str, float]


@dataclass(frozen=True)
class Series:
    """What one run of a dashboard shows.

    Attributes:
        name: training run and protocol, and a hash of what else decides.
        key: that hash.
        config: protocol, sampler and detectors, flat.
        points: by step, then by time.
    """

    name: str
    key: str
    config: dict[str, str | int | float]
    points: list[Point]


def results_to_series(results: Sequence[Result]) -> list[Series]:
    """Results by training run, protocol, sampler and real clips: values of one series stand beside each other."""
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda each: each.started):
        groups.setdefault(series_key(result), []).append(result)
    return [to_one_series(key, group) for key, group in groups.items()]


def series_key(result: Result) -> str:
    """A hash of all that two points of a series have in common, the metric and its detector apart."""
    fixed = [source_of(result), protocol_of(result).id, result.sampler, (result.checkpoint or {}).get("weights")]
    if result.real_source and result.protocol_fields["benchmark"] == "none":
        fixed.append(result.real_source.get("fingerprint"))
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8]


def source_of(result: Result) -> str:
    """The training run of a checkpoint, else its own name or that of the folder of clips."""
    return training_run(result) or subject(result)


def to_one_series(key: str, results: Sequence[Result]) -> Series:
    """The series of results with one key."""
    newest = result_to_record(results[-1])
    config = {name: cell for name, cell in newest.items() if name in ALONG or name.startswith(PROTOCOL)}
    config |= {f"detector.{each.metric}": each.detector["name"] for each in results}
    points = sorted(map(to_point, results), key=lambda point: (point.step, point.time))
    name = f"{encodable(source_of(results[-1]))}-{results[-1].protocol}-{key}".replace("/", "-")
    return Series(name, key, {name: plain(cell) for name, cell in config.items() if cell is not None}, points)


def plain(cell: Any) -> str | int | float:
    return cell if isinstance(cell, str | int | float) else str(cell)


def to_point(result: Result) -> Point:
    """`fvd/i3d/value`, and `low` and `high` where there is an interval."""
    detector = UNFIT.sub("-", encodable(result.detector["name"]))
    tag = f"{result.metric}/{detector}"
    low, high = result.interval or (None, None)
    scalars = {"value": result.value, "low": low, "high": high}
    return Point(
        (result.checkpoint or {}).get("iteration") or 0, datetime.fromisoformat(result.started).timestamp(),
        {f"{tag}/{name}": float(number) for name, number in scalars.items() if number is not None},
    )  # fmt: skip
