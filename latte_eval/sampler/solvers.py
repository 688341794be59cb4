"""Fast solvers of the probability flow: DPM-Solver++ (Lu et al. 2022) and UniPC (Zhao et al. 2023), by diffusers.

They see the model through its noise channels alone; the learned variance plays no part, and no noise is drawn, so a
clip is a function of its starting noise. Both are of second order and take the last step down to clean latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from latte_eval.core.errors import SamplerError
from latte_eval.sampler.diffusion import TRAINING_STEPS, Denoiser, Schedule, predict, schedule_at

# The solvers are handed the predicted clean x, which `predict` computes from float64 coefficients and may clip.
LINEAR: dict[str, Any] = {
    "num_train_timesteps": TRAINING_STEPS,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "prediction_type": "sample",
    "timestep_spacing": "linspace",
}


def dpmsolver_steps(
    denoiser: Denoiser, x: Tensor, schedule: Schedule, step_noise: Callable[[int], Tensor], *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """DPM-Solver++(2M)."""
    scheduler = DPMSolverMultistepScheduler(**LINEAR, algorithm_type="dpmsolver++")
    return solver_steps(scheduler, denoiser, x, schedule.steps, clip_x0)


def unipc_steps(
    denoiser: Denoiser, x: Tensor, schedule: Schedule, step_noise: Callable[[int], Tensor], *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """UniPC-2 (B2), predictor and corrector."""
    return solver_steps(UniPCMultistepScheduler(**LINEAR), denoiser, x, schedule.steps, clip_x0)


def solver_steps(
    scheduler: Any, denoiser: Denoiser, x: Tensor, steps: int, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Drive a diffusers scheduler that takes predictions of the clean x; yields (x, predicted clean x)."""
    if steps >= TRAINING_STEPS:
        raise SamplerError(f"--steps {steps} is too many for a fast solver: at most {TRAINING_STEPS - 1}")
    scheduler.set_timesteps(steps)
    schedule = schedule_at(np.sort(scheduler.timesteps.numpy()))
    for i, timestep in zip(reversed(range(steps)), scheduler.timesteps, strict=True):
        x0 = predict(denoiser, schedule, x, i, clip_x0).x0
        x = scheduler.step(x0, timestep, x).prev_sample
        yield x, x0
