"""Fast solvers of the probability flow: DPM-Solver++ (Lu et al. 2022) and UniPC (Zhao et al. 2023).

They see the model through its noise channels alone; the learned variance plays no part, and no noise is drawn, so a
clip is a function of its starting noise. Both are of second order and take the last step down to clean latents. As in
`diffusion.py`, coefficients are computed in float64 on the host and applied in float32: nothing waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from latte_eval.core.errors import SamplerError
from latte_eval.sampler.diffusion import TRAINING_STEPS, Denoiser, Schedule, f32, predict, schedule_at


@dataclass(frozen=True)
class Grid:
    """The noise levels that a solver passes, from pure noise down to clean latents; float64 of length steps + 1.

    x = alpha * clean + sigma * noise, and half_snr = log(alpha / sigma), infinite at the end.
    """

    schedule: Schedule
    alpha: np.ndarray
    sigma: np.ndarray
    half_snr: np.ndarray

    @property
    def steps(self) -> int:
        return self.schedule.steps

    def order(self, k: int) -> int:
        """Of step k: the first knows no earlier prediction, and the last one is infinitely long."""
        return 2 if 0 < k < self.steps - 1 else 1

    def carry(self, k: int) -> float:
        """What step k keeps of x."""
        return float(self.sigma[k + 1] / self.sigma[k])

    def gain(self, k: int) -> float:
        """What step k adds of a constant prediction: alpha * (1 - e^-h), h being its length in half_snr."""
        return float(self.alpha[k + 1] * -np.expm1(-self.length(k)))

    def length(self, k: int) -> float:
        return float(self.half_snr[k + 1] - self.half_snr[k])

    def back(self, k: int) -> float:
        """Where the prediction before that of step k lies, in lengths of step k: a negative number."""
        return -self.length(k - 1) / self.length(k)


def solver_grid(steps: int) -> Grid:
    """Timesteps spaced evenly from 999 down, 0 left out. Raises `SamplerError` for more than there are."""
    if steps >= TRAINING_STEPS:
        raise SamplerError(f"--steps {steps} is too many for a fast solver: at most {TRAINING_STEPS - 1}")
    schedule = schedule_at(np.linspace(0, TRAINING_STEPS - 1, steps + 1).round()[1:].astype(np.int64))
    kept = np.append(schedule.alphas_cumprod[::-1], 1.0)
    alpha, sigma = np.sqrt(kept), np.sqrt(1 - kept)
    with np.errstate(divide="ignore"):
        return Grid(schedule, alpha, sigma, np.log(alpha) - np.log(sigma))


def dpmsolver_steps(
    denoiser: Denoiser, x: Tensor, schedule: Schedule, step_noise: Callable[[int], Tensor], *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """DPM-Solver++(2M)."""
    grid, older = solver_grid(schedule.steps), x
    for k in range(grid.steps):
        x0 = predict(denoiser, grid.schedule, x, grid.steps - 1 - k, clip_x0).x0
        x, older = extrapolated(grid, k, x, x0, older), x0
        yield x, x0


def unipc_steps(
    denoiser: Denoiser, x: Tensor, schedule: Schedule, step_noise: Callable[[int], Tensor], *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """UniPC-2 with B(h) = e^h - 1: every step corrects the one before with the prediction that it needs anyway."""
    grid, start, newer, older = solver_grid(schedule.steps), x, x, x
    for k in range(grid.steps):
        x0 = predict(denoiser, grid.schedule, x, grid.steps - 1 - k, clip_x0).x0
        start = corrected(grid, k - 1, start, x0, newer, older) if k else x
        newer, older = x0, newer
        x = extrapolated(grid, k, start, newer, older)
        yield x, x0


def extrapolated(grid: Grid, k: int, x: Tensor, x0: Tensor, older: Tensor) -> Tensor:
    """Step k from its own prediction and, where there is one, the prediction before."""
    slope = 0.5 / grid.back(k) if grid.order(k) == 2 else 0.0
    out = f32(grid.carry(k)) * x + f32(grid.gain(k) * (1 - slope)) * x0
    return out + f32(grid.gain(k) * slope) * older if slope else out


def corrected(grid: Grid, k: int, x: Tensor, after: Tensor, x0: Tensor, older: Tensor) -> Tensor:
    """Step k once more, now that the prediction `after` it is known."""
    gain, (behind, ahead) = grid.gain(k), corrector_weights(grid, k)
    slope = behind / grid.back(k) if behind else 0.0
    out = f32(grid.carry(k)) * x + f32(gain * (1 - slope - ahead)) * x0 + f32(gain * ahead) * after
    return out + f32(gain * slope) * older if slope else out


def corrector_weights(grid: Grid, k: int) -> tuple[float, float]:
    """Of the differences to the prediction before and to the one after step k: equation 5 of the paper, in -h."""
    if grid.order(k) == 1:
        return 0.0, 0.5
    h, b = -grid.length(k), np.expm1(-grid.length(k))
    first = b / h - 1
    moments = np.array([first, 2 * (first / h - 0.5)]) / b
    behind, ahead = np.linalg.solve(np.array([[1.0, 1.0], [grid.back(k), 1.0]]), moments)
    return float(behind), float(ahead)
