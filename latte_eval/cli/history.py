"""`history`: value over time."""

from __future__ import annotations

from pathlib import Path

import click

from latte_eval.cli.options import METRIC, RUN_LINES
from latte_eval.cli.tables import format_option, show_tables


@click.command(epilog="Example: latte-eval history accepted.jsonl results/*.jsonl")
@click.argument("files", type=RUN_LINES, nargs=-1, required=True)
@click.option("--metric", type=METRIC, metavar="NAME", help="Only this one.")
@format_option
def history(files: tuple[Path, ...], metric: str | None, form: str) -> None:
    """Value over time, with commits and with who accepted what. FILES are accepted files, results or run folders."""
    from latte_eval.core.choices import check_name
    from latte_eval.gate.history import history_tables, read_entries
    from latte_eval.metrics.rows import METRICS

    if metric is not None:
        check_name("metric", metric, METRICS)
    tables = history_tables(read_entries(files, metric))
    if tables or form in ("json", "parquet"):
        show_tables(tables, form)
    else:
        click.echo("no results yet")
