"""Features to metrics: which detector a metric needs, and its value with how sure it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latte_eval.extract import Features


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
        detector: default detector; any of its family can take its place.
        outputs: which output of the detector it reads.
        measure: (fake, real or None, with_interval, progress) -> Measurement.
    """

    name: str
    title: str
    detector: str
    needs_real: bool
    outputs: tuple[str, ...]
    measure: Callable[[Features, Features | None, bool, Progress], Measurement]

    @property
    def family(self) -> str:
        return self.detector.removesuffix("-seeded")


Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Takes (done, total) and shows nothing."""


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
        return with_uncertainty(found.to_dict(), real_rows, real_groups)
    if max(len(real_rows), len(fake_rows)) < real_rows.shape[1]:
        return Measurement(frechet_distance_from_features(real_rows, fake_rows))
    return Measurement(frechet_distance(Moments.from_features(real_rows), Moments.from_features(fake_rows)))


def with_uncertainty(found: dict[str, Any], real_rows: np.ndarray, real_groups: list[str]) -> Measurement:
    """A measurement from the dictionary of an `Uncertainty`, with the floor of the real side beside it."""
    known = {key: found.pop(key, None) for key in ("value", "interval", "standard_error", "corrected", "floor")}
    return Measurement(**known, details=found)


def measure_kernel(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    raise NotImplementedError


METRICS: dict[str, Metric] = {
    "fvd": Metric("fvd", "Fréchet video distance", "i3d", True, ("features",), measure_frechet),
}
