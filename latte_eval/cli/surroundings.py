"""What a command finds around it when it starts: streams that are closed, a folder that is gone, signals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from latte_eval.core.errors import StoreError


class Terminated(BaseException):
    """SIGTERM: a scheduler or a person asks the process to end."""


def open_closed_streams() -> None:
    """Point streams that were closed, as by `2>&-`, to nowhere.

    Else the next file that is opened takes their number, and what libraries print goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def check_current_folder() -> None:
    """Raise `StoreError` where the folder that the command was typed in is gone: libraries fail there without words."""
    try:
        Path.cwd()
    except OSError as error:
        raise StoreError("the current folder does not exist any more; cd to another one and type it again") from error


@contextmanager
def termination_raised() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, so that unfinished files are removed and the end is said.

    Not outside the main thread.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        before = None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
