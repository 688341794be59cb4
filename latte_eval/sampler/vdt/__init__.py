"""VDT, the video diffusion transformer with masks (Lu et al., ICLR 2024, arXiv 2305.13311).

Written from a description of the network of RERV/VDT@cdbad2b, whose code is CC BY-NC 4.0 and of which nothing is here.
Names are imported when they are first asked for: importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte_eval.core.lazy import lazy_names

if TYPE_CHECKING:
    from latte_eval.sampler.vdt.config import VDTConfig, vdt_config
    from latte_eval.sampler.vdt.network import VDT

__all__ = ["VDT", "VDTConfig", "vdt_config"]

__getattr__, __dir__ = lazy_names(__name__, {"VDT": "network", "VDTConfig": "config", "vdt_config": "config"})
