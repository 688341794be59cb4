"""What is said where a command is stopped by Ctrl-C or SIGTERM: what is kept, and how to go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, current_thread, main_thread

from latte_eval.cli.surroundings import Terminated
from latte_eval.core.processes import rank, world_size
from latte_eval.core.statuses import Status

STOPPED = "Stopped"

# What is kept of the work that is being done, the innermost last. For a process that ends without an exception.
kept: list[str] = []


@contextmanager
def continues(what: str) -> Iterator[None]:
    """Work inside is kept as `what` says, if it is stopped. Commands that keep nothing say no more than `Stopped`."""
    kept.append(what)
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        stop.add_note(what)
        raise
    finally:
        kept.pop()


def run_continues(run: Path | str, generator: str | None = None) -> str:
    """For an evaluation: its run folder holds the features of whole shards."""
    if generator is not None:
        return f"what was finished is kept in {run}; the same command continues if the generator has a fingerprint"
    return f"what was finished is kept in {run}, and the same command continues"


def stopped_text(stop: BaseException) -> str:
    """`Stopped`, and what is kept. Click raises its own exception from that of Ctrl-C."""
    notes = getattr(stop.__cause__ or stop, "__notes__", None)
    return f"{STOPPED}: {notes[0]}" if notes else STOPPED


@contextmanager
def termination_told(say: Callable[[str], None]) -> Iterator[None]:
    """Under torchrun the first process says what is kept when SIGTERM ends it; the others end without a word.

    A process that waits for others in compiled code runs no handler of Python, but the number of the signal is written
    into a pipe all the same: a thread reads it, speaks, and ends the process as SIGTERM would have.
    """
    if world_size() == 1 or rank() > 0 or current_thread() is not main_thread():
        yield
        return
    source, target = os.pipe()
    os.set_blocking(target, False)
    before = signal.signal(signal.SIGTERM, lambda number, frame: None), signal.set_wakeup_fd(target)
    Thread(target=end_when_told, args=(source, say), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before[1])
        signal.signal(signal.SIGTERM, before[0])
        os.close(target)


def end_when_told(source: int, say: Callable[[str], None]) -> None:
    """Read numbers of signals until the pipe is closed; end the process at SIGTERM."""
    while number := os.read(source, 1):
        if number[0] == signal.SIGTERM:
            say(f"{STOPPED}: {kept[-1]}" if kept else STOPPED)
            os._exit(Status.TERMINATED)
    os.close(source)
