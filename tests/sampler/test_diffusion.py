"""Schedules and sampling loops against the reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from small_latte import golden_latte, relative, seeded_input, small_latte

from latte_eval.core.errors import SamplerError, UsageError
from latte_eval.sampler.diffusion import make_schedule, predict, sample_steps, schedule_at

ARRAYS = ["betas", "alphas_cumprod", "alphas_cumprod_prev", "posterior_variance", "posterior_log_variance_clipped",
          "posterior_mean_coef1", "posterior_mean_coef2"]  # fmt: skip
# Relative to the rms of the reference: golden/README.md.
TOLERANCE = {10: 5e-5, 50: 5e-5, 250: 1e-4}


@pytest.mark.parametrize("steps", [10, 50, 250, 1000])
def test_schedules_are_the_published_ones(golden, steps):
    file, schedule = golden("latte_schedules"), make_schedule(steps)
    assert schedule.timesteps.tolist() == file[f"{steps}_timestep_map"].tolist()
    for name in ARRAYS:
        assert np.allclose(getattr(schedule, name), file[f"{steps}_{name}"], rtol=1e-12, atol=0), name


def test_schedules_by_their_definition():
    schedule = make_schedule()
    assert schedule.alphas_cumprod[999] == pytest.approx(4.035829765375676e-05, rel=1e-12)
    assert make_schedule(250).timesteps[:3].tolist() == [0, 4, 8]
    assert make_schedule(50).timesteps[[0, 1, 2, -1]].tolist() == [0, 20, 41, 999]
    assert make_schedule(2).timesteps.tolist() == [0, 999]
    for steps in (1, 0, -5, 1001):
        with pytest.raises(SamplerError, match=rf"{steps} is outside 2\.\.1000"):
            make_schedule(steps)


class Run:
    """The loop of a golden file: its model, its starting noise and its step noise."""

    def __init__(self, file, seeded):
        self.file, self.seeded, self.model = file, seeded, golden_latte(file)
        self.z, self.guidance = seeded_input(file, "z"), file.meta["cfg"]

    def denoiser(self, x, t):
        if self.guidance["y"] is None:
            return self.model(x, t)
        return self.model.guided_forward(x, t, torch.tensor(self.guidance["y"][: len(x)]), self.guidance["scale"])

    def noise(self, k):
        # The conditional reference samples both halves of cat[z, z]; the first half counts.
        shape = list(self.z.shape)
        shape[0] *= 1 if self.guidance["y"] is None else 2
        noise = self.seeded.seeded_normal(f"noise/{k}", shape, self.file.meta["seed"])
        return torch.from_numpy(noise)[: len(self.z)]

    def states(self, sampler, steps, **options):
        return list(sample_steps(self.denoiser, self.z, make_schedule(steps), self.noise, sampler=sampler, **options))


@pytest.fixture(params=["latte_cond", "latte_uncond"])
def run(request, golden, seeded):
    return Run(golden(request.param), seeded)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_ten_steps_are_the_published_ones(run, sampler):
    states = run.states(sampler, 10)
    for k, (x, _) in enumerate(states):
        assert relative(x, run.file[f"{sampler}10_x"][k]) < TOLERANCE[10], k
    for (_, x0), expected in zip((states[0], states[-1]), run.file[f"{sampler}10_x0_first_last"], strict=True):
        assert relative(x0, expected) < TOLERANCE[10]


@pytest.mark.parametrize(
    ("name", "sampler", "steps", "options"),
    [
        ("ddim10_eta05", "ddim", 10, {"eta": 0.5}),
        ("ddim10_eta1", "ddim", 10, {"eta": 1.0}),
        ("ddpm10_clip", "ddpm", 10, {"clip_x0": True}),
        ("ddim10_clip", "ddim", 10, {"clip_x0": True}),
        ("ddim50", "ddim", 50, {}),
        ("ddpm50", "ddpm", 50, {}),
    ],
)
def test_variants_end_as_published(run, name, sampler, steps, options):
    assert relative(run.states(sampler, steps, **options)[-1][0], run.file[f"{name}_x_last"]) < TOLERANCE[steps]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_250_steps_are_the_published_ones(golden, seeded, sampler):
    run = Run(golden("latte_uncond"), seeded)
    states = run.states(sampler, 250)
    assert relative(states[-1][0], run.file[f"{sampler}250_x_last"]) < TOLERANCE[250]
    if sampler == "ddpm":
        rms = [float(x.double().pow(2).mean().sqrt()) for x, _ in states]
        assert np.allclose(rms, run.file["ddpm250_rms_per_step"], rtol=TOLERANCE[250])


@pytest.mark.parametrize("i", [0, 1, 5, 9])
def test_mean_and_variance_of_a_step_are_the_published_ones(run, i):
    found, at = predict(run.denoiser, make_schedule(10), run.z, i), f"pmv{i}_"
    assert relative(found.mean, run.file[at + "mean"]) < TOLERANCE[10]
    assert relative(found.x0, run.file[at + "pred_xstart"]) < TOLERANCE[10]
    assert relative(found.log_variance, run.file[at + "log_variance"]) < TOLERANCE[10]
    # An error of the log variance, of scale 10, is a relative error of each variance.
    assert np.allclose(found.log_variance.exp(), run.file[at + "variance"], rtol=1e-4, atol=0)


def test_golden_sees_the_other_spacing(golden, seeded):
    """Strides of t - 1000 // steps, as a common scheduler takes them, are not the published ones."""
    run = Run(golden("latte_uncond"), seeded)
    wrong = list(sample_steps(run.denoiser, run.z, schedule_at(np.arange(0, 1000, 100)), run.noise, sampler="ddim"))
    assert relative(wrong[-1][0], run.file["ddim10_x"][-1]) > 0.1


