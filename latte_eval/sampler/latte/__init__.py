"""Latte, the latent diffusion transformer for video (Ma et al. 2024, arXiv 2401.03048), and its whole family.

Names are imported when they are first asked for: importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latte_eval.sampler.latte.config import LatteConfig, latte_config
    from latte_eval.sampler.latte.network import Latte

__all__ = ["Latte", "LatteConfig", "latte_config"]

MODULES = {"Latte": "network", "LatteConfig": "config", "latte_config": "config"}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
