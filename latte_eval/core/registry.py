"""Tables of rows by name. A metric, a detector, a benchmark, a sampler and a protocol are each one row of one table."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from latte_eval.core.choices import check_name
from latte_eval.core.errors import UsageError

Row = TypeVar("Row")


class Registry(Generic[Row]):
    """Rows by name, in the order in which they were registered.

    A row is given as itself, or as the text "module:attribute", which is imported when the row is asked for: listing
    the names imports nothing.
    """

    def __init__(self, kind: str, rows: Mapping[str, Row | str]):
        self.kind, self.entries = kind, dict(rows)

    def register(self, name: str, row: Row | str) -> None:
        """Add a row. Raises `UsageError` if the name is taken by another one."""
        taken = self.entries.setdefault(name, row)
        if taken != row:
            raise UsageError(f"{self.kind} {name!r} is already {taken}; it cannot become {row}")

    def names(self) -> list[str]:
        return list(self.entries)

    def rows(self) -> list[Row]:
        """Every row, imported."""
        return [self[name] for name in self.entries]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> Row:
        """The row called `name`. Raises `UsageError` with a suggestion."""
        check_name(self.kind, name, self.entries)
        entry = self.entries[name]
        return import_target(entry) if isinstance(entry, str) else entry


def import_target(target: str) -> Any:
    """What "module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
