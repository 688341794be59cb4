"""`log`: results to a dashboard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from latte_eval.cli.options import FOLDER, RUN_LINES
from latte_eval.core.errors import UsageError


@click.command(epilog="Example: latte-eval log runs/ucf101 --tensorboard tb")
@click.argument("runs", type=RUN_LINES, nargs=-1, required=True, metavar="RUN|JSONL|URL...")
@click.option("--tensorboard", type=FOLDER, metavar="DIR", help="Event files in this folder.")
@click.option("--wandb", is_flag=True, help="Weights & Biases; WANDB_MODE=offline writes into a folder.")
@click.option("--mlflow", is_flag=True, help="MLflow, to the store that MLFLOW_TRACKING_URI names, or ./mlruns.")
@click.option("--project", default="latte-eval", show_default=True, metavar="NAME", help="Project of Weights & Biases, "
              "experiment of MLflow.")  # fmt: skip
def log(runs: tuple[Path, ...], tensorboard: Path | None, wandb: bool, mlflow: bool, project: str) -> None:
    """Value and interval of each result by training step, protocol and sampler as configuration.

    Typed again, only what is new is written, where the system can tell.
    """
    from latte_eval.compare.results import load_results
    from latte_eval.report.dashboards import log_mlflow, log_tensorboard, log_wandb, quiet_services
    from latte_eval.report.series import Series, results_to_series

    if not (tensorboard or wandb or mlflow):
        raise UsageError("say where to: --tensorboard DIR, --wandb or --mlflow")
    quiet_services()
    series = results_to_series([result for run in runs for result in load_results(run)])
    ways: list[tuple[str, Callable[[list[Series]], tuple[int, int]]]] = []
    if tensorboard:
        ways.append((f"tensorboard {tensorboard}", partial(log_tensorboard, folder=tensorboard)))
    if wandb:
        ways.append((f"wandb {project}", partial(log_wandb, project=project)))
    if mlflow:
        ways.append((f"mlflow {project}", partial(log_mlflow, project=project)))
    for name, way in ways:
        written, there = way(series)
        known = f", {there:,} were there" if there else ""
        click.echo(f"{name}: {written:,} scalars of {len(series):,} run{'s' if len(series) > 1 else ''}{known}")
