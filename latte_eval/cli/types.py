"""What values of options are made of: paths with their tilde, checkpoints, metrics in any case."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from latte_eval.core.errors import UsageError
from latte_eval.files.remote import is_address, public_address


class UserPath(click.Path):
    """A path that is not empty, whose `~` stands for a home folder; a shell leaves it as it is in `--out=~/x`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            raise UsageError(f"{param.opts[0] if param else 'a path'} is empty: give a path, or leave it out")
        if self.type is Path and is_address(str(value)):
            what = param.opts[0] if param and isinstance(param, click.Option) else "an argument"
            raise UsageError(f"{what} is {public_address(value)}: this takes a path; bring the files here first")
        # Path would take a slash out of hf://owner/repo.
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111


class RunPlace(UserPath):
    """A run folder: a path, or an address such as s3://bucket/run as it was typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if is_address(str(value)) else super().convert(value, param, ctx)


class PulledPath(UserPath):
    """A path, or an address whose files are brought here first.

    Args:
        suffix: of the files that are needed; all for an empty one.
    """

    def __init__(self, suffix: str = ""):
        super().__init__(path_type=Path)
        self.suffix = suffix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        from latte_eval.files.remote_run import pulled

        return pulled(value, self.suffix)


class NameType(click.ParamType):
    """A name out of a table, which shells complete; whoever takes it checks it, and says what is close.

    Args:
        names: the table.
        several: whether names are joined by commas.
    """

    name = "name"

    def __init__(self, names: Iterable[str], several: bool = False):
        self.names, self.several = names, several

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",") if self.several else ("", "", incomplete)
        return [CompletionItem(f"{before}{comma}{name}") for name in self.names if name.startswith(last)]


class MetricName(NameType):
    """The name of a metric, in any case: `FVD` is fvd."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).lower()
