"""Tables of numbers as Markdown or JSON; pandas writes the other forms, in `frames.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from latte_eval.baselines import frames
from latte_eval.baselines.published import Column, PublishedTable
from latte_eval.core.choices import check_choice
from latte_eval.core.numbers import number_to_text, signed_to_text

Cell = str | int | float | Decimal | tuple[float, float] | None
ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}
NUMBER, SIGNED = "number", "signed number"
WRITERS = {NUMBER: number_to_text, SIGNED: signed_to_text}


@dataclass(frozen=True)
class Heading:
    """What stands above a column, and how its floats are written: by the one rule, with a sign, or as `format` does."""

    text: str
    spec: str = NUMBER


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings. None is a missing entry; a pair of floats is an interval.

    Attributes:
        name: short name, for machines.
        title: caption.
        headings: column key -> heading, in order.
        rows: one dict per row; an absent key is a missing entry.
        notes: footnotes.
        about: what else a machine may want: protocol, edition, units, directions.
        schema: columns for machines, a result or a published entry a row; empty where `rows` are so already.
        records: the rows of `schema`.
    """

    name: str
    title: str
    headings: dict[str, Heading]
    rows: list[dict[str, Cell]]
    notes: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    schema: tuple[str, ...] = ()
    records: list[dict[str, Cell]] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns for machines."""
        return self.schema or tuple(self.headings)

    @property
    def tidy(self) -> list[dict[str, Cell]]:
        """The rows for machines."""
        return self.records if self.schema else self.rows


def published_to_table(published: PublishedTable, notes: Sequence[str] = ()) -> Table:
    """A published table as it is printed, methods down and columns across."""
    headings = {"method": Heading("Method")}
    headings |= {key: Heading(column_heading(column)) for key, column in published.columns.items()}
    rows: list[dict[str, Cell]] = [{"method": row, **cells} for row, cells in published.rows.items()]
    about = {
        "protocol": published.protocol,
        "edition": published.edition,
        "columns": {key: vars(column) for key, column in published.columns.items()},
    }
    return Table(published.name, published.title, headings, rows, [published.protocol, *notes], about)


def column_heading(column: Column) -> str:
    return column.title + ARROWS[column.better]


def cell_to_text(cell: Cell, spec: str = NUMBER, missing: str = "-") -> str:
    """One cell: decimals keep their digits, floats follow `spec`, an interval is [low, high].

    An empty `spec` writes numbers for machines: all digits, no separators.
    """
    if cell is None:
        return missing
    if isinstance(cell, tuple):
        return "[" + ", ".join(float_to_text(bound, spec) for bound in cell) + "]"
    if isinstance(cell, float):
        return float_to_text(cell, spec)
    return f"{cell:,}" if isinstance(cell, int) and spec else str(cell)


def float_to_text(value: float, spec: str) -> str:
    """A float as a heading says."""
    return WRITERS[spec](value) if spec in WRITERS else format(value, spec)


def to_texts(table: Table, missing: str = "-") -> list[list[str]]:
    """All body cells as text, row by row, in the order of the headings."""
    return [
        [cell_to_text(row.get(key), heading.spec, missing) for key, heading in table.headings.items()]
        for row in table.rows
    ]


def to_markdown(table: Table) -> str:
    """A pipe table that lines up in a terminal too: texts left, numbers right."""
    lines = [[heading.text for heading in table.headings.values()], *to_texts(table)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    right = [is_numeric(table, key) for key in table.headings]
    widths = [max(len(line[i]) for line in lines) for i in range(len(right))]
    rule = ["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)]
    body = ["| " + " | ".join(pad(line, widths, right)) + " |" for line in (lines[0], rule, *lines[1:])]
    return "\n".join([f"**{table.title}**", "", *body, *note_lines(table.notes)])


def is_numeric(table: Table, key: str) -> bool:
    """Whether a column holds numbers or intervals."""
    return any(not isinstance(row.get(key), str | None) for row in table.rows)


def pad(line: list[str], widths: list[int], right: list[bool]) -> list[str]:
    cells = zip(line, widths, right, strict=True)
    return [cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in cells]


def note_lines(notes: Sequence[str]) -> list[str]:
    return ["", *(f"- {note}" for note in notes)] if notes else []


def to_latex(table: Table) -> str:
    """A booktabs tabular; footnotes follow as comments."""
    numeric = [is_numeric(table, key) for key in table.headings]
    text = frames.texts_to_latex(columns_of_text(table, "--"), numeric)
    return "\n".join([comment(table.title), text, *map(comment, table.notes)])


def comment(text: str) -> str:
    return f"% {' '.join(text.split())}"


def to_html(table: Table) -> str:
    """A table element under its title; footnotes follow as a list."""
    return frames.texts_to_html(table.title, columns_of_text(table, "–"), table.notes)


def columns_of_text(table: Table, missing: str) -> list[tuple[str, list[str]]]:
    """Heading and cells of every column."""
    texts = to_texts(table, missing)
    return [(heading.text, [row[i] for row in texts]) for i, heading in enumerate(table.headings.values())]


def to_record(table: Table) -> dict[str, Any]:
    """A table in JSON types, numbers as numbers and missing entries as null."""
    rows = [{key: to_json_cell(row.get(key)) for key in table.columns} for row in table.tidy]
    record = {"name": table.name, "title": table.title, "rows": rows, "notes": list(table.notes)}
    return record | ({"about": table.about} if table.about else {})


def to_json_cell(cell: Cell) -> Any:
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() and "." not in str(cell) else float(cell)
    return list(cell) if isinstance(cell, tuple) else cell


def render_json(tables: Sequence[Table]) -> str:
    return json.dumps({"tables": [to_record(table) for table in tables]}, ensure_ascii=False, allow_nan=False)


def render_csv(tables: Sequence[Table]) -> str:
    """One header for the tables of a command, which have one schema."""
    rows = [{key: cell_to_text(row.get(key), "", missing="") for key in table.columns}
            for table in tables for row in table.tidy]  # fmt: skip
    return frames.records_to_csv(rows, common_columns(tables))


def common_columns(tables: Sequence[Table]) -> list[str]:
    """The columns for machines of all tables, each once."""
    return list(dict.fromkeys(key for table in tables for key in table.columns))


def tables_to_parquet(tables: Sequence[Table]) -> bytes:
    """The rows for machines as one Parquet file, numbers as numbers. Raises `UsageError` without pyarrow."""
    rows = [{key: to_json_cell(row.get(key)) for key in table.columns} for table in tables for row in table.tidy]
    return frames.records_to_parquet(rows, common_columns(tables))


def render_each(writer: Callable[[Table], str]) -> Callable[[Sequence[Table]], str]:
    return lambda tables: "\n\n".join(writer(table) for table in tables)


RENDERERS: dict[str, Callable[[Sequence[Table]], str]] = {
    "md": render_each(to_markdown),
    "latex": render_each(to_latex),
    "html": render_each(to_html),
    "csv": render_csv,
    "json": render_json,
}

PARQUET = "parquet"


def render(tables: Sequence[Table], form: str = "md") -> str:
    """Write tables as text in one of the `RENDERERS`. Raises `UsageError` for another form."""
    check_choice("--format", form, RENDERERS)
    return RENDERERS[form](tables)
