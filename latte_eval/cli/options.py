"""Option stacks that several commands share: the same words mean the same thing in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import click

from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.cli.bars import quiet_option
from latte_eval.cli.types import MetricName, NameType, PulledPath, RunPlace, UserPath
from latte_eval.core.devices import AUTO
from latte_eval.core.protocol import CHOICES
from latte_eval.core.protocols import PROTOCOLS
from latte_eval.files.team import ON_LOST
from latte_eval.metrics.detectors.base import DETECTORS
from latte_eval.metrics.rows import METRICS, TOGETHER
from latte_eval.sampler.samplers import SAMPLERS

F = TypeVar("F", bound=Callable[..., object])
Decorator = Callable[[F], F]

FOLDER = UserPath(path_type=Path)
# A run folder that is written, and ones that are read: all of their files, or their lines alone.
RUN, RUN_FILES, RUN_LINES = RunPlace(path_type=Path), PulledPath(), PulledPath(".jsonl")
# Of a checkpoint or a VAE: a path, or a name that is none.
PLACE = UserPath(path_type=str)
# What `--device` takes, where the machine has it.
DEVICES = (AUTO, "cpu", "cuda", "mps", "xpu")
METRIC = MetricName([*METRICS, *TOGETHER])


def one_of(names: Iterable[str]) -> str:
    """`a, b or c`"""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def stack(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


sampler_options = stack(
    click.option("--sampler", type=NameType(SAMPLERS), metavar="NAME", help=f"{one_of(SAMPLERS)}.  [default: the "
                 "benchmark's, else ddpm]"),
    click.option("--steps", type=int, help="Sampling steps.  [default: the benchmark's, else 250]"),
    click.option("--guidance-scale", "--cfg-scale", type=float, help="Classifier-free guidance; 1 is none."),
    click.option("--guidance-interval", metavar="LOW,HIGH", help="Guide at noise levels between these alone, such as "
                 "0.3,5."),
    click.option("--eta", type=float, default=0.0, help="Noise share of DDIM."),
    click.option("--clip-x0/--no-clip-x0", default=None, help="Clamp the predicted clean latents to -1..1."),
    click.option("--dtype", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", help="Of the "
                 "sampler.  [default: bf16 on a CUDA GPU, else fp32; for the demo always fp32]"),
    click.option("--compile/--no-compile", "compiled", default=None, help="Use torch.compile.  [default: on a CUDA "
                 "GPU where it saves more time than it takes]"),
    click.option("--vae", type=PLACE, default="auto", metavar="DIR|HUB", help="VAE; `identity` for pixel-space "
                 "checkpoints, `vae-seeded` for a trial without the weights."),
    click.option("--weights", type=click.Choice(["ema", "model"]), help="Which weights of the checkpoint.  [default: "
                 "EMA where there is one]"),
    click.option("--heads", type=int, help="Attention heads, where neither checkpoint nor published width tells."),
    click.option("--variant", type=int, help="2 for a checkpoint of variant 2, whose weights look like variant 1."),
    click.option("--temporal-position", type=click.Choice(["absolute", "rotary"]), help="Of a checkpoint that does "
                 "not tell."),
    click.option("--classes", type=click.IntRange(min=1), help="Classes of a checkpoint that does not tell, if its "
                 "label table has no row for the null class."),
    click.option("--resize-pos-embed", type=click.IntRange(min=1), metavar="SIDE", help="Sample a VDT at SIDE latents "
                 "a side, its positions resized (bicubic), as the published code does by itself."),
)  # fmt: skip

task_options = stack(
    click.option("--task", metavar="NAME", help="What a VDT is given of every clip: predict, backward, interpolation, "
                 "one-frame, arbitrary or completion.  [default: unconditional, nothing]"),
    click.option("--given", metavar="FRAMES", help="Given frames, such as 0:8 or 0,4,8,12, instead of --task."),
    click.option("--mask", type=FOLDER, metavar="FILE.npy", help="What is generated (1), given (0), [T] or [T, H, W] "
                 "at the size of the latents, instead of --task."),
    click.option("--mask-rule", type=click.Choice(["corrected", "upstream"]), default="corrected", help="Completion: "
                 "upstream gives a quarter of all clips whole."),
    click.option("--cond", type=click.Choice(["mask", "concat"]), default="mask", help="How it was trained: concat "
                 "for given frames before the noisy ones."),
    click.option("--samples", type=click.IntRange(min=1), default=1, help="Times that every clip is made, for psnr, "
                 "ssim and lpips: mean, and best of them."),
    click.option("--given-pixels", type=click.Choice(["round-trip", "real"]), default="round-trip", help="What given "
                 "positions show: the VAE's round trip, or the real pixels."),
    click.option("--given-latents", type=click.Choice(["mode", "drawn"]), default="mode", help="Of given frames: the "
                 "most likely latents, or drawn ones, as published."),
)  # fmt: skip

pipeline_options = stack(
    click.option("--fps", type=int, metavar="N", help="Frames a second that an image-to-video pipeline is told.  "
                 "[default: the pipeline's own; 7 in Stable Video Diffusion]"),
    click.option("--motion-bucket-id", type=int, metavar="N", help="How much motion, likewise.  [default: the "
                 "pipeline's own; 127]"),
    click.option("--noise-aug-strength", type=float, metavar="X", help="Noise on the image, likewise.  [default: the "
                 "pipeline's own; 0.02]"),
    click.option("--min-guidance-scale", type=float, metavar="X", help="Guidance of the first frame; --guidance-scale "
                 "is that of the last.  [default: the pipeline's own; 1, and 3 for the last]"),
    click.option("--decode-chunk-size", type=int, metavar="N", help="Frames that a pipeline decodes at once: fewer "
                 "take less memory.  [default: all of a clip]"),
)  # fmt: skip

lost_option = click.option(
    "--on-lost", type=click.Choice(ON_LOST), default=ON_LOST[0], show_default=True,
    help="Where one of several processes is lost: the others take over its clips, or end.",
)  # fmt: skip


def device_option(before: str = "") -> Decorator[Any]:
    """`--device`, the same everywhere."""
    words = f"{before}auto (any accelerator that torch has), cpu, cuda, cuda:1, mps or xpu."
    return click.option("--device", type=NameType(DEVICES), metavar="NAME", help=f"{words}  [default: cuda where there "
                        "is one, else cpu]")  # fmt: skip


run_options = stack(
    click.option("--seed", type=int, default=0, show_default=True, help="Chooses subset, offsets, labels and noise."),
    click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        help="Clips at once; changes speed, not the value.  "
        "[default: 8; on a GPU what fits into its memory, at most 32]",
    ),
    device_option(),
    lost_option,
)

workers_option = click.option(
    "--workers", type=click.IntRange(min=0), metavar="N", help="Threads that read and store clips beside sampling and "
    "detectors; 0 does one thing after the other. Changes speed, not the value.  [default: 1; on a GPU one for each "
    "core but one, at most 8]",
)  # fmt: skip

fake_options = stack(
    click.option("--ckpt", type=PLACE, metavar="CKPT", help="Path, hf://owner/repo/file[@rev], drive://ID, or demo."),
    click.option("--prompts", type=FOLDER, metavar="FILE", help="One prompt a line, for --ckpt of a text-to-video "
                 "pipeline."),
    click.option("--fake", type=FOLDER, metavar="DIR|FILE", help="Generated videos or arrays of any model, "
                 "instead of --ckpt."),
    click.option("--generator", metavar="MODULE:NAME", help="A generator of your own, instead of --ckpt; see "
                 "docs/generators.md."),
)  # fmt: skip

partial_option = click.option(
    "--allow-partial", is_flag=True, help="Go on where only a remnant of the benchmark's clips is there."
)
real_options = stack(
    click.option("--real", type=FOLDER, metavar="DIR|ZIP|STATS", help="Real videos, frame folders, a zip of either, "
                 "or a file that `latte-eval stats` wrote."),
    click.option("--benchmark", metavar="NAME", type=NameType(BENCHMARKS), help=f"{one_of(BENCHMARKS)}."),
    partial_option,
)  # fmt: skip

protocol_options = stack(
    click.option("--protocol", type=NameType(PROTOCOLS), metavar="NAME", help=f"{one_of(PROTOCOLS)}; latte-eval "
                 "protocols tells of them.  [default: latte on a dataset, else clean]"),
    click.option("--param", "params", multiple=True, metavar="FIELD=VALUE", help="Override a field of the protocol."),
    click.option("--clips", type=int, metavar="N", help="N clips of each side.  [default: all, or the benchmark's]"),
    click.option("--windows", type=click.Choice(CHOICES["windows"]), help="Clips a video: one, all that do not "
                 "overlap, or any: drawn out of every window of the real videos."),
    click.option("--decoder", type=click.Choice(CHOICES["decoder"]), help="What decodes video files.  [default: the "
                 "protocol's, which is pyav]"),
    click.option("--detector", "detectors", multiple=True, type=NameType([*DETECTORS, "seeded"]), metavar="NAME",
                 help="Replace a default detector, such as i3d-seeded; `seeded` replaces all of them, i3d=FILE "
                 "takes weights of your own."),
    click.option("--trust", is_flag=True, help="Open an executable archive whose hash is not pinned."),
    click.option("--splits", type=int, metavar="N", help="Of an Inception Score.  [default: 10]"),
    click.option("--no-interval", is_flag=True, help="Skip the interval."),
)  # fmt: skip

output_options = stack(
    click.option(
        "--out",
        type=RUN,
        metavar="RUN|URL",
        help="Run folder, or an address such as s3://bucket/run.  [default: a shared one in the cache]",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON line a metric on stdout, nothing else."),
    quiet_option,
)

share_option = click.option("--shard", metavar="K/N", help="Compute job K's share of N alone, K from 1, into --out; "
                            "latte-eval merge finishes.  See docs/clusters.md.")  # fmt: skip

evaluation_options = stack(
    fake_options,
    real_options,
    protocol_options,
    sampler_options,
    pipeline_options,
    task_options,
    run_options,
    workers_option,
    share_option,
    output_options,
)


# Of `--print-config`: a comment for each.
GROUPS: dict[str, Decorator[Any]] = {
    "the fake side": fake_options,
    "the real side": real_options,
    "protocol": protocol_options,
    "sampler": sampler_options,
    "what a pipeline is told": pipeline_options,
    "what is given of every clip": task_options,
    "running": stack(run_options, workers_option, share_option),
    "output": output_options,
}


@cache
def names_in(decorator: Decorator[Any]) -> frozenset[str]:
    """Names of the options that a stack adds to a function."""

    def function() -> None:
        """Nothing but a place for options."""

    return frozenset(option.name for option in decorator(function).__click_params__)
