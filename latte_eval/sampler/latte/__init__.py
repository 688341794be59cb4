"""Latte, the latent diffusion transformer for video (Ma et al. 2024, arXiv 2401.03048), and its whole family.

Names are imported when they are first asked for: importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte_eval.core.lazy import lazy_names

if TYPE_CHECKING:
    from latte_eval.sampler.latte.config import LatteConfig, latte_config
    from latte_eval.sampler.latte.network import Latte

__all__ = ["Latte", "LatteConfig", "latte_config"]

__getattr__, __dir__ = lazy_names(__name__, {"Latte": "network", "LatteConfig": "config", "latte_config": "config"})
