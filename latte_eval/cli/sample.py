"""`sample`: clips of a checkpoint as mp4 files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.config import Configured
from latte_eval.cli.options import FOLDER, PLACE, run_options, sampler_options
from latte_eval.cli.stopping import continues
from latte_eval.cli.types import NameType
from latte_eval.core.devices import resolved_device
from latte_eval.core.errors import UsageError


@click.command(cls=Configured, epilog="Example: latte-eval sample --ckpt demo --seeds 0-15 --out samples")
@click.option(
    "--ckpt",
    type=PLACE,
    required=True,
    metavar="CKPT",
    help="Path, hf://owner/repo/file[@revision], drive://ID, or demo.",
)
@click.option("--seeds", required=True, metavar="RANGES", help="Clip indices, such as 0-15 or 3,8,20-29.")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="Folder for 000000.mp4, 000001.mp4, ...")
@click.option(
    "--benchmark", type=NameType(BENCHMARKS), metavar="NAME", help="Takes its sampler settings from a benchmark."
)
@sampler_options
@run_options
@quiet_option
def sample(seeds: str, quiet: bool, device: str | None, out: Path, **options: Any) -> None:
    """Write clips of a checkpoint as mp4 files, one per seed; what is there already is not sampled again.

    File 000017.mp4 is clip 17 under --seed: a function of the two alone.
    """
    from latte_eval.evaluation.cost_lines import sampling_lines
    from latte_eval.evaluation.opened_model import open_model
    from latte_eval.evaluation.request import Request
    from latte_eval.sampler import write_samples

    indices, reporter = seed_ranges(seeds), TerminalReporter(quiet)
    request = Request(device=resolved_device(device), **options)
    source = open_model(request).source(max(indices) + 1, request.device, reporter)
    batch = request.clips_at_once(source)
    missing = sum(not (out / f"{index:06d}.mp4").exists() for index in indices)
    reporter.say("\n".join(sampling_lines(source, missing, len(indices), batch)))
    going_on = continues(f"finished clips are kept in {out}, and the same command continues")
    with going_on, reporter.bar("sample", len(indices), batch=min(batch, len(indices))) as advance:
        written, kept = write_samples(source, indices, out, batch_size=batch, on_clips=advance, on_lost=request.on_lost)
    reporter.say(f"{written} clips written to {out}, {kept} were there")


def seed_ranges(text: str) -> list[int]:
    """`3,8,20-29` as sorted clip indices. Raises `UsageError`."""
    indices: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError(f"--seeds {text!r} is not a list of ranges such as 0-15 or 3,8,20-29")
        indices.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(indices)
