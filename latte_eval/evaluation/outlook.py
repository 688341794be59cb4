"""What a value will stand beside: known before anything is sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latte_eval.benchmarks.benchmark import Benchmark
from latte_eval.benchmarks.dataset import Dataset
from latte_eval.compare.comparable import (
    Conditions,
    Difference,
    Standing,
    differences,
    protocol_fields,
    published_conditions,
    standing,
)
from latte_eval.core.errors import NotComparable
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.side import Side
from latte_eval.metrics.detectors import Detector


def expected_conditions(protocol: Protocol, fake: Side, real: Side | None, detector: Detector) -> Conditions:
    """What is known of a number before it is measured; counts are those that will be read at most."""
    counts = {"fake clips": fake.expected, "real clips": real.expected if real else 0}
    made: dict[str, Mapping[str, Any]] = {"checkpoint": fake.checkpoint or {}, "sampler": fake.sampler or {}}
    return Conditions({"protocol": protocol_fields(protocol), "counts": counts, "detector": detector.record(), **made})


def outlook(
    row: Benchmark | None, protocol: Protocol, fake: Side, real: Side | None, detector: Detector
) -> list[Difference] | None:
    """In what a number will differ from the published ones of its benchmark; None where there are none."""
    if not isinstance(row, Dataset):
        return None
    return differences(expected_conditions(protocol, fake, real, detector), published_conditions(row))


def check_whole(found: list[Difference], row: Benchmark, real: Side) -> None:
    """Raise `NotComparable` if the real side is a remnant of the benchmark under the name of the published protocol."""
    for each in found:
        if (each.part, each.field, each.weight) == ("counts", "real clips", "decides"):
            raise NotComparable(
                f"{each.values[0]:,} of the {each.values[1]:,} real clips of {row.title} are in {real.source.name}: "
                "the value will not be comparable with published ones; give --allow-partial to go on, or --clips N"
            )


def outlook_to_text(found: list[Difference]) -> str:
    """`comparable`, or the grade with its reasons."""
    seen: Standing = standing(found)
    return "; ".join([seen.grade, *seen.reasons])
