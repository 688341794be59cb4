"""Compare what latte-eval takes with what others take, in turns, and write down what came out."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from latte_eval.benchmarks.speed import table
from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.records import (
    HEADER,
    Row,
    in_place_of,
    measured_row,
    read_rows,
    row_of,
    row_to_markdown,
    with_turns_of,
    write_record,
)
from latte_eval.benchmarks.speed.table import Comparison, chosen
from latte_eval.core.errors import LatteEvalError


def list_table(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the table and end."""
    if wanted:
        for name, row in table.TABLE.items():
            goal = f", goal {row.goal:g}x" if row.goal else ""
            click.echo(f"{name:<20} {row.what}, against {row.baseline}{goal}")
        context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=list_table, help="Name all.")
@click.option("--only", metavar="A,B", help="Some of them.  [default: all]")
@click.option("--turns", type=click.IntRange(min=1), default=3, help="Of each side; the median counts.")
@click.option("--frames", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Videos to cut frames and clips from.  [default: drawn ones]")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSON file; rows that it has stay.")
@click.option("--add", is_flag=True, help="Add turns to those in the file.")
def main(only: str | None, turns: int, frames: Path | None, out: Path | None, add: bool) -> None:
    """Measure latte-eval against what people use, both sides in turns, and print a Markdown table.

    The projects compared with come from benchmarks/speed/requirements.txt; those that are not installed are left out.
    """
    try:
        failed = measure_all(chosen(only), turns, frames, out, add)
    except LatteEvalError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(failed)


def measure_all(
    comparisons: dict[str, Comparison], turns: int, frames: Path | None, out: Path | None, add: bool
) -> bool:
    """Measure, print and store one row after the other; whether one of them could not be measured or disagrees."""
    about = f"cut from {frames.name}" if frames else "drawn"
    rows, failed = read_rows(out, about) if out else [], False
    click.echo(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        material = Material(Path(folder), frames)
        for name, comparison in comparisons.items():
            row, old = measure_row(name, comparison, material, turns), rows
            row = with_turns_of(row, old) if add else row
            rows, failed = in_place_of(row, rows), failed or row.get("failed", False) or row.get("agrees") is False
            click.echo(row_to_markdown(row))
            if out:
                write_record(out, rows, about)
    return failed


def measure_row(name: str, comparison: Comparison, material: Material, turns: int) -> Row:
    """One row: measured, with the load of the machine before that; or with the reason why not, in `missing`."""
    if missing := comparison.missing():
        return row_of(name, comparison) | {"missing": missing, "failed": False}
    load = os.getloadavg()[0]
    try:
        return measured_row(name, comparison, comparison(material, turns)) | {"load": round(load, 1)}
    except LatteEvalError as error:
        return row_of(name, comparison) | {"missing": f"failed: {error}", "failed": True}
