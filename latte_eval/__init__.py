"""latte-eval: evaluation and benchmarking of Latte video diffusion checkpoints.

The names below are the public ones, with `latte_eval.sampler`, `latte_eval.metrics` and `latte_eval.metrics.detectors`;
everything else may change. They are imported when they are first asked for: importing the package costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latte_eval.compare.frame import results_frame
    from latte_eval.compare.results import load_results
    from latte_eval.core.clips import Clips, ClipSource, Rejected
    from latte_eval.core.errors import LatteEvalError
    from latte_eval.core.progress import Reporter
    from latte_eval.core.protocol import Protocol
    from latte_eval.core.protocols import named_protocol
    from latte_eval.core.result import Result
    from latte_eval.evaluation.metric_classes import FID, FVD, KVD, VideoInceptionScore
    from latte_eval.evaluation.one_line import fid, fvd, inception_score
    from latte_eval.evaluation.pipeline import evaluate
    from latte_eval.evaluation.request import Request

from latte_eval.core import clips
from latte_eval.core.lazy import lazy_names

__version__ = "0.1.0"

# The name by which version 0.1 and its docs called this module.
sys.modules[f"{__name__}.clips"] = clips

__all__ = [
    "FID",
    "FVD",
    "KVD",
    "ClipSource",
    "Clips",
    "LatteEvalError",
    "Protocol",
    "Rejected",
    "Reporter",
    "Request",
    "Result",
    "VideoInceptionScore",
    "evaluate",
    "fid",
    "fvd",
    "inception_score",
    "load_results",
    "named_protocol",
    "results_frame",
]

HOMES = {
    "FID": "evaluation.metric_classes",
    "FVD": "evaluation.metric_classes",
    "KVD": "evaluation.metric_classes",
    "ClipSource": "core.clips",
    "Clips": "core.clips",
    "LatteEvalError": "core.errors",
    "Protocol": "core.protocol",
    "Rejected": "core.clips",
    "Reporter": "core.progress",
    "Request": "evaluation.request",
    "Result": "core.result",
    "VideoInceptionScore": "evaluation.metric_classes",
    "evaluate": "evaluation.pipeline",
    "fid": "evaluation.one_line",
    "fvd": "evaluation.one_line",
    "inception_score": "evaluation.one_line",
    "load_results": "compare.results",
    "named_protocol": "core.protocols",
    "results_frame": "compare.frame",
}

__getattr__, __dir__ = lazy_names(__name__, HOMES)
