"""What a page holds, and how it becomes HTML. Everything from outside is escaped by the templates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jinja2

from latte_eval import __version__
from latte_eval.baselines.table import Table, is_numeric, to_texts
from latte_eval.report.charts import printable
from latte_eval.report.headlines import OWN_MARK, Headline
from latte_eval.report.pictures import Row


@dataclass(frozen=True)
class Cell:
    text: str
    numeric: bool
    link: str | None = None


@dataclass(frozen=True)
class TableRow:
    cells: tuple[Cell, ...]
    own: bool


@dataclass(frozen=True)
class PageTable:
    """A table as a page shows it: text everywhere, numbers marked as such."""

    title: str
    headings: tuple[Cell, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A chart (SVG text of our own making) with its numbers and what they say; each may be absent."""

    chart: str | None = None
    table: PageTable | None = None
    title: str | None = None
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of a page, text first."""

    id: str
    title: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    rows: tuple[Row, ...] = ()
    command: str | None = None
    record: str | None = None


@dataclass(frozen=True)
class VerdictView:
    """What a gate said. `kind` is a class of the stylesheet."""

    kind: str
    word: str
    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        file: name in the report folder.
        summary: what was compared and how, on the first screen.
        home: the page with all evaluations; None on that page itself.
        notices: what a reader must know before the numbers, such as runs that were left out.
    """

    file: str
    title: str
    subtitle: str
    summary: str
    sections: tuple[Section, ...]
    headlines: tuple[Headline, ...] = ()
    verdict: VerdictView | None = None
    notices: tuple[str, ...] = ()
    home: str | None = None
    moving: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "moving", any(row.pictures for section in self.sections for row in section.rows))


def to_page_table(table: Table, links: Sequence[str | None] = ()) -> PageTable:
    """A table of numbers as text; `links` go from the first cell of each row to a page."""
    numeric = {key: is_numeric(table, key) for key in table.headings}
    headings = tuple(Cell(heading.text, numeric[key]) for key, heading in table.headings.items())
    rows = []
    for i, texts in enumerate(to_texts(table, missing="–")):
        cells = [Cell(text, number) for text, number in zip(texts, numeric.values(), strict=True)]
        if links:
            cells[0] = dataclasses.replace(cells[0], link=links[i])
        rows.append(TableRow(tuple(cells), cells[0].text.startswith(OWN_MARK)))
    return PageTable(table.title, headings, tuple(rows), tuple(table.notes))


def figure(analysis: Any, title: str | None = None) -> Figure:
    """Chart, numbers and sentences of an analysis that has all three."""
    sentences = tuple(sentence for sentence in analysis.sentences() if sentence)
    return Figure(analysis.chart(), to_page_table(analysis.table()), title, sentences)


@cache
def templates() -> jinja2.Environment:
    """The templates, with escaping everywhere."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("latte_eval.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_to_html(page: Page) -> str:
    """The page as it is written."""
    environment = templates()
    style = environment.get_template("style.css").render()
    return printable(environment.get_template("page.html").render(page=page, style=style, version=__version__))
