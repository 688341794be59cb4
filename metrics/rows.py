"""Features to metrics: which detector a metric needs, and its value with how sure it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latte_eval.evaluation.extract import Features

Progress = Callable[[int, int], None]  # done, total


@dataclass(frozen=True)
class Measurement:
    """A value with what its metric says about its certainty, in JSON types as `Result` has them."""

    value: float
    interval: list[float] | None = None
    standard_error: float | None = None
    corrected: dict[str, Any] | None = None
    floor: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A metric is a row: its detector, whether it has a real side, and how features become a value.

    Attributes:
        families: detectors that can serve it, the default first; each also as `-seeded`.
        output: which output of the detector it reads.
        needs_real: whether it compares with real clips.
        measure: (fake, real or None, with_interval, progress) -> Measurement.
    """

    name: str
    title: str
    families: tuple[str, ...]
    output: str
    needs_real: bool
    measure: Callable[[Features, Features | None, bool, Progress], Measurement]


def feature_rows(features: Features) -> tuple[np.ndarray, list[str]]:
    """Rows and the group of each row; an image detector gives one row a frame. # [N, D] or [N, T, D] -> [M, D]"""
    array = features.outputs["features"]
    if array.ndim == 2:
        return array, features.groups
    return array.reshape(-1, array.shape[-1]), [group for group in features.groups for _ in range(array.shape[1])]


def measure_frechet(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """Fréchet distance, covariances divided by N."""
    from latte_eval.metrics import frechet_distance_between, frechet_uncertainty

    assert real is not None
    (fake_rows, fake_groups), (real_rows, real_groups) = feature_rows(fake), feature_rows(real)
    if not interval:
        return Measurement(frechet_distance_between(real_rows, fake_rows))
    found = frechet_uncertainty(real_rows, fake_rows, real_groups, fake_groups, progress=progress)
    return from_uncertainty(found.to_dict())


def from_uncertainty(found: dict[str, Any]) -> Measurement:
    """A measurement from the dictionary of an `Uncertainty`; what `Result` has no field for goes to the details."""
    known = {name: found.pop(name) for name in ("interval", "standard_error", "corrected", "floor")}
    return Measurement(found.pop("value"), **known, details=found)


def measure_kernel(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """Unbiased squared maximum mean discrepancy of all clips (KVD), degree 3."""
    from latte_eval.metrics import kernel_distance, kernel_uncertainty

    assert real is not None
    (fake_rows, fake_groups), (real_rows, real_groups) = feature_rows(fake), feature_rows(real)
    if not interval:
        return Measurement(kernel_distance(real_rows, fake_rows))
    found = kernel_uncertainty(real_rows, fake_rows, real_groups, fake_groups, progress=progress)
    return from_uncertainty(found.to_dict())


def measure_kernel_subsets(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """KID as torch-fidelity defines it: mean over 100 subsets of at most 1,000 frames, seed 2020."""
    from latte_eval.metrics import kernel_distance_subsets, kernel_uncertainty

    assert real is not None
    (fake_rows, fake_groups), (real_rows, real_groups) = feature_rows(fake), feature_rows(real)
    if not interval:
        mean, std = kernel_distance_subsets(real_rows, fake_rows)
        return Measurement(mean, details={"subsets": 100, "std": std})
    found = kernel_uncertainty(real_rows, fake_rows, real_groups, fake_groups, progress=progress, subsets=100)
    return from_uncertainty({**found.to_dict(), "subsets": 100})


def measure_inception_score(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """Inception Score over 10 splits, shuffled with seed 42 where a row is a clip (StyleGAN-V's isv2048_ucf).

    The single-split value of TGANv2 stands in the details; it is less biased at a few thousand clips.
    """
    from latte_eval.metrics import inception_score, video_inception_score

    rows = fake.outputs["probabilities"]
    score = video_inception_score if rows.ndim == 2 else inception_score
    rows = rows.reshape(-1, rows.shape[-1])
    mean, std = score(rows)
    return Measurement(mean, details={"splits": 10, "std": std, "one_split": inception_score(rows, splits=1)[0]})


METRICS: dict[str, Metric] = {
    "fvd": Metric("fvd", "Fréchet video distance", ("i3d",), "features", True, measure_frechet),
    "fid": Metric("fid", "Fréchet Inception distance", ("inception",), "features", True, measure_frechet),
    "is": Metric("is", "Inception Score", ("c3d", "inception"), "probabilities", False, measure_inception_score),
    "kvd": Metric("kvd", "Kernel video distance", ("i3d",), "features", True, measure_kernel),
    "kid": Metric("kid", "Kernel Inception distance", ("inception",), "features", True, measure_kernel_subsets),
}
