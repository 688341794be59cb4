"""`stats`: the features of a real set in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.config import Configured
from latte_eval.cli.options import FOLDER, protocol_options, run_options, workers_option
from latte_eval.cli.score import metric_names, to_request
from latte_eval.cli.stopping import continues, run_continues
from latte_eval.cli.types import NameType


@click.command(
    cls=Configured, epilog="Example: latte-eval stats --real /data/UCF-101 --benchmark ucf101 --out ucf101.safetensors"
)
@click.option("--real", type=FOLDER, required=True, metavar="DIR|ZIP", help="Real videos, frame folders, a zip.")
@click.option(
    "--benchmark", type=NameType(BENCHMARKS), metavar="NAME", help="The dataset that it is, as for latte-eval fvd."
)
@click.option("--metrics", default="fvd", show_default=True, help="Whose features to store, with commas.")
@protocol_options
@run_options
@workers_option
@click.option("--out", "path", type=FOLDER, required=True, metavar="FILE", help="A .safetensors file.")
@quiet_option
def stats(metrics: str, path: Path, quiet: bool, **options: Any) -> None:
    """Store the features of a real set in one file, which then serves as --real."""
    from latte_eval.core.errors import UsageError
    from latte_eval.evaluation.pipeline import compute_stats

    if path.suffix != ".safetensors":
        raise UsageError(f"--out {path} must end in .safetensors: by that name --real knows it")
    request = to_request(metric_names(metrics), **options)
    with continues(run_continues(request.run_folder.path)):
        count = compute_stats(request, path, TerminalReporter(quiet))
    detectors = ", ".join(request.detector_names())
    if not count:
        return
    click.echo(f"{path}: {count:,} clips, protocol {request.resolved_protocol().id}, {detectors}")
