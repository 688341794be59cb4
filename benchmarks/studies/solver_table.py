"""Samplers side by side on the `shapes` benchmark: steps, FVD with its interval, processor seconds per clip.

    python -m latte_eval.benchmarks.studies.solver_table --write docs/samplers.md

Values come from `latte-eval fvd` on the shipped checkpoint; times from sampling eight clips alone, in one process, the
best of three.
"""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import torch

from latte_eval.benchmarks.studies.ablations import put_between
from latte_eval.sampler import SampledSource, SamplerSettings, load_checkpoint, open_codec

BEGIN, END = "<!-- begin solvers -->", "<!-- end solvers -->"
ROWS = (
    ("ddpm", 250), ("ddpm", 50), ("ddim", 50), ("ddim", 20), ("ddim", 10),
    ("dpmsolver++", 50), ("dpmsolver++", 20), ("dpmsolver++", 10), ("unipc", 20), ("unipc", 10), ("unipc", 5),
)  # fmt: skip
TIMED_CLIPS, REPEATS = 8, 3


def demo_path() -> str:
    """The shipped checkpoint, as a file."""
    return str(importlib.resources.files("latte_eval.sampler") / "embedded" / "demo.pt")


def measure(sampler: str, steps: int, clips: int) -> dict[str, Any]:
    """One line of `latte-eval fvd --json`."""
    command = [sys.executable, "-c", "from latte_eval.cli import main; main()", "fvd", "--ckpt", demo_path(),
               "--benchmark", "shapes", "--detector", "seeded", "--sampler", sampler, "--steps", str(steps),
               "--clips", str(clips), "--json"]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def seconds_a_clip(sampler: str, steps: int) -> float:
    """Processor time of sampling and decoding on one thread, without detector, best of a few."""
    checkpoint = load_checkpoint(demo_path())
    settings = SamplerSettings(method=sampler, steps=steps, clip_x0=True)
    source = SampledSource(checkpoint, checkpoint.build(), open_codec("identity", 3, "cpu", "fp32"), settings, 64)
    times = []
    for repeat in range(REPEATS):
        started = time.process_time()
        source.clips(range(repeat * TIMED_CLIPS, (repeat + 1) * TIMED_CLIPS))
        times.append((time.process_time() - started) / TIMED_CLIPS)
    return min(times)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--clips", default=128)
@click.option("--write", type=click.Path(path_type=Path), help="Page whose table is replaced.")
def main(clips: int, write: Path | None) -> None:
    """Measure every sampler on the shipped checkpoint and print a Markdown table."""
    torch.set_num_threads(1)
    lines = [f"{clips} clips of the shipped checkpoint, i3d-seeded, clipped x0, guidance 1.", ""]
    lines += ["| sampler | steps | FVD | 95 % interval | processor seconds a clip |", "| --- | --- | --- | --- | --- |"]
    for sampler, steps in ROWS:
        result, seconds = measure(sampler, steps, clips), seconds_a_clip(sampler, steps)
        low, high = result["interval"]
        lines.append(f"| {sampler} | {steps} | {result['value']:.2f} | {low:.2f} to {high:.2f} | {seconds:.3f} |")
    if write is not None:
        put_between(write, BEGIN, END, "\n".join(lines))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
