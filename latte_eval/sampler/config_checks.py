"""What every network's config checks of its sizes, whichever family it is of."""

from __future__ import annotations

from typing import Any

from latte_eval.core.errors import CheckpointError


def check_counts(config: Any, *names: str) -> None:
    """Raises `CheckpointError` where one of these fields is below 1; None, which stands for "has none", passes."""
    for name in names:
        count = getattr(config, name)
        if count is not None and count < 1:
            raise CheckpointError(f"{name} cannot be {count}: a {config.family} has at least 1")


def check_multiples(config: Any, *pairs: tuple[str, str]) -> None:
    """Raises `CheckpointError` where the first field of a pair is not a multiple of the second, or is below it."""
    for whole, part in pairs:
        total, step = getattr(config, whole), getattr(config, part)
        if step < 1 or total < step or total % step:
            raise CheckpointError(f"{whole} {total} is not a multiple of {part} {step}")
