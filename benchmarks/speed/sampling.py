"""Latte on one device, choice by choice, as a share of the device's measured matrix rate; then the VAE and detectors.

    python benchmarks/speed/sampling.py --device cuda
    python benchmarks/speed/sampling.py --device cpu --model Latte-S/8 --batch-sizes 1,2 --parts steps,loop

The baseline is the published script's setting: fp16, explicit softmax, batch 2. Prints Markdown tables, row after row,
most important first; a row that fails says why, and past `--seconds` no further one is started. Parts:

    steps      one forward pass under one choice after the other (`CHOICES`)
    batches    batch sizes, under what latte-eval does by itself
    loop       whole steps of sampling: noise drawn by the step or ahead, a smaller model, guidance
    memory     the measured peak beside the one that `memory.py` counts
    others     VAE decoding and the detectors
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from latte_eval.sampler import IdentityCodec, SampledSource, SamplerSettings
from latte_eval.sampler.checkpoint import Checkpoint
from latte_eval.sampler.compiled import step_flops
from latte_eval.sampler.latte import attention as attention_module
from latte_eval.sampler.latte.attention import FEW_TOKENS, MLP, attend
from latte_eval.sampler.latte.config import latte_config
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.memory import gib, step_memory
from latte_eval.sampler.model import run_block
from latte_eval.sampler.vae import VaeCodec

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CLASSES = 101


@dataclass
class Bench:
    """What is measured on, and when it ends."""

    device: str
    model: str
    repeats: int
    until: float
    batch_sizes: list[int]
    rates: dict[str, float] = field(default_factory=dict)
    baseline: float | None = None

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object], warm: int = 1) -> float:
        """Median seconds of one call."""
        times = []
        for _ in range(warm + self.repeats):
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return sorted(times[warm:])[self.repeats // 2]

    def rate(self, dtype: str) -> float:
        """TFLOP/s of a large square product: what the device can do at all."""
        if dtype not in self.rates:
            side = 8192 if self.on_gpu else 1024
            a, b = (torch.randn(side, side, device=self.device, dtype=DTYPES[dtype]) for _ in range(2))
            self.rates[dtype] = 2 * side**3 / self.seconds(lambda: a @ b, 3) / 1e12
        return self.rates[dtype]

    def random_model(self, name: str, dtype: str) -> Latte:
        """A model whose weights are noise: they do not change what it costs."""
        with torch.device("meta"):
            model = Latte(latte_config(name, classes=CLASSES))
        model = model.to(DTYPES[dtype]).to_empty(device=self.device).requires_grad_(False).eval()
        for parameter in model.parameters():
            parameter.normal_(0, 0.02)
        return model

    def inputs(self, model: Latte, clips: int) -> tuple[Tensor, Tensor, Tensor]:
        c, dtype = model.config, next(model.parameters()).dtype
        shape = (clips, c.frames, c.channels, c.input_size, c.input_size)
        whole = torch.full((clips,), 50, device=self.device)
        return torch.randn(shape, device=self.device, dtype=dtype), whole * 10, whole

    def row(self, title: str, measure: Callable[[], list[str]]) -> None:
        """Print a row, whatever happens, while there is time."""
        if time.perf_counter() > self.until:
            click.echo(f"| {title} | not started: no time left |")
            return
        try:
            cells = measure()
        except Exception as error:
            cells = [f"failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}"]
        click.echo(f"| {' | '.join([title, *cells])} |")


@dataclass(frozen=True)
class Choice:
    """One way to run the network.

    Attributes:
        compiled: None, `blocks` (each kind once) or `whole`.
        mode: of `torch.compile`.
        patches: stand-ins for parts of the network.
    """

    title: str
    dtype: str = "bf16"
    clips: int = 32
    backend: SDPBackend | None = None
    compiled: str | None = None
    mode: str = "default"
    patches: tuple[tuple[Any, str, Any], ...] = ()


def sums_for_short(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same over time by sums of products, which a compiler fuses into one kernel."""
    if query.shape[-2] > FEW_TOKENS:
        return attend(query, key, value)
    scores = (query[..., :, None, :].float() * key[..., None, :, :].float()).sum(-1) * query.shape[-1] ** -0.5
    return (scores.softmax(-1)[..., None] * value[..., None, :, :].float()).sum(-2).to(value.dtype)


