"""Metrics on features: distances, scores and their uncertainty. Names load on first use, torch is never needed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte_eval.core.lazy import lazy_names

if TYPE_CHECKING:
    from latte_eval.metrics.balls import PrecisionRecall as PrecisionRecall
    from latte_eval.metrics.balls import precision_recall as precision_recall
    from latte_eval.metrics.contrast import Contrast as Contrast
    from latte_eval.metrics.contrast import contrast_uncertainty as contrast_uncertainty
    from latte_eval.metrics.displacement import Displacement as Displacement
    from latte_eval.metrics.displacement import frechet_displacement as frechet_displacement
    from latte_eval.metrics.estimate import Corrected as Corrected
    from latte_eval.metrics.estimate import Floor as Floor
    from latte_eval.metrics.estimate import Uncertainty as Uncertainty
    from latte_eval.metrics.frechet import FrechetTerms as FrechetTerms
    from latte_eval.metrics.frechet import frechet_distance as frechet_distance
    from latte_eval.metrics.frechet import frechet_distance_between as frechet_distance_between
    from latte_eval.metrics.frechet import frechet_distance_from_features as frechet_distance_from_features
    from latte_eval.metrics.frechet import frechet_terms as frechet_terms
    from latte_eval.metrics.frechet import frechet_terms_from_features as frechet_terms_from_features
    from latte_eval.metrics.inception_scores import inception_score as inception_score
    from latte_eval.metrics.inception_scores import video_inception_score as video_inception_score
    from latte_eval.metrics.influence import influence_values as influence_values
    from latte_eval.metrics.kernel import PolynomialKernel as PolynomialKernel
    from latte_eval.metrics.kernel import jedi_distance as jedi_distance
    from latte_eval.metrics.kernel import kernel_distance as kernel_distance
    from latte_eval.metrics.kernel import kernel_distance_subsets as kernel_distance_subsets
    from latte_eval.metrics.moments import Moments as Moments
    from latte_eval.metrics.neighbours import nearest as nearest
    from latte_eval.metrics.neighbours import nearest_within as nearest_within
    from latte_eval.metrics.uncertainty import frechet_uncertainty as frechet_uncertainty
    from latte_eval.metrics.uncertainty import kernel_uncertainty as kernel_uncertainty
    from latte_eval.metrics.uncertainty import real_floor as real_floor

PUBLIC = {
    "contrast": ("Contrast", "contrast_uncertainty"),
    "displacement": ("Displacement", "frechet_displacement"),
    "estimate": ("Corrected", "Floor", "Uncertainty"),
    "frechet": (
        "FrechetTerms", "frechet_distance", "frechet_distance_between",
        "frechet_distance_from_features", "frechet_terms", "frechet_terms_from_features",
    ),
    "inception_scores": ("inception_score", "video_inception_score"),
    "influence": ("influence_values",),
    "kernel": ("PolynomialKernel", "jedi_distance", "kernel_distance", "kernel_distance_subsets"),
    "moments": ("Moments",),
    "neighbours": ("nearest", "nearest_within"),
    "balls": ("PrecisionRecall", "precision_recall"),
    "uncertainty": ("frechet_uncertainty", "kernel_uncertainty", "real_floor"),
}  # fmt: skip
HOMES = {name: module for module, names in PUBLIC.items() for name in names}

__getattr__, __dir__ = lazy_names(__name__, HOMES)
