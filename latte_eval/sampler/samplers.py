"""The samplers, one row each. Nothing here imports torch: the names are listed in `--help`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latte_eval.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SamplerRow:
    """One sampler by name.

    Attributes:
        steps: takes (denoiser, x, schedule, step_noise, eta=, clip_x0=) and yields (x, predicted clean x); or
            "module:function".
        scheduler: the class of diffusers that does the same for a text-to-video pipeline; None where there is none.
    """

    steps: Callable[..., Iterator[tuple[Tensor, Tensor]]] | str
    scheduler: str | None = None


SAMPLERS: Registry[SamplerRow] = Registry(
    "sampler",
    {
        "ddpm": SamplerRow("latte_eval.sampler.diffusion:ddpm_steps", "DDPMScheduler"),
        "ddim": SamplerRow("latte_eval.sampler.diffusion:ddim_steps", "DDIMScheduler"),
        "dpmsolver++": SamplerRow("latte_eval.sampler.solvers:dpmsolver_steps", "DPMSolverMultistepScheduler"),
        "unipc": SamplerRow("latte_eval.sampler.solvers:unipc_steps", "UniPCMultistepScheduler"),
    },
)