@torch.library.custom_op("latte_bench::linear_gelu", mutates_args=())
def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer whose matrix product applies GELU (tanh form) before it writes."""
    flat = torch._addmm_activation(bias, x.reshape(-1, x.shape[-1]), weight.t(), use_gelu=True)
    return flat.view(*x.shape[:-1], -1)


@linear_gelu.register_fake
def fake_linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


def mlp_in_two_kernels(self: MLP, x: Tensor) -> Tensor:
    return self.fc2(linear_gelu(x, self.fc1.weight, self.fc1.bias))


FUSED = ((attention_module, "takes_products", lambda query: False),)
PRODUCTS = ((attention_module, "takes_products", lambda query: query.shape[-2] <= FEW_TOKENS),)
SUMS = ((attention_module, "attend", sums_for_short),)
GELU = ((MLP, "forward", mlp_in_two_kernels),)

CHOICES = [
    Choice("as published: fp16, explicit softmax", "fp16", 2, SDPBackend.MATH),
    Choice("bf16, fused attention", "bf16"),
    Choice("bf16, compiled blocks, products over time", compiled="blocks"),
    Choice("bf16, compiled blocks, fused attention over time", compiled="blocks", patches=FUSED),
    Choice("bf16, compiled blocks, products over time, tuned", compiled="blocks", mode="max-autotune-no-cudagraphs"),
    Choice("bf16, compiled whole, CUDA graph", compiled="whole", mode="reduce-overhead"),
    Choice("bf16, compiled blocks, products over time and GELU inside the product", compiled="blocks", patches=GELU),
    Choice("bf16, compiled blocks, GELU inside the product", compiled="blocks", patches=FUSED + GELU),
    Choice("bf16, compiled whole", compiled="whole"),
    Choice("fp16, fused attention", "fp16"),
    Choice("fp16, compiled blocks, products over time", "fp16", compiled="blocks"),
    Choice("bf16, cuDNN attention", backend=SDPBackend.CUDNN_ATTENTION),
    Choice("bf16, memory-efficient attention", backend=SDPBackend.EFFICIENT_ATTENTION),
    Choice("bf16, products over time", patches=PRODUCTS),
    Choice("bf16, GELU inside the product", patches=GELU),
    Choice("bf16, compiled blocks, sums over time", compiled="blocks", patches=SUMS),
]


@contextlib.contextmanager
def applied(choice: Choice) -> Iterator[None]:
    """The patches and the kernel of a choice."""
    with contextlib.ExitStack() as stack:
        for owner, name, stand_in in choice.patches:
            stack.enter_context(patch.object(owner, name, stand_in))
        if choice.backend is not None:
            stack.enter_context(sdpa_kernel([choice.backend, SDPBackend.MATH]))
        stack.enter_context(torch.no_grad())
        yield


def callable_of(model: Latte, choice: Choice) -> Callable[..., Tensor]:
    """The model as a choice runs it."""
    torch._dynamo.reset()
    model.run_block = run_block
    if choice.compiled == "blocks":
        model.run_block = torch.compile(run_block, dynamic=False, mode=choice.mode)
    return torch.compile(model, dynamic=False, mode=choice.mode) if choice.compiled == "whole" else model


def measure_choice(bench: Bench, model: Latte, choice: Choice) -> list[str]:
    """Milliseconds a clip and step, TFLOP/s, share of the matrix rate, ratio to the baseline, seconds to begin."""
    clips = choice.clips if bench.on_gpu else min(choice.clips, max(bench.batch_sizes))
    with applied(choice):
        forward, inputs = callable_of(model, choice), bench.inputs(model, clips)
        started = time.perf_counter()
        forward(*inputs)
        bench.wait()
        first = time.perf_counter() - started
        clip = bench.seconds(partial(forward, *inputs), 2) / clips
    rate, speed = bench.rate(choice.dtype), step_flops(model.config) / clip / 1e12
    bench.baseline = bench.baseline or clip
    return [str(clips), f"{clip * 1e3:.2f}", f"{speed:.1f}", f"{speed / rate:.0%}", f"{bench.baseline / clip:.2f}",
            f"{first:.1f}"]  # fmt: skip


HEAD = "| batch | ms a clip and step | TFLOP/s | of matmul | x baseline | s first call |\n"
LINE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"


def steps_part(bench: Bench) -> None:
    click.echo(f"| choice {HEAD}{LINE}")
    models: dict[str, Latte] = {}
    for choice in CHOICES:
        if choice.dtype not in models:
            models[choice.dtype] = bench.random_model(bench.model, choice.dtype)
        bench.row(choice.title, partial(measure_choice, bench, models[choice.dtype], choice))


def batches_part(bench: Bench) -> None:
    click.echo(f"| batches {HEAD}{LINE}")
    model = bench.random_model(bench.model, "bf16")
    for clips in bench.batch_sizes:
        choice = Choice("bf16, as it is", clips=clips)
        bench.row(choice.title, partial(measure_choice, bench, model, choice))


def source_of(bench: Bench, name: str, clips: int, **choices: Any) -> SampledSource:
    """A checkpoint of random weights."""
    compiled, settings = choices.pop("compiled", False), SamplerSettings(dtype="bf16", **choices)
    checkpoint = Checkpoint("random", Path("random"), "0" * 64, 0, {}, "ema")
    return SampledSource(checkpoint, bench.random_model(name, "bf16"), Latents(), settings, clips, bench.device,
                         compiled=compiled, say=click.echo)  # fmt: skip


class Latents(IdentityCodec):
    """Latents that nobody decodes."""

    channels = 4


def by_the_step(draw: Callable[[], Tensor]) -> Iterator[Tensor]:
    """Noise that is drawn when it is asked for."""
    while True:
        yield draw()


def measure_loop(bench: Bench, name: str, clips: int, ahead: bool, **choices: Any) -> list[str]:
    """Milliseconds a clip and step of the whole loop, and TFLOP/s."""
    steps = 12 if bench.on_gpu else 2
    source = source_of(bench, name, clips, steps=steps, **choices)
    serial = patch("latte_eval.sampler.sources.drawn_ahead", by_the_step)
    with contextlib.nullcontext() if ahead else serial:
        clip = bench.seconds(lambda: source.latents(range(clips))) / clips / steps
    work = step_flops(source.model.config) * (2 if source.settings.guidance_scale != 1 else 1)
    speed = work / clip / 1e12
    return [str(clips), f"{clip * 1e3:.2f}", f"{speed:.1f}", f"{speed / bench.rate('bf16'):.0%}"]


def loop_part(bench: Bench) -> None:
    click.echo(
        "| whole loop, bf16 | batch | ms a clip and step | TFLOP/s | of matmul |\n| --- | ---: | ---: | ---: | ---: |"
    )
    most = max(bench.batch_sizes) if not bench.on_gpu else 32
    small = bench.model.replace("XL", "S").replace("Latte-L", "Latte-S")
    rows: list[tuple[str, str, bool, dict[str, Any]]] = [
        (f"{bench.model}, noise ahead", bench.model, True, {}),
        (f"{bench.model}, noise by the step", bench.model, False, {}),
        (f"{bench.model}, guided", bench.model, True, {"guidance_scale": 7.0}),
        (f"{small}, noise ahead", small, True, {}),
        (f"{small}, noise by the step", small, False, {}),
        (f"{bench.model}, compiled, noise ahead", bench.model, True, {"compiled": True}),
    ]
    for title, name, ahead, choices in rows:
        bench.row(title, partial(measure_loop, bench, name, most, ahead, **choices))


def measure_memory(bench: Bench, clips: int, scale: float, compiled: bool) -> list[str]:
    """The measured peak beside the weights, and the one that is counted."""
    source = source_of(bench, bench.model, clips, steps=2, guidance_scale=scale, compiled=compiled)
    source.latents(range(clips))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    source.latents(range(clips))
    found = torch.cuda.max_memory_allocated() - before
    counted = step_memory(source.model.config, "bf16", scale != 1).beside_weights(clips)
    return [str(clips), gib(found), gib(counted), f"{found / counted:.2f}"]


def memory_part(bench: Bench) -> None:
    click.echo("| memory of a step, bf16 | batch | measured | counted | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    if not bench.on_gpu:
        return
    for scale, compiled in ((1.0, False), (7.0, False), (1.0, True)):
        title = f"guidance {scale:g}{', compiled' if compiled else ''}"
        bench.row(title, partial(measure_memory, bench, 32, scale, compiled))


def stable_diffusion_vae() -> Any:
    """The published architecture with random weights, which cost the same."""
    from diffusers import AutoencoderKL

    widths = (128, 256, 512, 512)
    down, up = ["DownEncoderBlock2D"] * 4, ["UpDecoderBlock2D"] * 4
    return AutoencoderKL(3, 3, down, up, widths, layers_per_block=2, latent_channels=4, sample_size=256)


def decoding(bench: Bench, clips: int, dtype: str) -> Callable[[], object]:
    vae = VaeCodec(stable_diffusion_vae(), "random", None, bench.device, DTYPES[dtype])
    latents = torch.randn(clips, 16, 4, 32, 32, device=bench.device)
    return lambda: vae.decode(latents)


def measure_other(bench: Bench, prepare: Callable[[], Callable[[], object]], clips: int) -> list[str]:
    return [f"{bench.seconds(prepare()) / clips * 1e3:.1f}"]


def others_part(bench: Bench) -> None:
    """VAE decoding and detectors with seeded weights, clips of 16 frames at 256x256."""
    from latte_eval.metrics.detectors import open_detector

    click.echo("| what | ms a clip |\n| --- | ---: |")
    clips = 8 if bench.on_gpu else 1
    pixels = torch.randint(0, 256, (clips, 3, 16, 256, 256), dtype=torch.uint8)
    works: dict[str, Callable[[], Callable[[], object]]] = {
        f"Stable Diffusion VAE, decode, {dtype}": partial(decoding, bench, clips, dtype) for dtype in ("fp32", "fp16")
    }
    for name in ("i3d-seeded", "inception-seeded", "c3d-seeded"):
        works[name] = partial(lambda name: partial(open_detector(name, bench.device), pixels), name)
    for title, prepare in works.items():
        bench.row(title, partial(measure_other, bench, prepare, clips))


PARTS: dict[str, Callable[[Bench], None]] = {
    "steps": steps_part, "batches": batches_part, "loop": loop_part, "memory": memory_part, "others": others_part,
}  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--device", default="cuda")
@click.option("--model", default="Latte-XL/2")
@click.option("--batch-sizes", default="2,8,16,32,64", help="With commas.")
@click.option("--repeats", default=3)
@click.option("--seconds", default=240.0, help="After so many no further row is started.")
@click.option("--parts", default=",".join(PARTS), help="With commas.")
def main(device: str, model: str, batch_sizes: str, repeats: int, seconds: float, parts: str) -> None:
    """Print one table a part."""
    until = time.perf_counter() + seconds
    bench = Bench(device, model, repeats, until, [int(size) for size in batch_sizes.split(",")])
    card = torch.cuda.get_device_name() if bench.on_gpu else "CPU"
    click.echo(f"{card}, torch {torch.__version__}, {model}")
    for dtype in ("bf16", "fp16"):
        click.echo(f"matrix product, {dtype}: {bench.rate(dtype):.2f} TFLOP/s")
    for name in parts.split(","):
        started = time.perf_counter()
        click.echo("")
        PARTS[name](bench)
        click.echo(f"\n{name}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
