"""From a checkpoint to clips: the model, its checkpoints, the diffusion, the codec, and the sampled clip source.

Modules are imported when a name is first asked for, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte_eval.core.lazy import lazy_names

if TYPE_CHECKING:
    from latte_eval.sampler.checkpoint import Checkpoint, load_checkpoint
    from latte_eval.sampler.diffusion import make_schedule, sample_steps
    from latte_eval.sampler.latte.config import LatteConfig
    from latte_eval.sampler.latte.network import Latte
    from latte_eval.sampler.masked import sample_longer, sample_masked
    from latte_eval.sampler.samples import write_samples
    from latte_eval.sampler.settings import SamplerSettings
    from latte_eval.sampler.sources import SampledSource
    from latte_eval.sampler.vae import Codec, IdentityCodec, VaeCodec, open_codec
    from latte_eval.sampler.vdt.config import VDTConfig
    from latte_eval.sampler.vdt.network import VDT

__all__ = [
    "Checkpoint",
    "Codec",
    "IdentityCodec",
    "Latte",
    "LatteConfig",
    "SampledSource",
    "SamplerSettings",
    "VDT",
    "VDTConfig",
    "VaeCodec",
    "load_checkpoint",
    "make_schedule",
    "open_codec",
    "sample_longer",
    "sample_masked",
    "sample_steps",
    "write_samples",
]

HOMES = {
    "Checkpoint": "checkpoint",
    "Codec": "vae",
    "IdentityCodec": "vae",
    "Latte": "latte.network",
    "LatteConfig": "latte.config",
    "SampledSource": "sources",
    "SamplerSettings": "settings",
    "VDT": "vdt.network",
    "VDTConfig": "vdt.config",
    "VaeCodec": "vae",
    "load_checkpoint": "checkpoint",
    "make_schedule": "diffusion",
    "open_codec": "vae",
    "sample_longer": "masked",
    "sample_masked": "masked",
    "sample_steps": "diffusion",
    "write_samples": "samples",
}

__getattr__, __dir__ = lazy_names(__name__, HOMES)
