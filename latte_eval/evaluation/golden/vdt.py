"""VDT and its masked sampling against the published ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from latte_eval.evaluation.golden.files import Golden, open_golden
from latte_eval.evaluation.golden.measure import Measure, float32_tolerance, relative_error
from latte_eval.evaluation.golden.seeded import seeded_normal
from latte_eval.sampler.diffusion import make_schedule
from latte_eval.sampler.masked import sample_masked
from latte_eval.sampler.vdt.network import VDT

REFERENCE = "RERV/VDT@cdbad2b under seeded weights"

# Relative to the rms: of one call, and of ten steps.
FORWARD, LOOP = 5e-6, 2e-5


def opened(device: str) -> tuple[Golden, VDT]:
    """The golden file and its network."""
    golden = open_golden("vdt")
    model = VDT.from_state_dict(golden.tensors(), heads=golden.meta["config"]["num_heads"])
    return golden, model.to(device)


def forward_error(device: str) -> float:
    """One call of the network, each clip at a timestep of its own."""
    golden, model = opened(device)
    x, t = (torch.as_tensor(each).to(device) for each in (golden.noise("x"), golden.meta["t"]))
    return relative_error(model(x, t).cpu(), golden["forward_out"])


def predict_error(device: str) -> float:
    """Clips whose first half is given, after ten steps."""
    golden, model = opened(device)
    start, given = (torch.from_numpy(golden.noise(name)).to(device) for name in ("z", "raw_x"))
    mask = torch.from_numpy(golden["mask_predict"]).expand(len(start), -1, -1, -1)

    def step_noise(k: int) -> Tensor:
        n, t, *rest = start.shape
        drawn = seeded_normal(f"noise/{k}", (n, rest[0], t, *rest[1:]), golden.meta["seed"])
        return torch.from_numpy(drawn).transpose(1, 2).to(device)

    _, whole = sample_masked(model, start, 0.9 * given, mask, make_schedule(10), step_noise)
    return relative_error(whole.cpu(), golden["ddpm10_predict_composite"])


def vdt_measures(device: str) -> Iterator[Measure]:
    """The network and a masked loop, in float32."""
    for name, tolerance, error in (
        ("one step", FORWARD, forward_error),
        ("ddpm, 10 predicted steps", LOOP, predict_error),
    ):
        yield Measure(f"VDT, {name}, fp32", REFERENCE, float32_tolerance(tolerance, device), partial(error, device))
