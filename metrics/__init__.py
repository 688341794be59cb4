"""Metrics on features: distances, scores and their uncertainty. Names load on first use, torch is never needed here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latte_eval.metrics.frechet import FrechetTerms as FrechetTerms
    from latte_eval.metrics.frechet import frechet_distance as frechet_distance
    from latte_eval.metrics.frechet import frechet_distance_from_features as frechet_distance_from_features
    from latte_eval.metrics.frechet import frechet_terms as frechet_terms
    from latte_eval.metrics.frechet import frechet_terms_from_features as frechet_terms_from_features
    from latte_eval.metrics.moments import Moments as Moments

# No public name may equal the name of a module in this folder: importing that module would replace it.
PUBLIC = {
    "frechet": (
        "FrechetTerms", "frechet_distance", "frechet_distance_from_features", "frechet_terms",
        "frechet_terms_from_features",
    ),
    "moments": ("Moments",),
}  # fmt: skip
HOMES = {name: f"latte_eval.metrics.{module}" for module, names in PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
