"""Fast solvers and guidance intervals: against exact answers, independent formulas, and the plain samplers."""

from __future__ import annotations

import math

import diffusers
import numpy as np
import pytest
import torch

from latte_eval.core.errors import SamplerError, UsageError
from latte_eval.sampler.diffusion import make_schedule, predict, sample_steps, schedule_at
from latte_eval.sampler.guidance import Guidance, guided_denoiser, noise_level, parse_interval
from latte_eval.sampler.latte import Latte, LatteConfig
from latte_eval.sampler.samplers import SAMPLERS

SOLVERS = ("dpmsolver++", "unipc")
MEAN, STD = 0.4, 0.3
ABAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def gaussian_denoiser(x, timesteps):
    """The exact noise of data drawn from N(MEAN, STD), and variance logits that must not matter."""
    abar = ABAR[int(timesteps[0])]
    noise = (x - math.sqrt(abar) * MEAN) * math.sqrt(1 - abar) / (abar * STD**2 + 1 - abar)
    return torch.cat([noise, torch.full_like(x, 37.0)], dim=2)


def exact_end(x, start: int):
    """Where the probability flow takes x from timestep `start` to clean data: a Gaussian keeps its quantiles."""
    abar = ABAR[start]
    return MEAN + STD * (x - math.sqrt(abar) * MEAN) / math.sqrt(abar * STD**2 + 1 - abar)


def start_noise(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 2, 4, 4, generator=torch.Generator().manual_seed(5))


def no_noise(k: int) -> torch.Tensor:
    raise AssertionError("a solver drew noise")


def sample(sampler: str, steps: int, denoiser=gaussian_denoiser, x=None, noise=no_noise, **options) -> torch.Tensor:
    x = start_noise() if x is None else x
    return list(sample_steps(denoiser, x, make_schedule(steps), noise, sampler=sampler, **options))[-1][0]


def error(sampler: str, steps: int) -> float:
    noise = no_noise if sampler in SOLVERS else torch.zeros_like(start_noise()).mul
    return float((sample(sampler, steps, noise=noise) - exact_end(start_noise(), 999)).abs().max())


@pytest.mark.parametrize("sampler", SOLVERS)
def test_solvers_reach_the_exact_end_faster_than_ddim(sampler):
    assert error(sampler, 50) < error("ddim", 160)
    assert error(sampler, 20) < error("ddim", 20) * 0.75
    assert error(sampler, 80) < error(sampler, 20) / 15


def dpm_2m(denoiser, x, steps: int) -> torch.Tensor:
    """DPM-Solver++(2M), algorithm 2 of the paper, in its own notation and float64."""
    times = [int(t) for t in np.linspace(0, 999, steps + 1).round()[::-1][:-1]]
    alpha = [math.sqrt(ABAR[t]) for t in times] + [1.0]
    sigma = [math.sqrt(1 - ABAR[t]) for t in times] + [0.0]
    lam = [math.log(a / s) if s else math.inf for a, s in zip(alpha, sigma, strict=True)]
    x, older = x.double(), None
    for i in range(steps):
        noise = denoiser(x, torch.tensor([times[i]]))[:, :, : x.shape[2]]
        clean = (x - sigma[i] * noise) / alpha[i]
        h = lam[i + 1] - lam[i]
        use = clean
        if older is not None and i < steps - 1:
            r = (lam[i] - lam[i - 1]) / h
            use = (1 + 1 / (2 * r)) * clean - 1 / (2 * r) * older
        x = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * math.expm1(-h) * use
        older = clean
    return x


def curved_denoiser(x, timesteps):
    """A noise that no solver gets exactly."""
    t = float(timesteps[0]) / 1000
    return torch.cat([torch.tanh(x * (1 + t)) * 0.7 + 0.1 * torch.sin(3 * x), torch.zeros_like(x)], dim=2)


def test_dpmsolver_is_the_papers_algorithm():
    ours, expected = sample("dpmsolver++", 10, curved_denoiser), dpm_2m(curved_denoiser, start_noise(), 10)
    assert (ours - expected).abs().max() < 2e-5 * expected.abs().mean()


def by_diffusers(sampler: str, steps: int) -> list[torch.Tensor]:
    """x after every step by the scheduler of diffusers, which computes its coefficients in float32."""
    name = SAMPLERS[sampler].scheduler
    scheduler = getattr(diffusers, name)(
        beta_schedule="linear", beta_start=1e-4, beta_end=0.02, prediction_type="sample", timestep_spacing="linspace"
    )
    scheduler.set_timesteps(steps)
    schedule, x, states = schedule_at(np.sort(scheduler.timesteps.numpy())), start_noise(), []
    for i, timestep in zip(reversed(range(steps)), scheduler.timesteps, strict=True):
        x = scheduler.step(predict(curved_denoiser, schedule, x, i).x0, timestep, x).prev_sample
        states.append(x)
    return states


