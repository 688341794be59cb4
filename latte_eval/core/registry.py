"""A registry of named objects that are imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from latte_eval.core.errors import UsageError


class Registry:
    """Names to `"module:attribute"` strings. `get` imports; listing the names does not."""

    def __init__(self, kind: str, entries: dict[str, str]):
        self.kind, self.entries = kind, dict(entries)

    def register(self, name: str, target: str) -> None:
        """Add an entry. Raises `UsageError` if the name is taken by another target."""
        taken = self.entries.setdefault(name, target)
        if taken != target:
            raise UsageError(f"{self.kind} {name!r} is already {taken}; it cannot become {target}")

    def names(self) -> list[str]:
        return sorted(self.entries)

    def get(self, name: str) -> Any:
        """Import and return the object. Raises `UsageError` with a suggestion for an unknown name."""
        check_name(self.kind, name, self.names())
        module, _, attribute = self.entries[name].partition(":")
        return getattr(importlib.import_module(module), attribute)


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise `UsageError` with a suggestion unless `name` is known."""
    known = list(known)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(f"Unknown {kind} {name!r}. {hint}Available: {', '.join(known)}")
