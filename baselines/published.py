"""The published numbers of `published.toml`, typed. Imports nothing heavy, so that tables print at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from latte_eval.core.choices import check_choice

TABLES = ("table1", "table2", "table3", "table4")
RELATIONS = {"equal": "", "about": "about ", "above": "above "}


@dataclass(frozen=True)
class Column:
    """A column of a published table: what it measures and which direction is better.

    Attributes:
        name: key in `published.toml`.
        title: heading as printed.
        metric: `fvd`, `fid`, `is`, or what is counted.
        better: `lower`, `higher`, or empty where there is no better direction.
        unit: `M`, `G`, or empty.
        benchmark: the dataset, or None.
    """

    name: str
    title: str
    metric: str
    better: str
    unit: str
    benchmark: str | None = None


@dataclass(frozen=True)
class PublishedTable:
    """One table of the paper. `rows` maps a method to the entries it has, with the digits as printed.

    Attributes:
        name: `table1` ... `table4` or `text-to-video`.
        title: caption in short.
        protocol: what the paper, or else the published code, says about how it was measured.
        edition: where the numbers are printed.
        columns: by name, in order.
        rows: method -> column name -> value; an entry that the paper leaves out is absent.
    """

    name: str
    title: str
    protocol: str
    edition: str
    columns: Mapping[str, Column]
    rows: Mapping[str, Mapping[str, Decimal]]

    def value(self, row: str, column: str) -> Decimal | None:
        """One entry, or None where the paper has none."""
        return self.rows[row].get(column)


@dataclass(frozen=True)
class Report:
    """A number that somebody reported outside the paper.

    Attributes:
        benchmark, metric: what was measured.
        value: as reported.
        relation: `equal`, `about` or `above`.
        how: what is known about the way it was measured.
        source: thread, as owner/repo#number.
        checkpoint: which weights; None for real data.
    """

    benchmark: str
    metric: str
    value: Decimal
    relation: str
    how: str
    source: str
    checkpoint: str | None = None

    @property
    def text(self) -> str:
        """The value as a person reads it: `about 190`."""
        return f"{RELATIONS[self.relation]}{self.value}"

    def __str__(self) -> str:
        return f"{self.checkpoint or 'real clips'} {self.text}: {self.how} ({self.source})"


@cache
def raw() -> dict[str, Any]:
    """The whole file; decimals keep their digits."""
    text = resources.files(__package__).joinpath("published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)


@cache
def published_table(name: str) -> PublishedTable:
    """The published table called `name`. Raises `UsageError` with a suggestion."""
    check_choice("table", name, (*TABLES, "text-to-video"))
    entry = raw()[name]
    return PublishedTable(
        name=name,
        title=entry["title"],
        protocol=entry["protocol"],
        edition=raw()["paper"]["edition"],
        columns={key: Column(name=key, **fields) for key, fields in entry["columns"].items()},
        rows={row: {key: Decimal(value) for key, value in cells.items()} for row, cells in entry["rows"].items()},
    )


def reports(section: str, benchmark: str | None = None, metric: str | None = None) -> list[Report]:
    """What was reported outside the paper.

    Args:
        section: `reruns` (published checkpoints measured by users) or `real_data` (scores of real clips).
        benchmark, metric: keep only these.
    """
    found = [Report(**{**entry, "value": Decimal(entry["value"])}) for entry in raw()[section]]
    return [r for r in found if benchmark in (None, r.benchmark) and metric in (None, r.metric)]


def published_values(benchmark: str, metric: str) -> dict[str, Decimal]:
    """Method -> value, over all tables that measure `metric` on `benchmark`."""
    return {
        row: cells[column.name]
        for table in map(published_table, TABLES)
        for column in table.columns.values()
        if column.benchmark == benchmark and column.metric == metric
        for row, cells in table.rows.items()
        if column.name in cells
    }
