"""`curve`: a metric over the checkpoints of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from latte_eval.cli.bars import TerminalReporter
from latte_eval.cli.config import Configured
from latte_eval.cli.options import (
    FOLDER,
    METRIC,
    PLACE,
    one_of,
    output_options,
    protocol_options,
    real_options,
    run_options,
    sampler_options,
    stack,
    workers_option,
)
from latte_eval.cli.stopping import continues, run_continues
from latte_eval.metrics.rows import METRICS

curve_options = stack(real_options, protocol_options, sampler_options, run_options, workers_option, output_options)


@click.command(
    cls=Configured, epilog="Example: latte-eval curve run/*.pt --metric fvd --benchmark shapes --detector seeded"
)
@click.argument("ckpts", type=PLACE, nargs=-1, required=True, metavar="CKPT|DIR...")
@click.option("--metric", type=METRIC, default="fvd", show_default=True, help=f"{one_of(METRICS)}.")
@click.option("--plot", type=FOLDER, default=Path("curve"), show_default=True, metavar="STEM|FILE",
              help="Writes STEM.png and STEM.svg, or one FILE.")  # fmt: skip
@curve_options
def curve(ckpts: tuple[str, ...], metric: str, plot: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Value against iteration for several checkpoints, as a table and a plot.

    Checkpoints in one folder are one run; several runs are drawn over each other. Typed again, the command continues
    where it was stopped and measures only what is new.
    """
    from latte_eval.cli.score import to_request
    from latte_eval.core.choices import check_name
    from latte_eval.evaluation.curve import curve_to_text, draw_curve, measure_curve, points_of_run

    check_name("metric", metric, METRICS)
    paths, reporter = plot_paths(plot), TerminalReporter(quiet)
    request, measured = to_request((metric,), **options), []
    with continues(run_continues(request.run_folder.place)):
        for each in measure_curve(request, points_of_run(request, ckpts), reporter):
            measured.append(each)
            draw_curve(measured, paths)
            if as_json:
                click.echo(each.result.to_json())
    if measured and not as_json:
        click.echo(curve_to_text(measured))
    if measured:
        reporter.say(f"plots: {', '.join(map(str, paths))}")


def plot_paths(plot: Path) -> list[Path]:
    """A .png and a .svg for a stem, the file itself for a file name. Raises `UsageError` for another kind of plot."""
    from latte_eval.core.errors import UsageError

    if plot.suffix in (".png", ".svg"):
        return [plot]
    if plot.suffix in (".pdf", ".jpg", ".jpeg", ".gif"):
        raise UsageError(f"--plot {plot}: plots are .png or .svg")
    return [plot.with_name(plot.name + suffix) for suffix in (".png", ".svg")]
