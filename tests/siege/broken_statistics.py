"""A mistake for each property of distances.py: in the function that the property asks, or in one below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from latte_eval.metrics import frechet
from latte_eval.metrics.frechet import frechet_distance_from_features
from latte_eval.metrics.inception_scores import inception_score
from latte_eval.metrics.kernel import POLYNOMIAL, biased_mmd
from latte_eval.metrics.moments import Moments
from latte_eval.metrics.uncertainty import frechet_uncertainty
from siege import distances

moments_of = Moments.from_features


def add_as_if_of_one_origin(one: Moments, two: Moments) -> Moments:
    return Moments(one.n + two.n, one.sum + two.sum, one.outer + two.outer, one.origin)


def interval_of_first_rows(real: Any, fake: Any, *groups: list[str]) -> Any:
    """More clips change nothing."""
    return frechet_uncertainty(real[:32], fake[:32], *(each[:32] for each in groups))


# Property -> object, name of its attribute, and what takes its place.
BREAKS: dict[Callable[..., None], tuple[Any, str, Any]] = {
    distances.both_forms_agree: (
        distances, "frechet_distance_from_features", lambda a, b: frechet_distance_from_features(a, b, ddof=1)),
    distances.the_distance_is_symmetric: (
        distances, "frechet_distance_from_features",
        lambda a, b: frechet_distance_from_features(a, b[1:] if len(b) > 2 else b)),
    distances.a_set_is_at_distance_0_of_itself: (
        frechet, "root_sum", lambda values: 0.99 * float(np.sqrt(values.clip(min=0)).sum())),
    distances.order_does_not_matter: (
        Moments, "from_features", lambda rows: moments_of(rows[:-1] if len(rows) > 2 else rows)),
    distances.shards_add_up: (Moments, "__add__", add_as_if_of_one_origin),
    distances.an_offset_does_not_matter: (Moments, "from_features", lambda rows: moments_of(rows, 0.0)),
    distances.a_scale_is_squared: (
        frechet, "root_sum", lambda values: float(np.sqrt(values.clip(min=1e-2)).sum())),
    distances.the_kernel_sum_is_the_plain_one: (
        distances, "kernel_distance", lambda a, b: biased_mmd(a, b, POLYNOMIAL)),
    distances.an_interval_holds_its_value: (
        distances, "frechet_uncertainty",
        lambda *sides, confidence: frechet_uncertainty(*sides, confidence=1 - confidence)),
    distances.more_clips_make_narrower_intervals: (distances, "frechet_uncertainty", interval_of_first_rows),
    distances.the_score_has_bounds: (
        distances, "inception_score", lambda table, splits: (2 ** np.log(inception_score(table, splits)[0]), 0.0)),
}  # fmt: skip
