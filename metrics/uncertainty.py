"""How sure a distance is: the interval of the value at N, the value without bias, and the floor of the real side.

The first two have different targets. The value at N is what papers compare; its interval says where it would fall
with the same number of other clips. The corrected value estimates the distance of the populations, which a Fréchet
distance of N clips overstates (Chong and Forsyth 2020, arXiv 1911.07023; Binkowski et al. 2018, arXiv 1801.01401).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from latte_eval.metrics.deletion import frechet_statistic
from latte_eval.metrics.estimate import Corrected, Floor, Sides, Steps, Uncertainty
from latte_eval.metrics.frechet import frechet_distance_between
from latte_eval.metrics.influence import influence_values, mean_variance
from latte_eval.metrics.jackknife import Jackknife, delete_one, delete_two
from latte_eval.metrics.kernel import (
    POLYNOMIAL,
    KernelSums,
    PolynomialKernel,
    biased_mmd,
    block_count,
    kernel_distance_subsets,
    unbiased_mmd,
)  # fmt: skip
from latte_eval.metrics.moments import feature_table
from latte_eval.metrics.parts import check_names, deal_rows

Progress = Callable[[int, int], None]
Distance = Callable[[np.ndarray, np.ndarray], float]

SIDES = ("real", "fake")
PARTS = 32
PAIR_PARTS = 12
PAIR_STEPS = PAIR_PARTS * (PAIR_PARTS + 1) // 2
FEWEST_PARTS = 4


def frechet_uncertainty(
    real_features: Any,
    fake_features: Any,
    real_groups: Sequence[str],
    fake_groups: Sequence[str],
    confidence: float = 0.95,
    progress: Progress | None = None,
    seed: int = 0,
    ddof: int = 0,
) -> Uncertainty:  # [N1, D], [N2, D], N1 names, N2 names
    """Fréchet distance with its interval, the corrected value, the variance share of each side and the floor.

    Args:
        real_features, fake_features: rows of any real dtype, numpy or torch; a row is a clip (FVD) or a frame (FID).
        real_groups, fake_groups: name of the source video of each row. Rows of one video are left out together.
        confidence: of the intervals.
        progress: called with (done, total) after each evaluation.
        seed: of the division of the real side into the two halves of the floor.
        ddof: covariances are divided by N - ddof.

    The interval comes from a jackknife: the groups (source videos) of each side are dealt into 32 parts, and part j of
    both sides is left out together. The corrected value comes from a second-order jackknife over 12 parts and all pairs
    of them, where both sides have more than 1.2 times as many source videos as a row has dimensions.
    Raises `NotEnoughClips`, `NotComparable` or `FeatureError`.
    """
    sides = Sides.checked(real_features, fake_features, real_groups, fake_groups)
    count, reason = sides.part_count(PARTS), why_unidentified(sides)
    if count < FEWEST_PARTS:
        return without_interval(sides, frechet_distance_between(sides.real, sides.fake, ddof), confidence)
    steps = Steps(progress, count + (0 if reason else PAIR_STEPS))
    first = delete_one(frechet_statistic(sides.real, sides.fake, *sides.labels(count), ddof), count, steps)
    corrected = reason or correct_twice(sides, first, confidence, steps, ddof)
    floor = real_floor(sides.real, real_groups, seed, partial(frechet_distance_between, ddof=ddof))
    return assemble(sides, first, confidence, corrected, variance_share(sides, ddof), floor)


def assemble(
    sides: Sides, found: Jackknife, confidence: float, corrected: Corrected | str, share: dict[str, float], floor: Floor
) -> Uncertainty:
    """All that is known of one distance, in one record."""
    return Uncertainty(
        value=found.value,
        standard_error=found.standard_error,
        interval=found.interval(found.value, confidence),
        confidence=confidence,
        corrected=corrected,
        variance_share=share,
        parts=dict.fromkeys(SIDES, found.parts),
        videos=sides.videos,
        floor=floor,
        without_part=found.left,
    )


def why_unidentified(sides: Sides) -> str | None:
    """The reason why no correction can be trusted, or None.

    What remains without two of twelve parts must hold more source videos than a row has dimensions: with a singular
    covariance the bias is not a series in 1/N, and the correction overshoots.
    """
    needed = max(PAIR_PARTS, sides.dimensions * PAIR_PARTS // (PAIR_PARTS - 2))
    for side, videos in sides.videos.items():
        if videos <= needed:
            return (
                f"the distance of the populations cannot be told from {videos:,} {side} source videos: "
                f"features of {sides.dimensions:,} dimensions take more than {needed:,}"
            )
    return None


def correct_twice(sides: Sides, first: Jackknife, confidence: float, steps: Steps, ddof: int = 0) -> Corrected:
    """The value without its bias of orders 1/N and 1/N^2; the step from the first order widens the interval."""
    statistic = frechet_statistic(sides.real, sides.fake, *sides.labels(PAIR_PARTS), ddof)
    value = delete_two(statistic, PAIR_PARTS, first.value, steps)
    systematic = abs(value - first.corrected)
    return Corrected(value, first.interval(value, confidence, systematic), systematic)


def without_interval(sides: Sides, value: float, confidence: float) -> Uncertainty:
    """The bare value, where a side has too few source videos to leave any out."""
    side, videos = min(sides.videos.items(), key=lambda item: item[1])
    reason = f"{videos} {side} source videos are too few to estimate anything from; it takes {FEWEST_PARTS}"
    return Uncertainty(value, None, None, confidence, reason, None, dict.fromkeys(SIDES, 0), sides.videos)


def variance_share(sides: Sides, ddof: int = 0) -> dict[str, float]:
    """The share of the variance that comes from each side, by influence values summed over source videos."""
    real, fake = influence_values(sides.real, sides.fake, ddof)
    return shares(mean_variance(real, sides.real_names), mean_variance(fake, sides.fake_names))


def shares(real: float, fake: float) -> dict[str, float]:
    """Two variances as shares of their sum; one half each where the sum is 0."""
    total = real + fake
    share = real / total if total > 0 else 0.5
    return {"real": share, "fake": 1 - share}


def kernel_uncertainty(
    real_features: Any,
    fake_features: Any,
    real_groups: Sequence[str],
    fake_groups: Sequence[str],
    confidence: float = 0.95,
    progress: Progress | None = None,
    seed: int = 0,
    subsets: int = 0,
    subset_size: int = 1000,
    subset_seed: int = 2020,
    kernel: PolynomialKernel = POLYNOMIAL,
    with_self: bool = False,
) -> Uncertainty:  # [N1, D], [N2, D], N1 names, N2 names
    """As `frechet_uncertainty`, for the unbiased kernel distance of all rows (KVD) or, with `subsets`, for KID.

    The estimate is unbiased for independent rows at any N. Its corrected value leaves out what pairs of rows from one
    source video add; `systematic` is how much that is. The standard error of KID includes that of drawing the subsets.
    `with_self` counts the pairs of a row with itself, as JEDi does; the corrected value is without their bias too.
    """
    sides = Sides.checked(real_features, fake_features, real_groups, fake_groups)
    count, mmd = sides.part_count(PARTS), biased_mmd if with_self else unbiased_mmd
    if count < FEWEST_PARTS:
        full = mmd(sides.real, sides.fake, kernel)
        value, _ = subset_mean(sides, subsets, subset_size, subset_seed, kernel, full)
        return without_interval(sides, value, confidence)
    steps = Steps(progress, block_count(len(sides.real), len(sides.fake)))
    sums = KernelSums(sides.real, sides.fake, *sides.labels(count), kernel, steps, with_self)
    whole = delete_one(sums, count)
    value, chance = subset_mean(sides, subsets, subset_size, subset_seed, kernel, whole.value)
    found = replace(whole, value=value, standard_error=math.hypot(whole.standard_error, chance))
    share = shares(*(delete_one(partial(sums, sides=[side]), count).standard_error ** 2 for side in SIDES))
    floor = real_floor(sides.real, real_groups, seed, partial(mmd, kernel=kernel))
    return assemble(sides, found, confidence, correct_once(whole, confidence), share, floor)


def subset_mean(
    sides: Sides, subsets: int, subset_size: int, seed: int, kernel: PolynomialKernel, full: float
) -> tuple[float, float]:
    """The mean over subsets and the standard error that drawing them adds; `full` and 0 without subsets."""
    if not subsets:
        return full, 0.0
    mean, spread = kernel_distance_subsets(sides.real, sides.fake, subsets, subset_size, seed, kernel=kernel)
    return mean, spread / math.sqrt(subsets)


def correct_once(full: Jackknife, confidence: float) -> Corrected:
    """A kernel distance without what pairs of rows from one source video add: exact, so it widens no interval."""
    systematic = abs(full.corrected - full.value)
    return Corrected(full.corrected, full.interval(full.corrected, confidence), systematic)


def real_floor(
    real_features: Any, groups: Sequence[str], seed: int = 0, distance: Distance = frechet_distance_between
) -> Floor:  # [N, D], N names
    """The distance between two halves of the real side: what a perfect generator would score with that many clips.

    Source videos are dealt into halves by a hash of `seed` and their name, so the floor is that of N/2 rows per side.
    The bias of a Fréchet distance falls about as 1/N, so with N rows per side it would be about half as high; a kernel
    distance has no bias and its floor is near 0. A fake side near the floor cannot be told from the real one.
    Raises `NotEnoughClips` where a half has fewer than two rows.
    """
    rows = feature_table(real_features)
    check_names(len(rows), groups, "real")
    half = deal_rows(groups, 2, "half", seed) == 0
    videos = len({name for name, first in zip(groups, half, strict=True) if first})
    value = distance(rows[half], rows[~half])
    return Floor(value, (int(half.sum()), int((~half).sum())), (videos, len(set(groups)) - videos))
