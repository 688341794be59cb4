"""What bf16 and fp16 change: latents and FVD of the same clips against those of fp32.

    python -m latte_eval.benchmarks.studies.dtypes --subject demo --clips 64 --write docs/samplers.md
    python -m latte_eval.benchmarks.studies.dtypes --subject Latte-S/2 --clips 64 --device cuda

Subjects are the shipped checkpoint under its benchmark's settings, and a model of published size with seeded weights,
50 DDPM steps, decoded by the seeded VAE. All types start from the same noise. The real side is the benchmark's; for a
seeded model, which no video resembles, it is as many further clips of its own in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.benchmarks.studies.ablations import put_between
from latte_eval.core.clips import Clips
from latte_eval.metrics.contrast import contrast_uncertainty
from latte_eval.metrics.detectors import open_detector
from latte_eval.metrics.frechet import frechet_distance_between
from latte_eval.metrics.jackknife import t_quantile
from latte_eval.sampler import SampledSource, SamplerSettings, load_checkpoint, open_codec
from latte_eval.sampler.checkpoint import Checkpoint
from latte_eval.sampler.latte import Latte, latte_config

BEGIN, END = "<!-- begin dtypes -->", "<!-- end dtypes -->"
DETECTOR = "i3d-seeded"
HALVES = ("bf16", "fp16")
# With fewer clips a difference in FVD has no interval that says anything.
FEWEST = 8
HEAD = """| model | on | type | clips | error of latents | worst clip | FVD in fp32 | difference | 95 % interval |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Subject:
    """What is sampled, on what, and how many clips at once."""

    name: str
    device: str
    batch_size: int

    @property
    def card(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else "CPU"

    @property
    def is_demo(self) -> bool:
        return self.name == "demo"

    def settings(self, dtype: str) -> SamplerSettings:
        if self.is_demo:
            return SamplerSettings("ddim", 50, clip_x0=True, dtype=dtype)
        return SamplerSettings("ddpm", 50, dtype=dtype)

    def source(self, dtype: str, count: int) -> SampledSource:
        """A model of its own for every type: a source casts the model that it is given."""
        if self.is_demo:
            checkpoint = load_checkpoint("demo")
            model = checkpoint.build()
        else:
            checkpoint = Checkpoint(self.name, Path(self.name), "0" * 64, 0, {}, "ema")
            model = seeded_model(self.name)
        codec = open_codec("identity" if self.is_demo else "vae-seeded", model.config.channels, self.device, dtype)
        return SampledSource(checkpoint, model, codec, self.settings(dtype), count, self.device, compiled=False)

    def sampled(self, dtype: str, indices: range) -> tuple[Tensor, Tensor]:
        """Latents [N, T, C, H, W] float32 and pixels [N, T, 3, H, W] uint8 of these clips, both on the CPU."""
        source = self.source(dtype, indices.stop)
        latents, pixels = [], []
        for start in range(indices.start, indices.stop, self.batch_size):
            part = range(start, min(start + self.batch_size, indices.stop))
            found = source.latents(part)
            latents.append(found.cpu())
            pixels.append(source.latents_to_clips(found, part).pixels)
        return torch.cat(latents), torch.cat(pixels)

    def features(self, pixels: Tensor) -> np.ndarray:  # [N, T, 3, H, W] uint8 -> [N, 400] float32
        detector, rows = open_detector(DETECTOR, self.device), []
        for part in pixels.split(self.batch_size):
            rows.append(detector(Clips(part, tuple(range(len(part)))).to_detector())["features"].numpy())
        return np.concatenate(rows)

    def real(self, clips: int) -> Tensor:  # -> [N, T, 3, H, W] uint8
        if self.is_demo:
            return ShapesSource(clips).clips(range(clips)).pixels
        return self.sampled("fp32", range(clips, 2 * clips))[1]


def seeded_model(name: str) -> Latte:
    """Normal weights with the spread of a trained linear layer, from one seed: a new model would answer zero."""
    generator = torch.Generator().manual_seed(0)
    model = Latte(latte_config(name))
    for parameter in model.parameters():
        if parameter.requires_grad:
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 400
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.5 / fan_in**0.5)
    return model.requires_grad_(False).eval()


def latent_errors(found: Tensor, reference: Tensor) -> tuple[float, float]:
    """Rms of the difference over the rms of the reference: of all clips, and of the worst clip."""
    rms = [each.double().flatten(1).pow(2).mean(1) for each in (found - reference, reference)]
    return float((rms[0].mean() / rms[1].mean()).sqrt()), float((rms[0] / rms[1]).sqrt().max())


def difference(real: np.ndarray, new: np.ndarray, old: np.ndarray) -> tuple[float, float, float]:
    """FVD of `new` minus that of `old`, with the ends of its 95 % interval; clip i of both has the same noise."""
    fake, others = ([f"{side}-{i}" for i in range(len(rows))] for side, rows in (("fake", new), ("real", real)))
    found = contrast_uncertainty(real, new, old, others, fake, fake)
    reach = t_quantile(0.95, found.degrees) * found.standard_error
    return found.value, found.value - reach, found.value + reach


def rows_of(subject: Subject, clips: int) -> Iterator[str]:
    """One row a type."""
    latents, pixels = subject.sampled("fp32", range(clips))
    measured = clips >= FEWEST
    real = subject.features(subject.real(clips)) if measured else None
    old = subject.features(pixels) if measured else None
    for dtype in HALVES:
        found, frames = subject.sampled(dtype, range(clips))
        every, worst = latent_errors(found, latents)
        cells: list[Any] = [subject.name, subject.card, dtype, clips, f"{every:.1e}", f"{worst:.1e}"]
        if real is not None and old is not None:
            value, low, high = difference(real, subject.features(frames), old)
            base = frechet_distance_between(real, old)
            cells += [f"{base:.3f}", f"{value:+.4f}", f"{low:+.4f} to {high:+.4f}"]
        else:
            cells += ["", "", ""]
        yield f"| {' | '.join(map(str, cells))} |"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--subject", "names", multiple=True, default=("demo",), help="demo, or a size such as Latte-S/2.")
@click.option("--clips", default=64)
@click.option("--device", default="cpu")
@click.option("--batch-size", default=16)
@click.option("--write", type=click.Path(path_type=Path), help="Page whose table is replaced.")
def main(names: tuple[str, ...], clips: int, device: str, batch_size: int, write: Path | None) -> None:
    """Print a Markdown table, row after row."""
    lines = [f"With {DETECTOR}: values are not comparable with published ones.", "", *HEAD.splitlines()]
    click.echo("\n".join(lines))
    for name in names:
        for row in rows_of(Subject(name, device, batch_size), clips):
            click.echo(row)
            lines.append(row)
    if write is not None:
        put_between(write, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()
