"""`SamplerSettings`: how a checkpoint is sampled, checked before anything is sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from latte_eval.core.choices import check_choice
from latte_eval.core.errors import SamplerError
from latte_eval.sampler.diffusion import respaced_timesteps
from latte_eval.sampler.guidance import Guidance
from latte_eval.sampler.model import ModelConfig
from latte_eval.sampler.samplers import SAMPLERS

DTYPES = ("fp32", "bf16", "fp16")
LABEL_MODES = ("uniform", "balanced", "dataset")


@dataclass(frozen=True)
class SamplerSettings:
    """How a checkpoint is sampled. Together with the checkpoint and the codec it determines every clip.

    Attributes:
        method: `ddpm` (ancestral, learned-range variance), `ddim`, or another name in `SAMPLERS`.
        steps: 2..1000, spaced evenly over the training steps, both ends included.
        guidance_scale: of classifier-free guidance; 1 is no guidance.
        eta: noise share of DDIM, 0..1.
        clip_x0: clamp the predicted clean latents to -1..1. Published checkpoints are sampled without it.
        dtype: of weights and activations: `fp32`, `bf16` or `fp16`; the state of the diffusion stays float32.
        seed: clip i is a function of (seed, i).
        label_mode: classes of a class-conditional checkpoint: `uniform` (drawn with the clip's own noise, as
            published), `balanced` (every class once in each sequence of as many clips as classes), or `dataset` (drawn
            by `label_frequencies`).
        label_frequencies: for `dataset`, the share of every class, in order; any positive scale.
        guidance_interval: (low, high) noise levels between which guidance acts; None is everywhere.

    Raises:
        SamplerError: a value that does not exist or is out of range.
    """

    method: str = "ddpm"
    steps: int = 250
    guidance_scale: float = 1.0
    eta: float = 0.0
    clip_x0: bool = False
    dtype: str = "fp32"
    seed: int = 0
    label_mode: str = "uniform"
    label_frequencies: tuple[float, ...] | None = None
    guidance_interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_choice("--sampler", self.method, SAMPLERS, SamplerError)
        check_choice("--dtype", self.dtype, DTYPES, SamplerError)
        check_choice("labels", self.label_mode, LABEL_MODES, SamplerError)
        respaced_timesteps(self.steps)
        if not math.isfinite(self.guidance_scale) or self.guidance_scale < 0:
            raise SamplerError(f"--guidance-scale {self.guidance_scale} must be a finite number, 0 or more")
        if not 0 <= self.eta <= 1:
            raise SamplerError(f"--eta {self.eta} is outside 0..1")
        if self.eta and self.method != "ddim":
            raise SamplerError(f"--eta {self.eta} belongs to --sampler ddim; {self.method} has none")
        self.check_frequencies()
        _ = self.guidance

    @property
    def guidance(self) -> Guidance:
        """Scale and interval together. Raises `SamplerError` for an empty interval."""
        return Guidance(self.guidance_scale, self.guidance_interval)

    def check_frequencies(self) -> None:
        """Frequencies go with `dataset` alone; the model decides whether they are needed."""
        frequencies = self.label_frequencies
        if frequencies is None:
            return
        if self.label_mode != "dataset":
            raise SamplerError(f"labels {self.label_mode!r} came with label frequencies; `dataset` alone takes them")
        if not (min(frequencies, default=-1) >= 0 and 0 < sum(frequencies) < math.inf):
            raise SamplerError("label frequencies must be finite, none negative and not all zero")

    def check_model(self, config: ModelConfig) -> None:
        """Raise `SamplerError` for settings that this model cannot serve."""
        if config.classes is None and self.guidance_scale != 1:
            raise SamplerError(
                f"--guidance-scale {self.guidance_scale:g} needs a class-conditional checkpoint, "
                f"{config.unguided}; use 1"
            )
        if not config.null_row and self.guidance_scale != 1:
            raise SamplerError(
                f"--guidance-scale {self.guidance_scale:g} needs a null class, and the label table of this checkpoint "
                f"has its {config.classes} classes alone; use 1"
            )
        known = len(self.label_frequencies or ())
        if config.classes is not None and self.label_mode == "dataset" and known != config.classes:
            raise SamplerError(
                f"labels 'dataset' came with {known} label frequencies, the checkpoint has {config.classes} classes; "
                "labels 'uniform' needs none"
            )
