"""`report`: static pages about runs."""

from __future__ import annotations

from pathlib import Path

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.options import FOLDER, RUN_FILES, RUN_LINES


@click.command(epilog="Example: latte-eval report runs/ -o report/")
@click.argument("runs", type=RUN_FILES, nargs=-1, required=True, metavar="RUN|JSONL|URL...")
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    default=Path("report"),
    show_default=True,
    metavar="DIR",
    help="Folder for the pages; index.html is the first.",
)
@click.option("--against", type=RUN_LINES, metavar="JSONL", help="Accepted results, drawn into the curves.")
@click.option(
    "--pages",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    metavar="N",
    help="Evaluations that get a page of their own, the newest.",
)
@quiet_option
def report(runs: tuple[Path, ...], out: Path, against: Path | None, pages: int, quiet: bool) -> None:
    """Pages about runs that open without server and network: numbers, intervals, published rows, clips.

    RUNS are run folders, folders of runs, or results files. A run folder that keeps features and previews gives all of
    the page; a results file alone gives the numbers.
    """
    from latte_eval.report.write import write_report

    written = write_report(runs, out, TerminalReporter(quiet), against=against, pages=pages)
    click.echo(
        f"{written.index}: {written.pages} page{'s' if written.pages > 1 else ''}, "
        f"{written.results:,} result{'s' if written.results > 1 else ''}"
    )
    for notice in written.notices:
        click.echo(notice, err=True)
