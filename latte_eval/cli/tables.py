"""`table1` to `table4`: the tables of the paper, as published and as measured; `table-vdt`: other systems."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latte_eval.baselines.table import PARQUET, RENDERERS, Table, render, tables_to_parquet
from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.config import Configured
from latte_eval.cli.options import FOLDER, partial_option, run_options, sampler_options, stack, workers_option
from latte_eval.cli.stopping import continues, run_continues
from latte_eval.core.errors import UsageError
from latte_eval.core.processes import rank

if TYPE_CHECKING:
    from latte_eval.core.result import Result
    from latte_eval.evaluation.request import Request

format_option = click.option(
    "--format", "form", type=click.Choice([*RENDERERS, PARQUET]), default="md", show_default=True, help="Of the table; "
    "parquet goes to a file: > FILE.",
)  # fmt: skip
measured_options = stack(
    format_option,
    click.option("--results", type=FOLDER, metavar="DIR", help="Finished runs: a results.jsonl or a folder of runs."),
    click.option("--ckpt-dir", type=FOLDER, metavar="DIR", help="Folder of the published checkpoints."),
    click.option("--data-dir", type=FOLDER, metavar="DIR", help="Folder of the datasets."),
    click.option("--only", metavar="NAMES", help="Datasets to run, such as skytimelapse,ucf101."),
    click.option("--clips", type=int, metavar="N", help="N clips of each side: quick, and not comparable."),
    partial_option,
    click.option("--detector", "detectors", multiple=True, metavar="NAME", help="Replace a default detector."),
    click.option("--no-interval", is_flag=True, help="Skip the interval."),
    sampler_options,
    run_options,
    workers_option,
    quiet_option,
)


@click.command(cls=Configured, epilog="Example: latte-eval table1 --results runs")
@measured_options
def table1(**options: Any) -> None:
    """Table 1: Inception Score on UCF101 and FID on FaceForensics.

    Without options the published numbers. With --results, measured ones beside them. With --ckpt-dir and --data-dir,
    what is missing is run first, into the folder --results; the same command continues.
    """
    show_distance_table("table1", **options)


@click.command(
    cls=Configured, epilog="Example: latte-eval table2 --ckpt-dir ckpts --data-dir data --only skytimelapse,ucf101"
)
@measured_options
def table2(**options: Any) -> None:
    """Table 2: FVD on FaceForensics, SkyTimelapse, UCF101 and Taichi-HD.

    Without options the published numbers. With --results, measured ones beside them. With --ckpt-dir and --data-dir,
    what is missing is run first, into the folder --results; the same command continues.
    """
    show_distance_table("table2", **options)


@click.command(epilog="Example: latte-eval table3 --measure")
@format_option
@click.option("--measure", is_flag=True, help="Count parameters and operations, without weights, in seconds.")
def table3(form: str, measure: bool) -> None:
    """Table 3: parameters and FLOPs of the four variants, counted the paper's way and in truth."""
    from latte_eval.compare.tables import cost_table

    show_tables([cost_table(measure)], form)


@click.command(epilog="Example: latte-eval table4 --measure")
@format_option
@click.option("--measure", is_flag=True, help="Count parameters, without weights, in seconds.")
def table4(form: str, measure: bool) -> None:
    """Table 4: sizes S, B, L and XL."""
    from latte_eval.compare.tables import size_table

    show_tables([size_table(measure)], form)


def show_tables(tables: Sequence[Table], form: str) -> None:
    """Print tables. Raises `UsageError` for Parquet on a terminal."""
    if form != PARQUET:
        click.echo(render(tables, form))
        return
    if sys.stdout.isatty():
        raise UsageError("--format parquet is no text: send it to a file with > FILE.parquet")
    data = tables_to_parquet(tables)
    sys.stdout.buffer.write(data)


@click.command(name="table-vdt", epilog="Example: latte-eval table-vdt --results runs")
@format_option
@click.option("--results", type=FOLDER, metavar="DIR", help="Finished runs: a results.jsonl or a folder of runs.")
def table_vdt(form: str, results: Path | None) -> None:
    """VDT and Video LDM: their published numbers, one table a protocol, and none of them beside Table 2.

    With --results, also what was measured of VDT checkpoints, of Stable Video Diffusion and of text-to-video relatives,
    each with its protocol.
    """
    from latte_eval.compare.other_systems import system_tables

    click.echo(render(system_tables(load(results) if results else []), form))


def show_distance_table(
    name: str,
    form: str,
    results: Path | None,
    ckpt_dir: Path | None,
    data_dir: Path | None,
    only: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Print a table; with both folders, first run what it lacks."""
    from latte_eval.compare.tables import distance_tables

    if (ckpt_dir is None) != (data_dir is None):
        raise UsageError(f"--{'data' if data_dir is None else 'ckpt'}-dir is missing: a run needs both folders")
    if only is not None and ckpt_dir is None:
        raise UsageError("--only chooses what to run: it needs --ckpt-dir and --data-dir")
    if ckpt_dir and data_dir:
        results = results or Path("runs")
        with continues(run_continues(results)):
            run_missing(name, results, ckpt_dir, data_dir, only, TerminalReporter(quiet), options)
    if rank():
        return
    found = load(results) if results else []
    tables: list[Table] = distance_tables(name, found)
    show_tables(tables, form)


def load(path: Path) -> list[Result]:
    from latte_eval.compare.results import load_results

    return load_results(path)


def run_missing(
    name: str,
    runs: Path,
    checkpoints: Path,
    data: Path,
    only: str | None,
    reporter: TerminalReporter,
    options: dict[str, Any],
) -> None:
    """Measure what the finished runs below `runs` lack."""
    from latte_eval.evaluation.pipeline import evaluate
    from latte_eval.evaluation.table_runs import chosen_columns, missing, table_requests
    from latte_eval.files.run_folder import RunFolder
    from latte_eval.files.team import team_at

    requests = table_requests(chosen_columns(name, only), checkpoints, data, runs, request_maker(options))
    team = team_at(RunFolder(runs).make().path, options["on_lost"])
    with team.first(team.number(name)) as said:  # runs may be finished while the last process starts
        if team.rank == 0:
            done = load(runs) if any(runs.rglob("results.jsonl")) else []
            said["lacking"] = [str(request.out) for request in missing(requests, done)]
    lacking = [request for request in requests if str(request.out) in said["lacking"]]
    reporter.say(f"{name}: {len(requests) - len(lacking)} of {len(requests)} are measured, {len(lacking)} to run")
    for request in lacking:
        reporter.say(f"{request.benchmark}: {request.metrics[0]} of {request.ckpt}")
        evaluate(request, reporter)


def request_maker(options: dict[str, Any]) -> Callable[..., Request]:
    """A function that makes a request under the options of the command line."""
    from latte_eval.cli.score import to_request

    def make(metrics: Sequence[str], **fields: Any) -> Request:
        return to_request(tuple(metrics), params=(), **fields, **options)

    return make
