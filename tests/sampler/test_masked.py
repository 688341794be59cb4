"""Sampling of masked clips: the reference's results, what must not matter, and conditions that cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_latte import relative, seeded_input
from small_vdt import golden_vdt, small_vdt

from latte_eval.core.errors import SamplerError
from latte_eval.sampler import sample_longer, sample_masked, sample_steps
from latte_eval.sampler.diffusion import make_schedule, predict
from latte_eval.sampler.masked import composite, first_frames_given, masked_denoiser

# Relative to the rms of the reference: golden/README.md.
TOLERANCE, CLIPPED = 2e-5, 5e-5
TASKS = ["unconditional", "predict", "backward", "interpolation", "one_frame", "arbitrary_interpolation",
         "spatial_temporal"]  # fmt: skip


class Run:
    """The loop of the golden file: its model, starting noise, given latents and step noise."""

    def __init__(self, file, seeded):
        self.file, self.seeded, self.model = file, seeded, golden_vdt(file)
        self.z, self.given = seeded_input(file, "z"), 0.9 * seeded_input(file, "raw_x")

    def mask(self, task: str) -> torch.Tensor:
        return torch.from_numpy(self.file[f"mask_{task}"]).expand(2, -1, -1, -1)

    def noise(self, k: int) -> torch.Tensor:
        noise = self.seeded.seeded_normal(f"noise/{k}", (2, 4, 16, 8, 8), self.file.meta["seed"])
        return torch.from_numpy(noise).transpose(1, 2)

    def masked(self, task: str, **options):
        return sample_masked(self.model, self.z, self.given, self.mask(task), make_schedule(10), self.noise, **options)

    def as_ours(self, name: str) -> torch.Tensor:  # [..., C, T, H, W] -> [..., T, C, H, W]
        return torch.from_numpy(self.file[name]).transpose(-4, -3)


@pytest.fixture
def run(golden, seeded):
    return Run(golden("vdt"), seeded)


def test_the_schedule_is_the_published_one(golden):
    file, schedule = golden("vdt"), make_schedule(10)
    assert schedule.timesteps.tolist() == file.meta["timestep_map"]
    for name in ("betas", "alphas_cumprod", "posterior_log_variance_clipped"):
        assert np.allclose(getattr(schedule, name), file[f"sched10_{name}"], rtol=1e-12, atol=0), name


@pytest.mark.parametrize("task", TASKS)
def test_every_task_ends_as_published(run, task):
    last, _ = run.masked(task)
    expected = run.as_ours(f"ddpm10_{task}_x_last")
    assert relative(last[: len(expected)], expected) < TOLERANCE


@pytest.mark.parametrize("task", ["predict", "spatial_temporal"])
def test_composites_are_the_published_ones(run, task):
    _, whole = run.masked(task)
    assert relative(whole, run.file[f"ddpm10_{task}_composite"]) < TOLERANCE


def test_every_step_is_the_published_one(run):
    denoiser = masked_denoiser(run.model, run.given, run.mask("predict").bool())
    states = list(sample_steps(denoiser, run.z, make_schedule(10), run.noise))
    for (x, _), expected in zip(states, run.as_ours("ddpm10_predict_x"), strict=False):
        assert relative(x[:1], expected) < TOLERANCE
    for (_, x0), expected in zip((states[0], states[-1]), run.as_ours("ddpm10_predict_x0_first_last"), strict=True):
        assert relative(x0[:1], expected) < TOLERANCE


@pytest.mark.parametrize("i", [9, 5, 0])
def test_mean_and_variance_of_a_step_are_the_published_ones(run, i):
    denoiser = masked_denoiser(run.model, run.given[:1], run.mask("predict")[:1].bool())
    found = predict(denoiser, make_schedule(10), run.z[:1], i)
    for name, value in (("mean", found.mean), ("pred_xstart", found.x0), ("log_variance", found.log_variance)):
        assert relative(value, run.as_ours(f"pmv{i}_{name}")) < TOLERANCE, name


def test_clipping_is_the_published_one(run):
    last, _ = run.masked("predict", clip_x0=True)
    expected = run.as_ours("ddpm10_predict_clip_x_last")
    assert relative(last[: len(expected)], expected) < CLIPPED


def test_frames_before_the_noise_are_a_mask(run):
    """The scheme of the first code (d991096): eight given frames, and a state that has the other eight alone."""
    given, mask = first_frames_given(run.given[:, :8], 16)
    start = torch.cat([torch.zeros(2, 8, 4, 8, 8), run.z[:, 8:]], dim=1)

    def noise(k):
        drawn = run.seeded.seeded_normal(f"cnoise/{k}", (2, 4, 8, 8, 8), run.file.meta["seed"])
        return torch.nn.functional.pad(torch.from_numpy(drawn).transpose(1, 2), (0,) * 6 + (8, 0))

    last, _ = sample_masked(run.model, start, given, mask, make_schedule(10), noise)
    expected = run.as_ours("concat10_x_last")
    assert relative(last[: len(expected), 8:], expected) < TOLERANCE
    assert torch.equal(mask, run.mask("predict").bool())


@pytest.mark.parametrize("mistake", ["noised conditions", "no conditions", "mask the other way round"])
def test_golden_sees_another_condition(run, mistake):
    """The reference measured 1.2 for conditions that are noised as in RePaint, 0.96 for zeros."""
    mask, schedule = run.mask("predict").bool(), make_schedule(10)
    kept = torch.tensor([schedule.alphas_cumprod[schedule.timesteps.tolist().index(t)] for t in schedule.timesteps])

    def denoiser(x, t):
        abar = kept[schedule.timesteps.tolist().index(int(t[0]))].float()
        given = {"noised conditions": abar.sqrt() * run.given + (1 - abar).sqrt() * run.noise(99),
                 "no conditions": torch.zeros_like(run.given)}.get(mistake, run.given)  # fmt: skip
        return run.model(composite(x, given, ~mask if mistake.startswith("mask") else mask), t)

    *_, (last, _) = sample_steps(denoiser, run.z, schedule, run.noise)
    expected = torch.from_numpy(run.file["ddpm10_predict_composite"])
    assert relative(composite(last, run.given, mask), expected) > 0.5


# Small clips for what follows: [2, 4, 3, 8, 8], four steps.


def small_run(mask, given=None, noise=None, model=None, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    start, clean, *steps = (torch.randn(2, 4, 3, 8, 8, generator=generator) for _ in range(6))
    inputs = start if noise is None else noise, clean if given is None else given, mask
    done = sample_masked(model or small_vdt(), *inputs, make_schedule(4), lambda k: steps[k], **options)
    return done, clean, start, steps


def some_mask() -> torch.Tensor:
    return torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.5


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmsolver++"])
def test_given_positions_are_the_given_bits(sampler):
    mask = some_mask()
    (last, whole), clean, *_ = small_run(mask, sampler=sampler)
    at = mask.unsqueeze(2).expand_as(whole)
    assert torch.equal(whole[~at], clean[~at]) and torch.equal(whole[at], last[at])
    assert not torch.equal(last[~at], clean[~at])


def test_noise_at_given_positions_does_not_matter():
    mask = some_mask()
    (_, whole), _, start, _ = small_run(mask)
    other = torch.where(mask.unsqueeze(2), start, torch.full_like(start, 100.0))
    (_, again), *_ = small_run(mask, noise=other)
    assert torch.equal(whole, again)


def test_what_stands_at_generated_positions_is_not_looked_at():
    mask = some_mask()
    (_, whole), clean, *_ = small_run(mask)
    unknown = torch.where(mask.unsqueeze(2), torch.full_like(clean, math.nan), clean)
    (_, again), *_ = small_run(mask, given=unknown)
    assert torch.equal(whole, again)


def test_a_mask_of_ones_is_unconditional():
    model = small_vdt()
    (last, whole), _, start, steps = small_run(torch.ones(2, 4, 8, 8), model=model)
    *_, (plain, _) = sample_steps(model, start, make_schedule(4), lambda k: steps[k])
    assert torch.equal(last, plain) and torch.equal(whole, plain)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.int64])
def test_a_mask_of_any_type(kind):
    (_, whole), *_ = small_run(some_mask())
    (_, again), *_ = small_run(some_mask().to(kind))
    assert torch.equal(whole, again)


def test_clips_of_a_batch_do_not_see_each_other():
    mask = some_mask()
    (_, whole), clean, start, steps = small_run(mask)
    _, alone = sample_masked(small_vdt(), start[1:], clean[1:], mask[1:], make_schedule(4), lambda k: steps[k][1:])
    assert relative(alone, whole[1:]) < 1e-5


def test_the_short_types_are_served():
    (_, whole), *_ = small_run(some_mask(), model=small_vdt().to(torch.bfloat16))
    assert whole.dtype == torch.float32 and torch.isfinite(whole).all()


def test_longer_predictions_go_on_from_the_last_frames():
    """One given frame of clips of four: blocks of three new ones, the second given the last of the first."""
    model, first = small_vdt(), torch.randn(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    drawn = torch.randn(3, 5, 2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    schedule = make_schedule(4)
    arguments = (lambda b: drawn[b, 4], schedule, lambda b, k: drawn[b, k])
    made = sample_longer(model, first, 9, *arguments)
    assert made.shape == (2, 9, 3, 8, 8) and torch.equal(made[:, :1], first)
    assert torch.equal(made[:, :5], sample_longer(model, first, 5, *arguments)), "the end does not change the start"
    for block, start in ((0, 0), (1, 3)):
        given, mask = first_frames_given(made[:, start : start + 1], 4)
        _, whole = sample_masked(model, drawn[block, 4], given, mask, schedule, lambda k, b=block: drawn[b, k])
        assert torch.equal(whole, made[:, start : start + 4])
    assert torch.equal(sample_longer(model, first, 1, *arguments), first)
    with pytest.raises(SamplerError, match="4 frames are given of clips of 4"):
        sample_longer(model, torch.zeros(2, 4, 3, 8, 8), 9, *arguments)


REFUSED = {
    "another side": (torch.ones(2, 4, 4, 4), {}, r"the mask is \(2, 4, 4, 4\), these clips need \(2, 4, 8, 8\)"),
    "no batch": (torch.ones(4, 8, 8), {}, r"the mask is \(4, 8, 8\)"),
    "nothing to generate": (torch.stack([torch.ones(4, 8, 8), torch.zeros(4, 8, 8)]), {},
                            "the mask of clip 1 of the batch has nothing to generate"),
    "grey": (torch.full((2, 4, 8, 8), 0.5), {}, "other values than 0"),
    "NaN mask": (torch.full((2, 4, 8, 8), math.nan), {}, "other values than 0"),
    "NaN given": (some_mask(), {"given": torch.full((2, 4, 3, 8, 8), math.nan)}, "clip 0 of the batch are NaN"),
    "given of another length": (some_mask(), {"given": torch.zeros(2, 5, 3, 8, 8)}, r"given latents are \(2, 5, 3,"),
    "a model of other clips": (torch.ones(2, 5, 8, 8), {"given": torch.zeros(2, 5, 3, 8, 8),
                               "noise": torch.zeros(2, 5, 3, 8, 8)}, r"this VDT takes \(N, 4, 3, 8, 8\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_conditions_that_cannot_be(case):
    mask, inputs, message = REFUSED[case]
    with pytest.raises(SamplerError, match=message):
        small_run(mask, **inputs)
    with pytest.raises(SamplerError, match="8 frames are given of clips of 8: nothing is left"):
        first_frames_given(torch.zeros(1, 8, 3, 8, 8), 8)
