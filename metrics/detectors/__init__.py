"""Detectors: uint8 clips in, features or probabilities out. Networks are imported when first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latte_eval.metrics.detectors.base import DETECTORS, Detector, open_detector

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.c3d import C3D
    from latte_eval.metrics.detectors.i3d import I3D
    from latte_eval.metrics.detectors.inception import InceptionV3

__all__ = ["C3D", "DETECTORS", "I3D", "Detector", "InceptionV3", "open_detector"]

NETWORKS = {"I3D": "i3d", "InceptionV3": "inception", "C3D": "c3d"}


def __getattr__(name: str) -> Any:
    if name not in NETWORKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{NETWORKS[name]}"), name)
