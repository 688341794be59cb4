"""Features to metrics: which detector a metric needs, and its value with how sure it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latte_eval.extract import Features

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
    from latte_eval.metrics import Moments, frechet_distance, frechet_distance_from_features

    assert real is not None
    (fake_rows, fake_groups), (real_rows, real_groups) = feature_rows(fake), feature_rows(real)
    if interval:
        from latte_eval.metrics.uncertainty import frechet_uncertainty

        found = frechet_uncertainty(real_rows, fake_rows, real_groups, fake_groups, progress=progress)
        return from_uncertainty(found.to_dict())
    if max(len(real_rows), len(fake_rows)) < real_rows.shape[1]:
        return Measurement(frechet_distance_from_features(real_rows, fake_rows))
    return Measurement(frechet_distance(Moments.from_features(real_rows), Moments.from_features(fake_rows)))


def from_uncertainty(found: dict[str, Any]) -> Measurement:
    """A measurement from the dictionary of an `Uncertainty`; what `Result` has no field for goes to the details."""
    known = {name: found.pop(name) for name in ("interval", "standard_error", "corrected", "floor")}
    return Measurement(found.pop("value"), **known, details=found)


METRICS: dict[str, Metric] = {
    "fvd": Metric("fvd", "Fréchet video distance", ("i3d",), "features", True, measure_frechet),
}
