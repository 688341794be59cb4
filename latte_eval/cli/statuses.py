"""How a command ends: the exit status of an error, and what is said about it on stderr."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from latte_eval.cli.stopping import stopped_text
from latte_eval.cli.surroundings import Terminated
from latte_eval.core.errors import LatteEvalError, RankError, UsageError, kind_and_first_line
from latte_eval.core.processes import host, rank
from latte_eval.core.statuses import Status, statuses_to_text
from latte_eval.files.weights import cache_folder

# A paragraph of a help page, whose lines click leaves as they are.
STATUSES = f"\b\nExit status:\n{statuses_to_text()}"


def report_error(error: BaseException) -> Status:
    """Say on stderr what went wrong, in one line; the status to exit with."""
    if isinstance(error, Terminated | KeyboardInterrupt | click.Abort):
        if rank() == 0:
            tell(stopped_text(error))
        return Status.TERMINATED if isinstance(error, Terminated) else Status.INTERRUPTED
    if isinstance(error, click.ClickException):
        with silent_if_full():
            if rank() == 0:
                error.show()
        return Status.USAGE if isinstance(error, click.UsageError) else Status.FAILED
    if isinstance(error, RankError) and error.told_by_another or isinstance(error, UsageError) and rank():
        return error.exit_code
    if isinstance(error, LatteEvalError):
        return say(str(error), error.exit_code)
    if isinstance(error, BrokenPipeError):
        return without_reader()
    if isinstance(error, OSError):
        drop_output(sys.stdout)
        return say(f"{error}; what was finished before is kept")
    if is_out_of_memory(error):
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        return say(f"out of memory{notes}; use a smaller --batch-size and run the same command again to continue")
    return report_fault(error)


def report_fault(error: BaseException) -> Status:
    """The last resort: one line that names a file with the traceback, or the traceback where no file can be written."""
    what = f"latte-eval broke on {kind_and_first_line(error)}; this is a fault of it, please report it"
    if log := write_traceback(error):
        return say(f"{what} with {log}", Status.FAULT)
    tell("".join(traceback.format_exception(error)))
    return say(what, Status.FAULT)


def write_traceback(error: BaseException) -> Path | None:
    """A file with the command and the traceback, in the cache, else in the folder of temporary files."""
    name = f"fault-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}.txt"
    text = f"{shlex.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}"
    for folder in (cache_folder, lambda: Path(tempfile.gettempdir())):
        with suppress(OSError, RuntimeError):
            path = folder().absolute() / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return path
    return None


def say(text: str, status: Status = Status.FAILED) -> Status:
    """An error in one line, which names the process if there are several and it is not the first."""
    tell(f"Error{f' of rank {rank()} on {host()}' if rank() else ''}: {one_line(text)}")
    return status


def tell(text: str) -> None:
    """Text on stderr, as far as it takes any."""
    with silent_if_full():
        click.echo(text, err=True)


@contextmanager
def silent_if_full() -> Iterator[None]:
    """Where stderr takes nothing, as on a full disk, the exit status alone says what happened: Python's own would be 1,
    which is a regression."""
    try:
        yield
    except (OSError, ValueError):
        drop_output(sys.stderr)


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())


def without_reader() -> Status:
    """Nobody reads on, as after `| head`."""
    drop_output(sys.stdout)
    return Status.FAILED


def drop_output(stream: TextIO) -> None:
    """Let what a stream cannot take go nowhere, or Python would complain of it once more at its end."""
    try:
        stream.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def one_line(text: str) -> str:
    """Text without line breaks or control characters, as an error message shows it."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
