"""What sampling will cost, known before it starts: forward passes, operations, and the least time for them."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.sampler.diffusion import DTYPES, make_schedule, sample_steps
from latte_eval.sampler.settings import SamplerSettings

# Side of the square matrices whose product is timed: large enough to keep the device busy, done at once.
PROBE_SIDE = {"cuda": 8192, "cpu": 1024}


def forward_passes(settings: SamplerSettings) -> int:
    """Forward passes of the network for one clip: the sampler itself is run, on one value and a network that counts."""
    passes = 0

    def denoiser(x: Tensor, timesteps: Tensor) -> Tensor:  # [1, 1, 1, 1, 1], [1] -> [1, 1, 2, 1, 1]
        nonlocal passes
        passes += 1 if settings.guidance.scale_at(int(timesteps[0])) == 1 else 2
        return torch.zeros(1, 1, 2, 1, 1)

    value = torch.zeros(1, 1, 1, 1, 1)
    for _ in sample_steps(denoiser, value, make_schedule(settings.steps), lambda step: value, sampler=settings.method,
                          eta=settings.eta, clip_x0=settings.clip_x0):  # fmt: skip
        pass
    return passes


@exact_float32()
def matrix_speed(device: torch.device, dtype: str) -> float:
    """Operations per second of a product of square matrices on a device: no network is faster."""
    side = PROBE_SIDE.get(device.type, 2048)
    matrix = torch.ones(side, side, device=device, dtype=DTYPES[dtype])
    product = lambda: float((matrix @ matrix)[0, 0])  # noqa: E731  # reading a value waits for the device
    product()
    return 2 * side**3 / min(seconds_of(product) for _ in range(2))


def seconds_of(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
