"""`compare` and `explain`: results beside each other, and why two of them differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.options import FOLDER, METRIC, RUN, RUN_FILES, RUN_LINES, run_options, workers_option
from latte_eval.cli.tables import format_option, show_tables
from latte_eval.core.errors import UsageError

if TYPE_CHECKING:
    from latte_eval.baselines.table import Table
    from latte_eval.core.result import Result


@click.command(epilog="Example: latte-eval compare before/results.jsonl after/results.jsonl")
@click.argument("files", type=RUN_LINES, nargs=-1, required=True)
@format_option
def compare(files: tuple[Path, ...], form: str) -> None:
    """Line up results by benchmark, metric and protocol. FILES are results.jsonl files or run folders, two or more."""
    from latte_eval.compare.lineup import compare_table
    from latte_eval.compare.results import load_results

    if len(files) < 2:
        raise UsageError(f"compare needs two or more results, not {len(files)}: latte-eval compare A.jsonl B.jsonl")
    show_tables([compare_table([str(file) for file in files], [load_results(file) for file in files])], form)


@click.command(epilog="Example: latte-eval explain a.jsonl b.jsonl --measure --real /data/UCF-101 --fake samples")
@click.argument("first", type=RUN_FILES)
@click.argument("second", type=RUN_LINES)
@click.option("--metric", type=METRIC, metavar="NAME", help="Only this one.  [default: every metric that both have]")
@click.option("--measure", is_flag=True, help="Re-compute the effect of each differing choice on the clips.")
@click.option("--real", type=FOLDER, metavar="DIR|ZIP", help="Real clips.  [default: where FIRST says]")
@click.option("--fake", type=FOLDER, metavar="DIR|ZIP", help="Generated clips.  [default: where FIRST says, or the "
              "features that its run stored]")  # fmt: skip
@click.option("--draws", "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Draws of subset "
              "and offset, from --seed on.")  # fmt: skip
@click.option("--clips", type=click.IntRange(min=2), metavar="N", help="At most N clips of each side: quicker.")
@click.option("--detector", "detectors", multiple=True, metavar="NAME", help="Instead of the recorded one.")
@click.option("--trust", is_flag=True, help="Open an executable archive whose hash is not pinned.")
@click.option("--out", type=RUN, metavar="RUN", help="Folder for features.  [default: a shared one in the cache]")
@run_options
@workers_option
@format_option
@quiet_option
def explain(
    first: Path, second: Path, metric: str | None, measure: bool, form: str, quiet: bool, **options: Any
) -> None:
    """Why two results differ: the fields in which they do and, with --measure, what each choice is worth."""
    from latte_eval.compare.explain import difference_table, pair_results
    from latte_eval.compare.results import load_results

    pairs = pair_results(load_results(first), load_results(second), metric)
    tables = []
    for pair in pairs:
        tables.append(difference_table(*pair))
        if measure:
            tables.append(measured(pair, first, TerminalReporter(quiet), **options))
    show_tables(tables, form)


def measured(
    pair: tuple[Result, Result],
    file: Path,
    reporter: TerminalReporter,
    *,
    fake: Path | None,
    seed: int,
    draws: int,
    clips: int | None,
    **options: Any,
) -> Table:
    """The table of effects of one pair."""
    from latte_eval.cli.score import to_request
    from latte_eval.evaluation.remeasure import effects_table, measure_effects, open_bench

    request = to_request((pair[0].metric,), no_interval=True, params=(), **options)
    run = request.run_folder.make()
    bench = open_bench(pair[0], file, request, fake, clips, run, reporter)
    return effects_table(measure_effects(bench, *pair, range(seed, seed + draws)), *pair)
