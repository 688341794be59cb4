"""Notices of the library on stderr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from latte_eval.cli.statuses import one_line
from latte_eval.core.notices import Notice

# Warnings of other packages about what readers refuse themselves, with the name of the file.
SILENT = ("DecompressionBombWarning",)


@contextmanager
def notices_on_stderr() -> Iterator[None]:
    """Each notice once, as one line; other warnings stay as they were."""
    with warnings.catch_warnings():
        others, said = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if category.__name__ in SILENT:
                return
            if not issubclass(category, Notice):
                others(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                click.echo(f"Note: {one_line(str(message))}", err=True)

        warnings.simplefilter("always", Notice)
        warnings.showwarning = show
        yield
