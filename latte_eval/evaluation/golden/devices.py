"""Pixels of this device against what a CPU computes in a longer type: the VAE, clips of the embedded checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import torch

from latte_eval.evaluation.golden.measure import Measure
from latte_eval.evaluation.golden.seeded import seeded_normal
from latte_eval.sampler.checkpoint import load_checkpoint
from latte_eval.sampler.samplers import SAMPLERS
from latte_eval.sampler.settings import SamplerSettings
from latte_eval.sampler.sources import SampledSource
from latte_eval.sampler.vae import SCALE, IdentityCodec, VaeCodec

CPU_CLIPS = "the same clips in fp32 on the CPU"
CPU_VAE = "AutoencoderKL of diffusers in float64 on the CPU"
STEPS = 20

# Mean grey levels; a CPU shows a third or less of those of the short types.
CLIPS = {"fp32": 0.05, "bf16": 6.0, "fp16": 0.5}
FRAMES = {"fp32": 0.01, "fp16": 0.3}


def demo_pixels(sampler: str, dtype: str, device: str) -> np.ndarray:  # -> [1, T, 3, H, W] uint8
    """A clip of the embedded checkpoint."""
    checkpoint = load_checkpoint("demo")
    settings = SamplerSettings(method=sampler, steps=STEPS, clip_x0=True, dtype=dtype)
    source = SampledSource(checkpoint, checkpoint.build(), IdentityCodec(), settings, 1, device)
    return source.clips([0]).pixels.cpu().numpy()


@cache
def expected_pixels(sampler: str) -> np.ndarray:
    return demo_pixels(sampler, "fp32", "cpu")


def clip_error(sampler: str, dtype: str, device: str) -> float:
    """Mean grey levels between a clip here and on the CPU in fp32."""
    return mean_levels(demo_pixels(sampler, dtype, device), expected_pixels(sampler))


def mean_levels(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - expected).mean())


def vae_error(dtype: str, device: str) -> float:
    """Mean grey levels between frames of a seeded VAE here and on the CPU in float64."""
    latents = 5 * SCALE * torch.from_numpy(seeded_normal("vae", (1, 2, 4, 16, 16), 0))
    expected = VaeCodec.seeded("cpu", torch.float64).decode(latents)
    found = VaeCodec.seeded(device, getattr(torch, dtype)).decode(latents.to(device)).cpu()
    return mean_levels(found.numpy(), expected.numpy())


def device_measures(device: str) -> Iterator[Measure]:
    """The VAE and whole clips, in every type; on a CPU, fp32 is what the others are measured by."""
    for dtype, name in (("fp32", "float32"), ("fp16", "float16")):
        yield Measure(f"VAE, {dtype}, in grey levels", CPU_VAE, FRAMES[dtype], partial(vae_error, name, device))
    on_cpu = torch.device(device).type == "cpu"
    chosen = [] if on_cpu else [(sampler, "fp32") for sampler in SAMPLERS]
    for sampler, dtype in [*chosen, ("ddim", "bf16"), ("ddim", "fp16")]:
        error = partial(clip_error, sampler, dtype, device)
        yield Measure(f"demo clip, {sampler}, {dtype}, in grey levels", CPU_CLIPS, CLIPS[dtype], error)
