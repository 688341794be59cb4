"""Gaussian diffusion for sampling: the linear schedule, iDDPM respacing, DDPM and DDIM loops.

DDPM: Ho et al. 2020. Learned-range variance and fractional respacing: Nichol and Dhariwal 2021. DDIM: Song et
al. 2021. Coefficients are computed in float64 and applied in float32, as the published sampler does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.errors import SamplerError
from latte_eval.core.registry import import_target
from latte_eval.sampler.samplers import SAMPLERS

TRAINING_STEPS = 1000

# Of weights and activations; the state of the diffusion is float32.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# x [N, ...], timesteps [N] -> noise and variance logits. Timesteps are on the CPU: a denoiser may read them without
# waiting for a GPU, and moves them to its model.
Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Schedule:
    """A respaced schedule; all arrays are float64 of length `steps`, in ascending time."""

    timesteps: np.ndarray  # int64, the original timestep 0..999 that the model sees
    betas: np.ndarray
    alphas_cumprod: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.betas)

    @property
    def alphas_cumprod_prev(self) -> np.ndarray:
        return np.append(1.0, self.alphas_cumprod[:-1])

    @property
    def posterior_variance(self) -> np.ndarray:
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @property
    def posterior_log_variance_clipped(self) -> np.ndarray:
        """Entry 0, where the posterior variance is zero, takes the value of entry 1."""
        variance = self.posterior_variance
        return np.log(np.append(variance[min(1, self.steps - 1)], variance[1:]))

    @property
    def posterior_mean_coef1(self) -> np.ndarray:
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @property
    def posterior_mean_coef2(self) -> np.ndarray:
        return (1 - self.alphas_cumprod_prev) * np.sqrt(1 - self.betas) / (1 - self.alphas_cumprod)


def respaced_timesteps(steps: int) -> np.ndarray:  # -> [steps] int64
    """Fractional striding from 0 to 999 inclusive, rounding halves to even."""
    if not 2 <= steps <= TRAINING_STEPS:
        raise SamplerError(f"--steps {steps} is outside 2..{TRAINING_STEPS}")
    stride = (TRAINING_STEPS - 1) / (steps - 1)
    # A running sum, not i * stride: its rounding decides the ties.
    position, timesteps = 0.0, []
    for _ in range(steps):
        timesteps.append(round(position))
        position += stride
    return np.array(timesteps, dtype=np.int64)


def make_schedule(steps: int = TRAINING_STEPS) -> Schedule:
    """The linear schedule 1e-4..0.02 over 1000 steps, respaced to `steps`."""
    return schedule_at(respaced_timesteps(steps))


def schedule_at(timesteps: np.ndarray) -> Schedule:  # [steps] int64, ascending
    """The linear schedule respaced to given timesteps."""
    alphas_cumprod = np.cumprod(1 - np.linspace(1e-4, 0.02, TRAINING_STEPS))
    kept = alphas_cumprod[timesteps]
    betas = 1 - kept / np.append(1.0, kept[:-1])
    return Schedule(timesteps, betas, np.cumprod(1 - betas))


@dataclass(frozen=True)
class Prediction:
    """What the model says about x at one step; all shaped like x, float32."""

    x0: Tensor
    mean: Tensor
    log_variance: Tensor


def predict(denoiser: Denoiser, schedule: Schedule, x: Tensor, i: int, clip_x0: bool = False) -> Prediction:
    """Clean x, posterior mean and learned-range log variance at step index i. # x [N, T, C, H, W]"""
    timesteps = torch.full((x.shape[0],), int(schedule.timesteps[i]))
    out = denoiser(x, timesteps).float()
    noise, logits = out[:, :, : x.shape[2]], out[:, :, x.shape[2] :]
    abar = schedule.alphas_cumprod[i]
    x0 = f32(np.sqrt(1 / abar)) * x - f32(np.sqrt(1 / abar - 1)) * noise
    x0 = x0.clamp(-1, 1) if clip_x0 else x0
    mean = f32(schedule.posterior_mean_coef1[i]) * x0 + f32(schedule.posterior_mean_coef2[i]) * x
    low, high = f32(schedule.posterior_log_variance_clipped[i]), f32(np.log(schedule.betas[i]))
    share = (logits + 1) / 2
    # Without variance logits the posterior variance stands in for them.
    log_variance = share * high + (1 - share) * low if logits.numel() else torch.full_like(x, low)
    return Prediction(x0, mean, log_variance)


