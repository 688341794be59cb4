"""How long work talks: the library calls a `Reporter`, the command line gives one that draws bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Reporter:
    """A reporter that shows nothing. `latte_eval.cli.bars.TerminalReporter` draws on stderr."""

    def say(self, text: str) -> None:
        """Tell a person something that is not data."""

    @contextmanager
    def bar(self, title: str, total: int | None, unit: str = "clips") -> Iterator[Callable[[int], None]]:
        """Yields a function that is called with how many more are done."""
        yield lambda count: None

    def step(self, done: int, total: int) -> None:
        """Progress within the current batch, such as sampling steps."""
