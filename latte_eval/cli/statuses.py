"""How a command ends: the exit status of an error, and what is said about it on stderr."""

from __future__ import annotations

import os
import sys
import traceback

import click

from latte_eval.core.errors import LatteEvalError
from latte_eval.core.statuses import Status, statuses_to_text

# A paragraph of a help page, whose lines click leaves as they are.
STATUSES = f"\b\nExit status:\n{statuses_to_text()}"


def report_error(error: Exception) -> Status:
    """Say on stderr what went wrong, an error of ours in one line; the status to exit with."""
    if isinstance(error, click.ClickException):
        error.show()
        return Status.USAGE if isinstance(error, click.UsageError) else Status.FAILED
    if isinstance(error, click.Abort):
        click.echo("Stopped; the same command continues", err=True)
        return Status.INTERRUPTED
    if isinstance(error, LatteEvalError):
        return say(str(error), error.exit_code)
    if isinstance(error, BrokenPipeError):
        return without_reader()
    if isinstance(error, OSError):
        return say(f"{error}; what was finished before is kept")
    if is_out_of_memory(error):
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        return say(f"out of memory{notes}; use a smaller --batch-size and run the same command again to continue")
    traceback.print_exception(error)
    return say(f"latte-eval broke on {type(error).__name__}: this is a fault of it, please report it", Status.FAULT)


def say(text: str, status: Status = Status.FAILED) -> Status:
    click.echo(f"Error: {one_line(text)}", err=True)
    return status


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())


def without_reader() -> Status:
    """Nobody reads on, as after `| head`. What is still buffered goes nowhere, or Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Status.FAILED


def one_line(text: str) -> str:
    """Text without line breaks or control characters, as an error message shows it."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
