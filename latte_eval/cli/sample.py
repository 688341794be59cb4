"""`sample`: clips of a checkpoint as mp4 files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.options import FOLDER, resolved_device, run_options, sampler_options
from latte_eval.errors import UsageError


@click.command(epilog="Example: latte-eval sample --ckpt demo --seeds 0-15 --out samples")
@click.option("--ckpt", required=True, metavar="CKPT", help="Path, hf://owner/repo/file[@revision], or demo.")
@click.option("--seeds", required=True, metavar="RANGES", help="Clip indices, such as 0-15 or 3,8,20-29.")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="Folder for 000000.mp4, 000001.mp4, ...")
@click.option("--benchmark", metavar="NAME", help="Takes its sampler settings from a benchmark.")
@sampler_options
@run_options
@quiet_option
def sample(seeds: str, out: Path, quiet: bool, device: str | None, batch_size: int | None, **options: Any) -> None:
    """Write clips of a checkpoint as mp4 files, one a seed; what is there already is not sampled again."""
    from latte_eval.samples import write_samples

    reporter = TerminalReporter(quiet)
    written, kept = write_samples(seed_ranges(seeds), out, resolved_device(device), batch_size, reporter, **options)
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
