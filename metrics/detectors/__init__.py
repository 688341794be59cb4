"""Detectors: uint8 clips in, features or probabilities out. Networks are imported when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte_eval.core.lazy import lazy_names
from latte_eval.metrics.detectors.base import DETECTORS, Detector, open_detector

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.c3d import C3D
    from latte_eval.metrics.detectors.clean_fid import clean_resize
    from latte_eval.metrics.detectors.i3d import I3D
    from latte_eval.metrics.detectors.inception import InceptionV3
    from latte_eval.metrics.detectors.videomae import VideoMAE

__all__ = ["C3D", "DETECTORS", "I3D", "Detector", "InceptionV3", "VideoMAE", "clean_resize", "open_detector"]

HOMES = {"I3D": "i3d", "InceptionV3": "inception", "C3D": "c3d", "VideoMAE": "videomae", "clean_resize": "clean_fid"}
__getattr__, __dir__ = lazy_names(__name__, HOMES)
