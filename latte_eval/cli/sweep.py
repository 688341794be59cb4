"""`sweep`: many checkpoints on many benchmarks, in this process or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latte_eval.baselines.table import render
from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.config import Configured
from latte_eval.cli.options import (
    FOLDER,
    PLACE,
    one_of,
    partial_option,
    protocol_options,
    run_options,
    sampler_options,
    stack,
)
from latte_eval.cli.statuses import is_out_of_memory
from latte_eval.cli.stopping import continues
from latte_eval.core.errors import UsageError
from latte_eval.metrics.rows import METRICS

if TYPE_CHECKING:
    from latte_eval.evaluation.request import Request
    from latte_eval.evaluation.sweep import Outcome, Sweep, Task

NOWHERE = "none"

sweep_options = stack(partial_option, protocol_options, sampler_options, run_options)


@click.command(
    cls=Configured,
    epilog="Example: latte-eval sweep ckpts/ --benchmarks all --data-dir data --metrics fvd,fid --submit slurm",
)
@click.argument("ckpts", type=PLACE, nargs=-1, required=True, metavar="CKPT|DIR...")
@click.option("--benchmarks", default="all", show_default=True, metavar="NAMES", help="Names with commas, or all whose "
              "clips are in --data-dir.")  # fmt: skip
@click.option("--data-dir", type=FOLDER, metavar="DIR", help="Folder of the datasets.")
@click.option("--metrics", default="fvd", show_default=True, help=f"Names with commas: {one_of(METRICS)}.")
@click.option("--submit", type=click.Choice([NOWHERE, "local", "slurm"]), default=NOWHERE, show_default=True,
              help="Where the jobs run: one after the other in this process, as processes of this machine, or as an "
              "array job of Slurm.")  # fmt: skip
@click.option("--array", "most", type=click.IntRange(min=1), metavar="N", help="At most N jobs at a time.  [default: "
              "all on Slurm, one a GPU here]")  # fmt: skip
@click.option("--slurm", "slurm", multiple=True, metavar="NAME=VALUE", help="An option of sbatch, such as "
              "partition=gpu, gpus_per_node=1 or time=600 (minutes; a day unless given).")  # fmt: skip
@click.option("--out", type=FOLDER, default=Path("runs"), show_default=True, metavar="DIR", help="Folder of the runs; "
              "for Slurm one that all machines reach.")  # fmt: skip
@sweep_options
@click.option("--json", "as_json", is_flag=True, help="One JSON line a result on stdout, nothing else.")
@quiet_option
def sweep(
    ckpts: tuple[str, ...], benchmarks: str, data_dir: Path | None, metrics: str, submit: str, most: int | None,
    slurm: tuple[str, ...], out: Path, as_json: bool, quiet: bool, **options: Any,
) -> None:  # fmt: skip
    """Measure many checkpoints on many benchmarks: one job for each pair, and a table at the end.

    Typed again, the command measures only what no finished result answers. A job that fails is named, with its log, and
    the others go on. With --benchmarks all, a checkpoint is measured on the benchmarks that it was made for.
    """
    from latte_eval.cli.score import metric_names
    from latte_eval.evaluation.sweep import (
        ALL,
        check_ended,
        chosen_benchmarks,
        find_checkpoints,
        plan_sweep,
        run_sweep,
        sweep_table,
    )

    if slurm and submit != "slurm":
        raise UsageError(f"--slurm goes with --submit slurm, not with --submit {submit}")
    names, reporter = metric_names(metrics), TerminalReporter(quiet)
    run_tasks = runner(submit, out, most, slurm, partial(measure, options, quiet))
    places = chosen_benchmarks(benchmarks, data_dir)
    planned = plan_sweep(find_checkpoints(ckpts), places, names, out, benchmarks != ALL, here(options))
    with continues(f"finished jobs are kept in {out}, and the same command continues"):
        run_sweep(planned, run_tasks, reporter)
    if as_json:
        show_lines(planned)
    else:
        click.echo(render([sweep_table(planned, names)]))
    check_ended(planned)


def show_lines(planned: Sweep) -> None:
    """One JSON line a result on stdout."""
    for task in planned.tasks:
        for result in planned.results(task).values():
            click.echo(result.to_json())


Runner = Callable[[Sequence["Task"]], Iterator[tuple["Task", "Outcome"]]]


def runner(
    submit: str, out: Path, most: int | None, slurm: Sequence[str], measure_it: Callable[[Task], Outcome]
) -> Runner:
    """What runs tasks. Raises `UsageError` before anything is opened where jobs cannot be made."""
    if submit == NOWHERE:
        return lambda tasks: ((task, measure_it(task)) for task in tasks)
    from latte_eval.evaluation.cluster import JOBS, Cluster, import_submitit, parse_slurm

    import_submitit()
    cluster = Cluster(submit, out.absolute() / JOBS, most, parse_slurm(slurm))
    return lambda tasks: cluster.run(tasks, measure_it)


def here(options: dict[str, Any]) -> Callable[..., Request]:
    """A function that makes a request under the options of the command line, for a look at what is measured.

    The machine that submits may lack the device of those that measure.
    """
    return partial(make_request, {**options, "device": "cpu"})


def make_request(options: dict[str, Any], metrics: Sequence[str], **fields: Any) -> Request:
    from latte_eval.cli.score import to_request

    return to_request(tuple(metrics), **{**options, **fields})


def measure(options: dict[str, Any], quiet: bool, task: Task) -> Outcome:
    """Measure one task where it runs: the device is chosen there."""
    from latte_eval.core.errors import LatteEvalError, first_line
    from latte_eval.evaluation.sweep import Outcome, measure_task

    try:
        request = make_request(options, task.metrics, **task.fields)
        return measure_task(task, request, TerminalReporter(quiet))
    except LatteEvalError as error:
        return Outcome(error=str(error))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return Outcome(error=f"out of memory ({first_line(error)}); use a smaller --batch-size")
