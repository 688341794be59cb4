"""Talk and progress bars, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click
from tqdm import tqdm

from latte_eval.distributed import rank
from latte_eval.reporter import Reporter

LONG_SECONDS = 60

F = TypeVar("F", bound=Callable[..., object])


class TerminalReporter(Reporter):
    """Draws bars on a terminal, none into pipes; says nothing at all when quiet or not the first process."""

    def __init__(self, quiet: bool = False):
        self.silent = quiet or rank() > 0
        self.current: tqdm | None = None

    def say(self, text: str) -> None:
        if not self.silent:
            tqdm.write(text, file=sys.stderr)

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        hidden = self.silent or not sys.stderr.isatty()
        started, first = time.perf_counter(), [True]
        with tqdm(total=total, desc=title, unit="", leave=False, file=sys.stderr, disable=hidden) as self.current:

            def advance(count: int) -> None:
                assert self.current is not None
                self.current.update(count)
                if first[0] and total and count < total:
                    self.estimate(title, time.perf_counter() - started, count, total)
                first[0] = False

            yield advance
        self.current = None

    def estimate(self, title: str, seconds: float, count: int, total: int) -> None:
        """After the first batch: how long all of them will take, where that is long."""
        whole = seconds / count * total
        if whole > LONG_SECONDS:
            self.say(f"{title}: the first {count} of {total:,} took {seconds:.1f} s; about {duration(whole)} in all")

    def step(self, done: int, total: int) -> None:
        if self.current is not None:
            self.current.set_postfix_str(f"step {done}/{total}")


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def quiet_option(function: F) -> F:
    """`--quiet`, the same everywhere a bar exists."""
    return click.option("--quiet", is_flag=True, help="No talk and no bars on stderr.")(function)
