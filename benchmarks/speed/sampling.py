"""Latte-XL/2, the VAE and the detectors on one device; sampling also as a share of its measured matrix rate.

    python benchmarks/speed/sampling.py --device cuda
    python benchmarks/speed/sampling.py --device cpu --model Latte-S/8 --batch-sizes 1,2

The baseline is the published script's setting: fp16, explicit softmax, batch 2. Prints Markdown tables.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from latte_eval.metrics.detectors import open_detector
from latte_eval.sampler.cost import measure_cost, on_meta
from latte_eval.sampler.latte.config import latte_config
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.vae import VaeCodec

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def seconds(work: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of one call, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[repeats // 2]


def matmul_rate(dtype: str, device: str, repeats: int) -> float:
    """TFLOP/s of a large square product: what the device can do at all."""
    side = 8192 if device.startswith("cuda") else 1024
    a, b = (torch.randn(side, side, device=device, dtype=DTYPES[dtype]) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, device, repeats) / 1e12


@contextlib.contextmanager
def attention(kind: str) -> Iterator[None]:
    """`explicit` computes the softmax as published; `sdpa` leaves the choice of kernel to torch."""
    if kind == "sdpa":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


def random_model(name: str, device: str, dtype: str) -> Latte:
    """A fresh model: its weights do not change what it costs."""
    return Latte(latte_config(name)).requires_grad_(False).eval().to(device, DTYPES[dtype])


def sampling_rows(name: str, device: str, batch_sizes: list[int], repeats: int) -> Iterator[str]:
    """One forward pass per row: milliseconds per clip, TFLOP/s, share of the matrix rate, ratio to the baseline."""
    config = latte_config(name)
    work, baseline = measure_cost(on_meta(config)).flops, None
    for dtype, kind, sizes in (("fp16", "explicit", [2]), ("fp16", "sdpa", batch_sizes), ("bf16", "sdpa", batch_sizes)):
        rate, model = matmul_rate(dtype, device, repeats), random_model(name, device, dtype)
        for size in sizes:
            shape = (size, config.frames, config.channels, config.input_size, config.input_size)
            latents = torch.randn(shape, device=device, dtype=DTYPES[dtype])
            steps = torch.full((size,), 500, device=device)
            with torch.no_grad(), attention(kind):
                clip = seconds(partial(model, latents, steps), device, repeats) / size
            baseline, speed = baseline or clip, work / clip / 1e12
            cells = [name, dtype, kind, size, f"{clip * 1e3:.2f}", f"{speed:.1f}", f"{speed / rate:.0%}",
                     f"{baseline / clip:.2f}"]  # fmt: skip
            yield f"| {' | '.join(map(str, cells))} |"


def stable_diffusion_vae() -> Any:
    """The published architecture with random weights, which cost the same."""
    from diffusers import AutoencoderKL

    widths = (128, 256, 512, 512)
    down, up = ["DownEncoderBlock2D"] * 4, ["UpDecoderBlock2D"] * 4
    return AutoencoderKL(3, 3, down, up, widths, layers_per_block=2, latent_channels=4, sample_size=256)


def other_rows(device: str, clips: int, repeats: int) -> Iterator[str]:
    """VAE decoding and detectors with seeded weights, clips of 16 frames at 256x256."""
    pixels = torch.randint(0, 256, (clips, 3, 16, 256, 256), dtype=torch.uint8)
    vae = VaeCodec(stable_diffusion_vae(), "random", None, device)
    latents = torch.randn(clips, 16, 4, 32, 32, device=device)
    works: dict[str, Callable[[], object]] = {"Stable Diffusion VAE, decode, fp32": lambda: vae.decode(latents)}
    for name in ("i3d-seeded", "inception-seeded", "c3d-seeded"):
        works[name] = partial(open_detector(name, device), pixels)
    for title, work in works.items():
        yield f"| {title} | {seconds(work, device, repeats) / clips * 1e3:.1f} |"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--device", default="cuda")
@click.option("--model", default="Latte-XL/2")
@click.option("--batch-sizes", default="2,8,16,32", help="With commas.")
@click.option("--clips", default=8, help="Clips at once for the VAE and the detectors.")
@click.option("--repeats", default=5)
def main(device: str, model: str, batch_sizes: str, clips: int, repeats: int) -> None:
    """Print two tables: sampling steps, then everything else."""
    card = torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"
    click.echo(f"{card}, torch {torch.__version__}\n")
    click.echo("| model | dtype | attention | batch | ms a clip and step | TFLOP/s | of matmul | x baseline |")
    click.echo("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in sampling_rows(model, device, [int(size) for size in batch_sizes.split(",")], repeats):
        click.echo(row)
    click.echo("\n| what | ms a clip |\n| --- | ---: |")
    for row in other_rows(device, clips, repeats):
        click.echo(row)


if __name__ == "__main__":
    main()
