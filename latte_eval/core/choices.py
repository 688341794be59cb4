"""Names that a person types: those that do not exist are refused with a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from latte_eval.core.errors import LatteEvalError, ProtocolError, UsageError


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`Did you mean fvd? `, with the closest known name; empty where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"Did you mean {close[0]}? " if close else ""


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise `UsageError` with a suggestion unless `name` is known."""
    known = list(known)
    if name not in known:
        raise UsageError(f"Unknown {kind} {name!r}. {did_you_mean(name, known)}Available: {', '.join(known)}")


def check_choice(name: str, value: str, allowed: Iterable[str], error: type[LatteEvalError] = ProtocolError) -> None:
    """Raise `error` with a suggestion unless `value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise error(f"{name} cannot be {value!r}. {did_you_mean(str(value), allowed)}One of: {', '.join(allowed)}")
