"""Latte and the sampling loops against the published ones, and the solvers against a closed form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latte_eval.evaluation.golden.files import open_golden
from latte_eval.evaluation.golden.measure import Measure, float32_tolerance, relative_error
from latte_eval.evaluation.golden.seeded import seeded_normal
from latte_eval.sampler.diffusion import DTYPES as TORCH_DTYPES
from latte_eval.sampler.diffusion import make_schedule, sample_steps
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.settings import DTYPES

LATTE = "Vchitect/Latte@b27c24a under seeded weights"
CLOSED_FORM = "the closed form for normal data"

# Of one call of the network, one that guidance of scale 7 amplifies, and a loop of 50 steps: relative to the rms. Those
# of the short types are three times what a CPU shows.
FORWARD = {"fp32": 2e-5, "bf16": 0.12, "fp16": 0.016}
GUIDED = {"fp32": 2e-5, "bf16": 0.6, "fp16": 0.08}
LOOP = {"fp32": 5e-5, "bf16": 0.3, "fp16": 0.03}
LONG_LOOP = 1e-4
# What a solver of so many steps is away from the exact flow; with half as many steps each is further away.
SOLVERS = {"ddim": (250, 0.04), "dpmsolver++": (50, 0.004), "unipc": (50, 0.02)}
DATA_STD = 0.5


class Run:
    """A golden Latte on one device, and the inputs of the published loops."""

    def __init__(self, name: str, device: str, dtype: str):
        self.golden, self.device, self.dtype = open_golden(name), torch.device(device), TORCH_DTYPES[dtype]
        self.guidance = self.golden.meta["cfg"]
        model = Latte.from_state_dict(self.golden.tensors(), heads=self.golden.meta["config"]["num_heads"])
        self.model = model.to(self.device, self.dtype).eval()

    def tensor(self, values: np.ndarray | list[int]) -> Tensor:
        return torch.as_tensor(values).to(self.device)

    def denoise(self, x: Tensor, timesteps: Tensor) -> Tensor:  # [N, T, C, H, W], [N] -> [N, T, 2C, H, W]
        """The network, guided where its reference was; the timesteps of a loop lie on the CPU."""
        timesteps = timesteps.to(self.device)
        if self.guidance["y"] is None:
            return self.model(x.to(self.dtype), timesteps)
        labels = self.tensor(self.guidance["y"][: len(x)])
        return self.model.guided_forward(x.to(self.dtype), timesteps, labels, self.guidance["scale"])

    def step_noise(self, k: int) -> Tensor:
        """Noise of step k; a guided reference draws for both halves of its batch, and the first counts."""
        _, (count, *shape), *_ = self.golden.meta["inputs"]["z"]
        rows = count if self.guidance["y"] is None else 2 * count
        return self.tensor(seeded_normal(f"noise/{k}", (rows, *shape), self.golden.meta["seed"])[:count])


def forward_error(name: str, device: str, dtype: str) -> float:
    """One call of the network, each clip at a timestep of its own."""
    run = Run(name, device, dtype)
    y, x = run.golden.meta["y"], run.tensor(run.golden.noise("x")).to(run.dtype)
    labels = None if y is None else run.tensor(y)
    return relative_error(run.model(x, run.tensor(run.golden.meta["t"]), labels).float(), run.golden["forward_out"])


def guided_error(device: str, dtype: str) -> float:
    """One guided call; the guided half of the reference comes first."""
    run = Run("latte_cond", device, dtype)
    x = run.tensor(run.golden.noise("z"))
    out = run.denoise(x, torch.full((len(x),), run.guidance["t"], device=run.device))
    return relative_error(out.float(), run.golden["cfg_out"][: len(x)])


def loop_error(name: str, sampler: str, steps: int, device: str, dtype: str) -> float:
    """The last state of a loop."""
    run = Run(name, device, dtype)
    start = run.tensor(run.golden.noise("z"))
    *_, (last, _) = sample_steps(run.denoise, start, make_schedule(steps), run.step_noise, sampler=sampler)
    return relative_error(last, run.golden[f"{sampler}{steps}_x_last"])


def schedule_error() -> float:
    """The largest relative difference of the published arrays; timesteps must be equal."""
    golden, errors = open_golden("latte_schedules"), []
    for key in golden.arrays:
        steps, _, name = key.partition("_")
        schedule, expected = make_schedule(int(steps)), golden[key]
        found = schedule.timesteps if name == "timestep_map" else getattr(schedule, name)
        errors.append(float(np.abs(found / np.where(expected == 0, 1, expected) - (expected != 0)).max()))
    return max(errors)


def flow_error(sampler: str, steps: int, device: str) -> float:
    """A solver on normal data of a known spread: the flow only scales the noise that it starts from."""
    abar, variance = make_schedule().alphas_cumprod, DATA_STD**2
    table = torch.from_numpy(abar).float().to(device)

    def denoiser(x: Tensor, timesteps: Tensor) -> Tensor:
        kept = table[timesteps.to(device)].reshape(-1, 1, 1, 1, 1)
        noise = x * torch.sqrt(1 - kept) / (kept * variance + 1 - kept)
        return torch.cat([noise, torch.zeros_like(noise)], dim=2)

    start = torch.from_numpy(seeded_normal("flow", (2, 2, 3, 4, 4), 0)).to(device)
    *_, (last, _) = sample_steps(denoiser, start, make_schedule(steps), torch.zeros, sampler=sampler)
    scale = np.sqrt(variance / (abar[-1] * variance + 1 - abar[-1]))
    return relative_error(last, start.cpu().double().numpy() * scale)


def sampling_measures(device: str) -> Iterator[Measure]:
    """Schedules, the network in each type that the sampler offers, its loops, and the solvers."""
    yield Measure("schedules of 50 and 250 steps", LATTE, 1e-12, schedule_error)
    for dtype in DTYPES:
        yield from dtype_measures(device, dtype)
    for sampler in ("ddpm", "ddim"):
        error = partial(loop_error, "latte_uncond", sampler, 250, device, "fp32")
        yield Measure(f"{sampler}, 250 steps, fp32", LATTE, allowed(LONG_LOOP, device, "fp32"), error)
    for sampler, (steps, tolerance) in SOLVERS.items():
        error = partial(flow_error, sampler, steps, device)
        yield Measure(f"{sampler}, {steps} steps of an exact flow", CLOSED_FORM, tolerance, error)


def dtype_measures(device: str, dtype: str) -> Iterator[Measure]:
    """The network and its guided loops in one type."""
    step, guided, loop = (allowed(table[dtype], device, dtype) for table in (FORWARD, GUIDED, LOOP))
    yield Measure(f"Latte, one step, {dtype}", LATTE, step, partial(forward_error, "latte_cond", device, dtype))
    yield Measure(f"Latte, one guided step, {dtype}", LATTE, guided, partial(guided_error, device, dtype))
    for sampler in ("ddpm", "ddim"):
        error = partial(loop_error, "latte_cond", sampler, 50, device, dtype)
        yield Measure(f"{sampler}, 50 guided steps, {dtype}", LATTE, loop, error)


def allowed(tolerance: float, device: str, dtype: str) -> float:
    """The tolerance of a type on a device: the rounding of the short types outweighs the order of their sums."""
    return float32_tolerance(tolerance, device) if dtype == "fp32" else tolerance
