"""From a checkpoint to clips: the model, its checkpoints, the diffusion, the codec, and the sampled clip source.

Modules are imported when a name is first asked for, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latte_eval.sampler.checkpoint import Checkpoint, load_checkpoint
    from latte_eval.sampler.codec import Codec, IdentityCodec, VaeCodec, open_codec
    from latte_eval.sampler.config import LatteConfig
    from latte_eval.sampler.diffusion import make_schedule, sample_steps
    from latte_eval.sampler.latte import Latte
    from latte_eval.sampler.settings import SamplerSettings
    from latte_eval.sampler.source import SampledSource
    from latte_eval.sampler.write import write_samples

__all__ = [
    "Checkpoint",
    "Codec",
    "IdentityCodec",
    "Latte",
    "LatteConfig",
    "SampledSource",
    "SamplerSettings",
    "VaeCodec",
    "load_checkpoint",
    "make_schedule",
    "open_codec",
    "sample_steps",
    "write_samples",
]

MODULES = {
    "Checkpoint": "checkpoint",
    "Codec": "codec",
    "IdentityCodec": "codec",
    "Latte": "latte",
    "LatteConfig": "config",
    "SampledSource": "source",
    "SamplerSettings": "settings",
    "VaeCodec": "codec",
    "load_checkpoint": "checkpoint",
    "make_schedule": "diffusion",
    "open_codec": "codec",
    "sample_steps": "diffusion",
    "write_samples": "write",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
