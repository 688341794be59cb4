"""A whole pass over sampled clips beside sampling alone: what decoding, storage and detectors add to the time.

    python benchmarks/speed/beside.py --device cuda --clips 32 --batch-size 4
    python benchmarks/speed/beside.py --device cpu --model Latte-S/8 --clips 4 --steps 2 --batch-size 2 --vae vae-seeded

Every pass takes the same clips: 16 frames of 256x256 from a model and a VAE of random weights, stored as H.264, looked
at by seeded detectors. The first row samples and throws the latents away. Prints a Markdown table.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch

from latte_eval.core.clips import in_batches
from latte_eval.evaluation.extract import extract
from latte_eval.evaluation.stored import StoredSource
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.sampler import Checkpoint, SampledSource, SamplerSettings, VaeCodec
from latte_eval.sampler.diffusion import DTYPES
from latte_eval.sampler.latte.config import latte_config
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.memory import gib
from latte_eval.sampler.vae import SD_VAE_CONFIG, quiet_autoencoder

DETECTORS = ("i3d-seeded", "inception-seeded", "c3d-seeded")
STORAGE = ("h264-crf5",)


@dataclass(frozen=True)
class Pass:
    """What one pass took: seconds, and the most memory that was allocated on the card, 0 on a CPU."""

    seconds: float
    peak: int


def timed(work: Callable[[], object], device: torch.device) -> Pass:
    """Run it once."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    work()
    if cuda:
        torch.cuda.synchronize(device)
    return Pass(time.perf_counter() - started, torch.cuda.max_memory_allocated(device) if cuda else 0)


def random_source(model: str, vae: str, settings: SamplerSettings, clips: int, device: str) -> SampledSource:
    """A checkpoint of random weights, which cost what trained ones do."""
    torch.manual_seed(0)
    latte = Latte(latte_config(model))
    latte.load_state_dict({key: torch.randn_like(value) * 0.02 for key, value in latte.state_dict().items()})
    dtype = torch.float32 if settings.dtype == "fp32" or device == "cpu" else torch.float16
    seeded, published = vae == "vae-seeded", quiet_autoencoder()
    codec = VaeCodec.seeded(device, dtype) if seeded else VaeCodec(published(**SD_VAE_CONFIG), vae, None, device, dtype)
    checkpoint = Checkpoint("random", Path("random"), "0" * 64, 0, {}, "ema")
    return SampledSource(checkpoint, latte, codec, settings, clips, device)


def sample_alone(source: SampledSource, batch_size: int) -> None:
    """The latents of all clips, which nobody looks at."""
    for batch in in_batches(range(len(source)), batch_size):
        source.latents(batch)


def whole_pass(
    source: SampledSource, detectors: list[Detector], batch_size: int, workers: int, clips: int | None = None
) -> None:
    """All clips, or the first ones, through everything, into a run folder."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        extract(StoredSource(source, STORAGE), detectors, run, at_most=clips, batch_size=batch_size, workers=workers)


def passes(source: SampledSource, detectors: list[Detector], batch_size: int, workers: list[int]) -> Iterator[str]:
    """A row for each pass, as soon as it is done."""
    alone = timed(partial(sample_alone, source, batch_size), source.device)
    yield row("sampling alone", alone, alone, len(source))
    for count in workers:
        name = f"everything, {count} workers" if count else "everything, one after the other"
        found = timed(partial(whole_pass, source, detectors, batch_size, count), source.device)
        yield row(name, found, alone, len(source))


def row(name: str, found: Pass, alone: Pass, clips: int) -> str:
    """A pass, and the time it takes beyond sampling alone."""
    extra = f"{found.seconds / alone.seconds - 1:+.1%}"
    peak = gib(found.peak) if found.peak else "-"
    return f"| {name} | {found.seconds:.2f} | {found.seconds / clips:.3f} | {extra} | {peak} |"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--device", default="cuda")
@click.option("--model", default="Latte-XL/2")
@click.option("--vae", type=click.Choice(["published", "vae-seeded"]), default="published", help="Its architecture.")
@click.option("--clips", default=32)
@click.option("--steps", default=250)
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="bf16")
@click.option("--batch-size", default=4)
@click.option("--workers", default="0,8", help="With commas; a pass for each.")
@click.option("--detectors", default=",".join(DETECTORS), help="With commas.")
def main(
    device: str, model: str, vae: str, clips: int, steps: int, dtype: str, batch_size: int, workers: str, detectors: str
) -> None:
    """Print the table, each row as soon as it is known."""
    source = random_source(model, vae, SamplerSettings("ddpm", steps, clip_x0=True, dtype=dtype), clips, device)
    networks = [open_detector(name, device) for name in detectors.split(",")]
    card = torch.cuda.get_device_name(source.device) if source.device.type == "cuda" else "CPU"
    click.echo(
        f"{card}, torch {torch.__version__}; {model}, {steps} steps, {dtype}, {clips} clips, {batch_size} at once"
    )
    click.echo("\n| pass | seconds | s a clip | beyond sampling alone | peak on the card |")
    click.echo("| --- | ---: | ---: | ---: | ---: |")
    # What is loaded, chosen or compiled once is not timed.
    whole_pass(source, networks, batch_size, 0, max(2, batch_size))
    for each in passes(source, networks, batch_size, [int(count) for count in workers.split(",")]):
        click.echo(each)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
