"""How work that takes long reports its progress: the library calls a `Reporter`, the command line's draws bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Reporter:
    """A reporter that shows nothing. `latte_eval.cli.bars.TerminalReporter` draws on stderr.

    Any thread may call `say`, `step` and what `bar` yields.
    """

    def say(self, text: str) -> None:
        """Show a person a message that is not part of the result."""

    @contextmanager
    def bar(
        self, title: str, total: int | None, unit: str = "clips", batch: int | None = None
    ) -> Iterator[Callable[[int], None]]:
        """Yields a function that is to be called with the number of further units done.

        `batch` says how many units go through the steps of `step` together, if there will be steps.
        """
        yield lambda count: None

    def step(self, done: int, total: int) -> None:
        """Progress within the current batch, such as sampling steps."""
