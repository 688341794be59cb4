"""Published numbers of other systems, one table for every protocol, from `published.toml`.

They stand outside the tables of the paper on purpose: nothing that looks for the numbers of a benchmark finds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from latte_eval.baselines.published import Column, PublishedTable, raw


@dataclass(frozen=True)
class SystemNumbers:
    """Numbers of one system under one protocol.

    Attributes:
        table: the numbers.
        system: `VDT` or `Video LDM`.
        samples: how many clips were measured.
        read: where the numbers were read: `the paper`, or `second-hand`.
        runnable: whether the row can be measured again, and why not.
        apart: why it cannot stand beside Table 2.
    """

    table: PublishedTable
    system: str
    samples: str
    read: str
    runnable: str
    apart: str

    @property
    def notes(self) -> list[str]:
        """What stands under the numbers, beside their protocol."""
        where = "second-hand, in reviews and citing papers" if self.read == "second-hand" else f"in {self.read}"
        return [
            f"Clips measured: {self.samples}. Source: {self.table.edition}; read {where}.",
            f"Runnable: {self.runnable}.",
            f"Not beside Table 2: {self.apart}.",
        ]


@cache
def published_systems() -> tuple[SystemNumbers, ...]:
    """Every table of theirs, in the order of the file."""
    return tuple(entry_to_numbers(name, entry) for name, entry in raw()["systems"].items())


def entry_to_numbers(name: str, entry: dict[str, Any]) -> SystemNumbers:
    columns = {key: Column(name=key, **fields) for key, fields in entry["columns"].items()}
    rows = {row: {key: Decimal(value) for key, value in cells.items()} for row, cells in entry["rows"].items()}
    table = PublishedTable(name, entry["title"], entry["protocol"], entry["source"], columns, rows)
    return SystemNumbers(table, **{field: entry[field] for field in ("system", "samples", "read", "runnable", "apart")})


def systems_measuring(benchmark: str, metric: str) -> list[SystemNumbers]:
    """What has numbers of a metric on a benchmark and stands beside none of its tables."""
    return [numbers for numbers in published_systems() for column in numbers.table.columns.values()
            if (column.benchmark, column.metric) == (benchmark, metric)]  # fmt: skip
