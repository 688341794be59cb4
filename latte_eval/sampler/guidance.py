"""Classifier-free guidance, constant or in a limited interval of noise levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from latte_eval.core.errors import SamplerError
from latte_eval.sampler.diffusion import Denoiser, make_schedule
from latte_eval.sampler.model import VideoModel


@dataclass(frozen=True)
class Guidance:
    """How strongly, and at which noise levels, clips are guided to their class.

    Attributes:
        scale: 1 is no guidance.
        interval: (low, high) noise levels sigma = sqrt((1 - abar) / abar); guidance acts where low < sigma <= high,
            and elsewhere the conditional model runs alone (Kynkäänniemi et al. 2024). None is everywhere.

    Raises:
        SamplerError: an empty interval.
    """

    scale: float = 1.0
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.interval and not 0 <= self.interval[0] < self.interval[1]:
            low, high = self.interval
            raise SamplerError(f"the guidance interval {low:g} to {high:g} is empty: give LOW,HIGH, 0 <= LOW < HIGH")

    def scale_at(self, timestep: int) -> float:
        """The scale at one of the original timesteps 0..999."""
        if self.interval is None:
            return self.scale
        low, high = self.interval
        return self.scale if low < noise_level(timestep) <= high else 1.0


def noise_level(timestep: int) -> float:
    """sigma = sqrt((1 - abar) / abar) of an original timestep: 0.01 at 0, 157 at 999."""
    abar = make_schedule().alphas_cumprod[timestep]
    return float(np.sqrt((1 - abar) / abar))


def guided_denoiser(model: VideoModel, labels: Tensor | None, guidance: Guidance) -> Denoiser:
    """The denoiser that the samplers take, from a model, labels [N] and guidance.

    Raises:
        SamplerError: guidance without classes, or labels on the CPU outside them.
    """
    if model.config.classes is None:
        if guidance.scale != 1:
            raise SamplerError(f"guidance needs a class-conditional checkpoint, {model.config.unguided}")
        return lambda x, timesteps: model(x, on_device(timesteps, x))
    if labels is None:
        raise SamplerError(f"this checkpoint has {model.config.classes} classes: its clips need labels")
    model.check_labels(labels)

    def denoiser(x: Tensor, timesteps: Tensor) -> Tensor:
        scale = guidance.scale if guidance.interval is None else guidance.scale_at(step_of(timesteps))
        return model.guided_forward(x, on_device(timesteps, x), labels, scale)

    return denoiser


def step_of(timesteps: Tensor) -> int:  # [N], on the CPU
    """The timestep that all clips of a step share."""
    return int(timesteps[0])


def on_device(timesteps: Tensor, x: Tensor) -> Tensor:
    """Timesteps where x is; the host does not wait for the copy."""
    return timesteps.to(x.device, non_blocking=True)


def parse_interval(text: str) -> tuple[float, float]:
    """`0.3,5` -> (0.3, 5.0). Raises `SamplerError`."""
    low, comma, high = text.partition(",")
    try:
        return float(low), float(high if comma else "")
    except ValueError as error:
        raise SamplerError(f"--guidance-interval {text!r} must read LOW,HIGH, such as 0.3,5") from error
