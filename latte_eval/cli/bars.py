"""Talk and progress bars, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import click
from tqdm import tqdm

from latte_eval.core.numbers import seconds_to_text
from latte_eval.core.processes import rank
from latte_eval.core.progress import Reporter

LONG_SECONDS = 60
AT_ONCE_SECONDS = 0.1
TELLING_SECONDS = 5
PULSE_SECONDS = 60

F = TypeVar("F", bound=Callable[..., object])


class TerminalReporter(Reporter):
    """Draws bars on a terminal; elsewhere, as under nohup or Slurm, a line a minute at most.

    Says nothing at all when quiet or not the first process.
    """

    def __init__(self, quiet: bool = False):
        self.silent = quiet or rank() > 0
        self.current: tqdm | None = None

    def say(self, text: str) -> None:
        if not self.silent:
            tqdm.write(text, file=sys.stderr)

    @contextmanager
    def bar(self, title: str, total: int | None, unit: str = "clips") -> Iterator[Callable[[int], None]]:
        hidden = self.silent or not sys.stderr.isatty()
        pace, pulse = Pace(time.perf_counter()), Pulse(time.perf_counter())
        with tqdm(total=total, desc=title, unit="", leave=False, file=sys.stderr, disable=hidden) as self.current:

            def advance(count: int) -> None:
                assert self.current is not None
                self.current.update(count)
                if hidden and (done := pulse.line_due(count, time.perf_counter())):
                    of = f" of {total:,}" if total else ""
                    self.say(f"{title}: {done:,}{of} {unit}")
                if total and (whole := pace.first_estimate(count, time.perf_counter(), total)):
                    self.say(f"{title}: about {seconds_to_text(whole)} for {total - pace.there_already:,} {unit}")

            yield advance
        self.current = None

    def step(self, done: int, total: int) -> None:
        if self.current is not None:
            self.current.set_postfix_str(f"step {done}/{total}")


@dataclass
class Pace:
    """How long the work will take, told once, when a few seconds of it tell.

    Batches before the first that takes time were there already and say nothing about the others. The first one alone
    says little too: it waits for what is loaded once, and where several are worked on at a time, for all of them.
    """

    started: float
    there_already: int = 0
    done: int = 0
    told: bool = False

    def first_estimate(self, count: int, now: float, total: int) -> float | None:
        """Seconds for all that was not there already, if that is long and more is to come; else None."""
        seconds = now - self.started
        if not self.done and seconds < AT_ONCE_SECONDS:
            self.there_already, self.started = self.there_already + count, now
            return None
        self.done += count
        if self.told or seconds < TELLING_SECONDS:
            return None
        self.told, left = True, total - self.there_already
        whole = seconds / max(1, self.done) * left
        return whole if self.done < left and whole > LONG_SECONDS else None


@dataclass
class Pulse:
    """How far work has come, for a log: told when a minute has passed since it was told last."""

    told: float
    done: int = 0

    def line_due(self, count: int, now: float) -> int | None:
        """What is done by now, if it is time to tell; else None."""
        self.done += count
        if now - self.told < PULSE_SECONDS:
            return None
        self.told = now
        return self.done


def quiet_option(function: F) -> F:
    """`--quiet`, the same everywhere a bar exists."""
    return click.option("--quiet", is_flag=True, help="No talk and no bars on stderr.")(function)