def test_ddpm_agrees_with_another_implementation():
    """diffusers' DDPM with the same spacing; it wants the channels before the frames."""
    scheduler = DDPMScheduler(
        beta_start=1e-4, beta_end=0.02, variance_type="learned_range", timestep_spacing="linspace", clip_sample=False
    )
    scheduler.set_timesteps(10)
    model, generator = small_latte(), torch.Generator().manual_seed(0)
    x = start = torch.randn(2, 4, 3, 8, 8)
    for t in scheduler.timesteps:
        out, x = model(x, t.expand(2)).transpose(1, 2), x.transpose(1, 2)
        x = scheduler.step(out, t, x, generator=generator).prev_sample.transpose(1, 2)
    again = torch.Generator().manual_seed(0)
    noise = lambda k: torch.randn(2, 3, 4, 8, 8, generator=again).transpose(1, 2)  # noqa: E731
    states = list(sample_steps(model, start, make_schedule(10), noise))
    assert relative(states[-1][0], x) < TOLERANCE[10]


def zero_denoiser(x, t):
    return torch.cat([torch.zeros_like(x), torch.zeros_like(x)], dim=2)


@pytest.mark.parametrize(("options", "asked"), [
    ({"sampler": "ddpm"}, 9), ({"sampler": "ddim"}, 0), ({"sampler": "ddim", "eta": 0.3}, 9),
])  # fmt: skip
def test_noise_is_asked_for_only_where_it_is_used(options, asked):
    steps: list[int] = []
    x = torch.ones(1, 2, 3, 4, 4)
    states = sample_steps(
        zero_denoiser, x, make_schedule(10), lambda k: steps.append(k) or torch.zeros_like(x), **options
    )
    assert len(list(states)) == 10
    assert steps == list(range(asked))


def test_a_model_without_variance_logits_takes_the_posterior_variance():
    schedule, x = make_schedule(10), torch.ones(1, 2, 3, 4, 4)
    found = predict(lambda x, t: torch.zeros_like(x), schedule, x, 5)
    assert torch.allclose(found.log_variance.exp(), torch.tensor(schedule.posterior_variance[5]).float())


def test_unknown_samplers_are_refused():
    with pytest.raises(UsageError, match="Did you mean ddim"):
        next(sample_steps(zero_denoiser, torch.zeros(1, 2, 3, 4, 4), make_schedule(10), torch.zeros, sampler="dim"))
