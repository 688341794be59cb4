"""What is said where a command is stopped by Ctrl-C or SIGTERM: what is kept, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latte_eval.cli.surroundings import Terminated

STOPPED = "Stopped"


@contextmanager
def continues(what: str) -> Iterator[None]:
    """Work inside is kept as `what` says, if it is stopped. Commands that keep nothing say no more than `Stopped`."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        stop.add_note(what)
        raise


def run_continues(run: Path | str, generator: object = None) -> str:
    """For an evaluation: its run folder holds the features of whole shards."""
    if generator is not None:
        return f"what was finished is kept in {run}; the same command continues if the generator has a fingerprint"
    return f"what was finished is kept in {run}, and the same command continues"


def stopped_text(stop: BaseException) -> str:
    """`Stopped`, and what is kept. Click raises its own exception from that of Ctrl-C."""
    notes = getattr(stop.__cause__ or stop, "__notes__", None)
    return f"{STOPPED}: {notes[0]}" if notes else STOPPED