@pytest.mark.parametrize("steps", [2, 3, 4, 20])
@pytest.mark.parametrize("sampler", SOLVERS)
def test_every_step_is_that_of_diffusers(sampler, steps):
    states = sample_steps(curved_denoiser, start_noise(), make_schedule(steps), no_noise, sampler=sampler)
    for (ours, _), theirs in zip(states, by_diffusers(sampler, steps), strict=True):
        assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().mean()


@pytest.mark.parametrize("sampler", SOLVERS)
def test_clips_do_not_depend_on_their_batch(sampler):
    x = start_noise(3)
    together = sample(sampler, 8, curved_denoiser, x)
    for n in range(3):
        assert torch.allclose(sample(sampler, 8, curved_denoiser, x[n : n + 1])[0], together[n], atol=1e-6)


@pytest.mark.parametrize("sampler", SOLVERS)
def test_clipping_holds_the_clean_prediction(sampler):
    def wild(x, timesteps):
        return torch.cat([-5 * x, x], dim=2)

    steps = sample_steps(wild, start_noise(), make_schedule(6), no_noise, sampler=sampler, clip_x0=True)
    last = [(x, x0.abs().max()) for x, x0 in steps]
    assert max(largest for _, largest in last) <= 1
    assert last[-1][0].abs().max() <= 1.0001


def test_names_and_steps():
    assert tuple(SAMPLERS) == ("ddpm", "ddim", "dpmsolver++", "unipc")
    with pytest.raises(UsageError, match="Did you mean unipc"):
        sample("unipcc", 5)
    with pytest.raises(SamplerError, match="1000 is too many"):
        sample("unipc", 1000)
    assert torch.isfinite(sample("unipc", 2)).all()
    assert torch.isfinite(sample("dpmsolver++", 999)).all()


def test_noise_levels():
    assert noise_level(0) == pytest.approx(0.01, rel=1e-2)
    assert noise_level(999) == pytest.approx(157.4, rel=1e-3)


def tiny_model(classes: int | None = 3) -> Latte:
    torch.manual_seed(0)
    model = Latte(LatteConfig(4, 2, 2, 16, 2, 2, 3, classes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False)


def test_guidance_acts_in_its_interval_only():
    model, x, labels = tiny_model(), start_noise(), torch.tensor([0, 2])
    inside = [t for t in range(0, 1000, 37) if 0.5 < noise_level(t) <= 6]
    assert 0 < len(inside) < 27
    limited = guided_denoiser(model, labels, Guidance(4.0, (0.5, 6)))
    for t in range(0, 1000, 37):
        timesteps = torch.full((2,), t)
        guided, plain = model.guided_forward(x, timesteps, labels, 4.0), model(x, timesteps, labels)
        assert not torch.allclose(guided, plain)
        assert torch.equal(limited(x, timesteps), guided if t in inside else plain)


def test_guidance_leaves_the_variance_alone():
    model, x, labels = tiny_model(), start_noise(), torch.tensor([0, 2])
    timesteps = torch.tensor([400, 400])
    out = guided_denoiser(model, labels, Guidance(4.0))(x, timesteps)
    conditional, free = model(x, timesteps, labels), model(x, timesteps)
    assert torch.allclose(out[:, :, 2:], conditional[:, :, 2:], atol=1e-5)
    expected = free[:, :, :2] + 4 * (conditional - free)[:, :, :2]
    assert torch.allclose(out[:, :, :2], expected, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_takes_a_guided_latte(sampler):
    denoiser = guided_denoiser(tiny_model(), torch.tensor([0, 2]), Guidance(2.0, (0.1, 10)))
    out = sample(sampler, 5, denoiser, noise=lambda k: start_noise(), clip_x0=True)
    assert out.shape == start_noise().shape
    assert torch.isfinite(out).all()


def test_guidance_that_cannot_be():
    with pytest.raises(SamplerError, match="this one is unconditional"):
        guided_denoiser(tiny_model(None), None, Guidance(2.0))
    with pytest.raises(SamplerError, match="has 3 classes: its clips need labels"):
        guided_denoiser(tiny_model(), None, Guidance(1.0))
    with pytest.raises(SamplerError, match="label 7 is outside 0..2"):
        guided_denoiser(tiny_model(), torch.tensor([1, 7]), Guidance(1.0))
    with pytest.raises(SamplerError, match="5 to 1 is empty"):
        Guidance(2.0, (5, 1))
    with pytest.raises(SamplerError, match="must read LOW,HIGH"):
        parse_interval("3")
    assert parse_interval("0.3,5") == (0.3, 5.0)