def f32(value: float) -> float:
    """A float64 coefficient rounded to float32, as the published sampler applies it."""
    return float(np.float32(value))


def ddpm_step(prediction: Prediction, noise: Tensor, i: int) -> Tensor:
    """One ancestral step; no noise is added at the last one."""
    if i == 0:
        return prediction.mean
    return prediction.mean + torch.exp(0.5 * prediction.log_variance) * noise


def ddim_step(prediction: Prediction, schedule: Schedule, x: Tensor, noise: Tensor, i: int, eta: float) -> Tensor:
    """One DDIM step; eta 0 is deterministic, eta 1 has DDPM's noise."""
    abar, previous = schedule.alphas_cumprod[i], schedule.alphas_cumprod_prev[i]
    epsilon = (f32(np.sqrt(1 / abar)) * x - prediction.x0) / f32(np.sqrt(1 / abar - 1))
    sigma = eta * np.sqrt((1 - previous) / (1 - abar)) * np.sqrt(1 - abar / previous)
    mean = f32(np.sqrt(previous)) * prediction.x0 + f32(np.sqrt(1 - previous - sigma**2)) * epsilon
    return mean + f32(sigma) * noise if i and sigma else mean


def ddpm_steps(
    denoiser: Denoiser, x: Tensor, schedule: Schedule, step_noise: Callable[[int], Tensor], *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Ancestral sampling."""
    for k, i in enumerate(reversed(range(schedule.steps))):
        prediction = predict(denoiser, schedule, x, i, clip_x0)
        x = ddpm_step(prediction, step_noise(k), i) if i else prediction.mean
        yield x, prediction.x0


def ddim_steps(
    denoiser: Denoiser, x: Tensor, schedule: Schedule, step_noise: Callable[[int], Tensor], *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """DDIM sampling, deterministic unless eta is positive."""
    for k, i in enumerate(reversed(range(schedule.steps))):
        prediction = predict(denoiser, schedule, x, i, clip_x0)
        noise = step_noise(k) if i and eta else torch.zeros_like(x)
        x = ddim_step(prediction, schedule, x, noise, i, eta)
        yield x, prediction.x0


def sample_steps(
    denoiser: Denoiser,
    x: Tensor,
    schedule: Schedule,
    step_noise: Callable[[int], Tensor],
    *,
    sampler: str = "ddpm",
    eta: float = 0.0,
    clip_x0: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Run the reverse process from noise x, yielding (x, predicted clean x) after every step.

    Args:
        denoiser: `(x, timesteps) -> [N, T, 2C, H, W]`, timesteps [N] on the CPU.
        x: starting noise, [N, T, C, H, W] float32.
        step_noise: k -> noise shaped like x; k = 0 is the first step taken, at the largest timestep. It is called
            only for steps that use it: never the last one, and none of DDIM with eta 0.
        sampler: a name in `SAMPLERS`. The solvers take the number of steps from the schedule and choose their own
            timesteps; they draw no noise.
        eta: noise share of DDIM; the others have none.
        clip_x0: clamp the predicted clean x to -1..1. Published checkpoints are sampled without it.

    Raises:
        UsageError: no such sampler.
    """
    steps = SAMPLERS[sampler].steps
    take_steps = import_target(steps) if isinstance(steps, str) else steps
    yield from take_steps(denoiser, x, schedule, step_noise, eta=eta, clip_x0=clip_x0)
