"""Talk and progress bars, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TypeVar

import click
from tqdm import tqdm

from latte_eval.cli.work import Work
from latte_eval.core.processes import rank
from latte_eval.core.progress import Reporter

# Between two pictures of a bar that changes by its steps alone.
DRAWN_SECONDS = 0.1

COUNTED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
UNCOUNTED = "{desc}: {n_fmt} {unit} [{elapsed}{postfix}]"

F = TypeVar("F", bound=Callable[..., object])


class TerminalReporter(Reporter):
    """Draws bars on a terminal; elsewhere, as under nohup or Slurm, a line a minute at most.

    Says nothing at all when quiet or not the first process. Any thread may call it.
    """

    def __init__(self, quiet: bool = False):
        self.silent = quiet or rank() > 0
        self.lock = RLock()
        self.work: Work | None = None
        self.drawn: tqdm | None = None
        self.drawn_at = 0.0

    def say(self, text: str) -> None:
        if not self.silent:
            with self.lock:
                tqdm.write(text, file=sys.stderr)

    @contextmanager
    def bar(
        self, title: str, total: int | None, unit: str = "clips", batch: int | None = None
    ) -> Iterator[Callable[[int], None]]:
        hidden = self.silent or not sys.stderr.isatty()
        work = Work(title, total, unit, batch, time.perf_counter())
        form = COUNTED if total else UNCOUNTED
        with tqdm(
            total=total, desc=title, unit=unit, bar_format=form, leave=False, file=sys.stderr, disable=hidden
        ) as drawn:
            with self.lock:
                self.work, self.drawn = work, drawn
            try:
                yield lambda count: self.advance(work, count)
            finally:
                with self.lock:
                    self.work = self.drawn = None

    def advance(self, work: Work, count: int) -> None:
        """Further units of `work` are done."""
        with self.lock:
            now = time.perf_counter()
            said = work.advance(count, now)
            self.show(work, count, now, said)

    def step(self, done: int, total: int) -> None:
        with self.lock:
            if self.work:
                now = time.perf_counter()
                said = self.work.step(done, total, now)
                self.show(self.work, 0, now, said)

    def show(self, work: Work, count: int, now: float, said: str | None) -> None:
        """Say what is to be said; draw the bar, or once a minute a line in its place."""
        due = work.line_due(count, now)
        if self.drawn is not None and not self.drawn.disable:
            self.draw(work, count, now)
        elif due:
            self.say(due)
        if said:
            self.say(said)

    def draw(self, work: Work, count: int, now: float) -> None:
        assert self.drawn is not None
        self.drawn.n += count
        if count or now - self.drawn_at >= DRAWN_SECONDS:
            self.drawn_at = now
            self.drawn.set_postfix_str(work.outlook)


def quiet_option(function: F) -> F:
    """`--quiet`, the same everywhere a bar exists."""
    return click.option("--quiet", is_flag=True, help="No talk and no bars on stderr.")(function)
