"""How precision, recall, density and coverage are measured, with an interval, and contrasted for a gate."""

from __future__ import annotations

import dataclasses
import weakref
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from latte_eval.metrics.balls import NEIGHBOURS, Balls, PrecisionRecall, blocks, precision_recall
from latte_eval.metrics.contrast import contrast_uncertainty
from latte_eval.metrics.estimate import Floor, Sides, Steps
from latte_eval.metrics.jackknife import Statistic, delete_one
from latte_eval.metrics.parts import deal_rows
from latte_eval.metrics.uncertainty import FEWEST_PARTS, PARTS, real_floor

if TYPE_CHECKING:
    from latte_eval.core.features import Features
    from latte_eval.metrics.contrast import Contrast
    from latte_eval.metrics.metric import Measurement, Progress

CONFIDENCE = 0.95


def measure_share(fake: Features, real: Features | None, interval: bool, progress: Progress, share: str) -> Measurement:
    """One of the four shares over the rows of both sides; its interval leaves out source videos of both together."""
    from latte_eval.metrics.metric import Measurement
    from latte_eval.metrics.rows import both_sides

    assert real is not None  # `needs_real` is true
    rows = both_sides(fake, real)
    sides = Sides.checked(*rows)
    reason = why_no_parts(sides)
    parts = sides.part_count(PARTS) if interval and not reason else 0
    statistic = shared_balls(fake, real, sides, parts, progress).statistic(share)
    details = {"k": NEIGHBOURS, "videos": sides.videos, "parts": dict.fromkeys(("real", "fake"), parts)}
    if not interval:
        return Measurement(statistic(()), details=details)
    found = delete_one(statistic, parts) if parts else None
    floor = floor_of(share, real, sides)
    if found is None or not found.standard_error:
        return Measurement(statistic(()), floor=floor, details={**details, "no_interval": reason or NEVER_MOVES})
    low, high = found.interval(found.value, CONFIDENCE)
    top = np.inf if share == "density" else 1.0
    bounds = [max(0.0, low), float(min(top, high))]
    return Measurement(found.value, bounds, found.standard_error, floor=floor, details=details)


# A share of 1, or of 0, often stays what it is: that does not make it certain.
NEVER_MOVES = "the value is the same whichever source videos are left out, which does not tell how sure it is"


def why_no_parts(sides: Sides) -> str:
    """The reason why no part can be left out; empty where parts can."""
    count = sides.part_count(PARTS)
    if count < FEWEST_PARTS:
        side, videos = min(sides.videos.items(), key=lambda item: item[1])
        return f"{videos} {side} source videos are too few to leave any out; it takes {FEWEST_PARTS}"
    fewest = min(len(labels) - int(np.bincount(labels).max()) for labels in sides.labels(count))
    if fewest > NEIGHBOURS:
        return ""
    return f"without one of {count} parts a side has {fewest} rows; {NEIGHBOURS} neighbours take more"


def floor_of(share: str, real: Features, sides: Sides) -> dict[str, object] | None:
    """The share of one half of the real side beside the other: what a perfect generator would score.

    None where a half has too few rows, as where nearly all are of one video.
    """
    halves = np.bincount(deal_rows(sides.real_names, 2, "half", 0), minlength=2)
    if len(sides.real) < 4 * NEIGHBOURS or halves.min() <= NEIGHBOURS:
        return None
    floor, found = shared_halves(real.outputs["features"], sides)
    return dataclasses.replace(floor, value=float(getattr(found, share))).to_dict()


# The last real side with the shares of its halves: four metrics are read from them.
LAST_HALVES: list[tuple[weakref.ref[np.ndarray], Floor, PrecisionRecall]] = []


def shared_halves(array: np.ndarray, sides: Sides) -> tuple[Floor, PrecisionRecall]:
    """The halves of the real side and their four shares, computed once for the metrics that follow each other."""
    for known, floor, shares in LAST_HALVES:
        if known() is array:
            return floor, shares
    found: list[PrecisionRecall] = []

    def measured(half: np.ndarray, other: np.ndarray) -> float:
        found.append(precision_recall(half, other))
        return found[-1].precision

    floor = real_floor(sides.real, sides.real_names, distance=measured)
    LAST_HALVES[:] = [(weakref.ref(array), floor, found[-1])]
    return floor, found[-1]


# The last table with the features that it came from: four metrics are read from one.
LAST: list[tuple[weakref.ref[np.ndarray], weakref.ref[np.ndarray], int, Balls]] = []


def shared_balls(fake: Features, real: Features, sides: Sides, parts: int, progress: Progress) -> Balls:
    """The table of both sides, computed once for the metrics that follow each other on the same features."""
    arrays = real.outputs["features"], fake.outputs["features"]
    for one, other, count, balls in LAST:
        if one() is arrays[0] and other() is arrays[1] and count == parts:
            return balls
    steps = Steps(progress, len(list(blocks(len(sides.fake), len(sides.real)))))
    labels = sides.labels(max(parts, 1))
    found = Balls(sides.real, sides.fake, *labels, tick=steps, whole_only=not parts)
    LAST[:] = [(weakref.ref(arrays[0]), weakref.ref(arrays[1]), parts, found)]
    return found


def share_statistic(
    real: np.ndarray, fake: np.ndarray, real_labels: np.ndarray, fake_labels: np.ndarray, share: str
) -> Statistic:
    """`statistic(deleted)`: one share without the rows of a part."""
    return Balls(real, fake, real_labels, fake_labels).statistic(share)


def contrast_share(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None, share: str
) -> Contrast:
    """How much lower the new share is than the accepted one, beyond the allowance."""
    from latte_eval.core.features import feature_rows
    from latte_eval.metrics.rows import both_sides

    sides, (old_rows, old_groups) = both_sides(new, real), feature_rows(accepted)
    return contrast_uncertainty(
        sides.real, sides.fake, old_rows, sides.real_groups, sides.fake_groups, old_groups, allowance, progress,
        partial(share_statistic, share=share), higher_is_better=True,
    )  # fmt: skip
