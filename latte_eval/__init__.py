"""latte-eval: evaluation and benchmarking of Latte video diffusion checkpoints.

The names below are the public ones, with `latte_eval.sampler`, `latte_eval.metrics` and `latte_eval.metrics.detectors`;
everything else may change. They are imported when they are first asked for: importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latte_eval.compare.results import load_results
    from latte_eval.core.clips import Clips, ClipSource, Rejected
    from latte_eval.core.errors import LatteEvalError
    from latte_eval.core.progress import Reporter
    from latte_eval.core.protocol import Protocol
    from latte_eval.core.protocols import named_protocol
    from latte_eval.core.result import Result
    from latte_eval.evaluation.pipeline import evaluate
    from latte_eval.evaluation.request import Request

from latte_eval.core import clips

__version__ = "0.1.0"

# The name by which version 0.1 and its docs called this module.
sys.modules[f"{__name__}.clips"] = clips

__all__ = [
    "ClipSource",
    "Clips",
    "LatteEvalError",
    "Protocol",
    "Rejected",
    "Reporter",
    "Request",
    "Result",
    "evaluate",
    "load_results",
    "named_protocol",
]

# No public name may equal the name of a folder here: importing the folder would replace it.
HOMES = {
    "ClipSource": "core.clips",
    "Clips": "core.clips",
    "LatteEvalError": "core.errors",
    "Protocol": "core.protocol",
    "Rejected": "core.clips",
    "Reporter": "core.progress",
    "Request": "evaluation.request",
    "Result": "core.result",
    "evaluate": "evaluation.pipeline",
    "load_results": "compare.results",
    "named_protocol": "core.protocols",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
