"""What a training on `shapes` minimises: error of the noise, and the variational bound of the variance alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from latte_eval.sampler.diffusion import TRAINING_STEPS, make_schedule
from latte_eval.sampler.masked import composite

LARGEST_WEIGHT = 25.0


class NoiseSchedule(nn.Module):
    """The linear schedule as float32 buffers of length 1000."""

    def __init__(self) -> None:
        super().__init__()
        schedule = make_schedule(TRAINING_STEPS)
        self.log_beta = torch.from_numpy(np.log(schedule.betas)).float()
        self.log_posterior = torch.from_numpy(schedule.posterior_log_variance_clipped).float()
        self.signal = torch.from_numpy(np.sqrt(schedule.alphas_cumprod)).float()
        self.noise = torch.from_numpy(np.sqrt(1 - schedule.alphas_cumprod)).float()
        self.coef1 = torch.from_numpy(schedule.posterior_mean_coef1).float()
        weight = (1 / self.signal**2).clamp(max=LARGEST_WEIGHT)
        self.weight = weight / weight.mean()
        self.coef2 = torch.from_numpy(schedule.posterior_mean_coef2).float()


def gather(table: Tensor, timesteps: Tensor) -> Tensor:  # [1000], [N] -> [N, 1, 1, 1, 1]
    return table[timesteps].view(-1, 1, 1, 1, 1)


def variational_bound(out: Tensor, x0: Tensor, x: Tensor, timesteps: Tensor, s: NoiseSchedule) -> Tensor:
    """Bits per dimension of one reverse step, with the mean held fixed so that only the variance learns.

    # -> like x0
    """
    epsilon, logits = out.chunk(2, dim=2)
    epsilon = epsilon.detach()
    clean = (x - gather(s.noise, timesteps) * epsilon) / gather(s.signal, timesteps)
    coef1, coef2 = gather(s.coef1, timesteps), gather(s.coef2, timesteps)
    truth, mean = coef1 * x0 + coef2 * x, coef1 * clean + coef2 * x
    low, high = gather(s.log_posterior, timesteps), gather(s.log_beta, timesteps)
    log_variance = low + (logits + 1) / 2 * (high - low)
    kl = 0.5 * (log_variance - low + torch.exp(low - log_variance) - 1 + (truth - mean) ** 2 * torch.exp(-log_variance))
    decoder = -discretized_log_likelihood(x0, mean, 0.5 * log_variance)
    first = (timesteps == 0).view(-1, 1, 1, 1, 1)
    return torch.where(first, decoder, kl) / math.log(2)


def discretized_log_likelihood(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log probability of 8-bit values in -1..1 under a Gaussian, the edge bins open. Ho et al. 2020, eq. 13."""
    normal = torch.distributions.Normal(0.0, 1.0)
    upper = normal.cdf((x - mean + 1 / 255) * torch.exp(-log_std))
    lower = normal.cdf((x - mean - 1 / 255) * torch.exp(-log_std))
    mass = torch.where(x < -0.999, upper, torch.where(x > 0.999, 1 - lower, upper - lower))
    return mass.clamp(min=1e-12).log()


def diffusion_loss(
    model: Callable[..., Tensor], x0: Tensor, labels: Tensor, timesteps: Tensor, s: NoiseSchedule
) -> tuple[Tensor, Tensor]:
    """Weighted noise error and variational bound. # [N, T, C, H, W], [N], [N] -> two scalars"""
    error, bound = losses(lambda x: model(x, timesteps, labels), x0, timesteps, s)
    return error.mean(), bound.mean()


def masked_loss(
    model: Callable[..., Tensor], x0: Tensor, mask: Tensor, timesteps: Tensor, s: NoiseSchedule
) -> tuple[Tensor, Tensor]:
    """The same of a model that sees clean values where the mask is False, over generated positions alone.

    # [N, T, C, H, W], [N, T, H, W] bool, [N] -> two scalars
    """
    parts = losses(lambda x: model(composite(x, x0, mask), timesteps), x0, timesteps, s)
    counted = mask.unsqueeze(2).expand_as(x0)
    error, bound = (part[counted].mean() for part in parts)
    return error, bound


def losses(
    denoiser: Callable[[Tensor], Tensor], x0: Tensor, timesteps: Tensor, s: NoiseSchedule
) -> tuple[Tensor, Tensor]:
    """Weighted noise error and variational bound at every position. # [N, T, C, H, W], [N] -> the same twice"""
    epsilon = torch.randn_like(x0)
    x = gather(s.signal, timesteps) * x0 + gather(s.noise, timesteps) * epsilon
    with torch.autocast("cpu", torch.bfloat16):
        out = denoiser(x)
    out = out.float()
    error = gather(s.weight, timesteps) * (out[:, :, : x0.shape[2]] - epsilon) ** 2
    return error, variational_bound(out, x0, x, timesteps, s)
