"""What values of options are made of: paths with their tilde, checkpoints, metrics in any case."""

from __future__ import annotations

import os
from typing import Any

import click

from latte_eval.core.errors import UsageError


class UserPath(click.Path):
    """A path that is not empty, whose `~` stands for a home folder; a shell leaves it as it is in `--out=~/x`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            raise UsageError(f"{param.opts[0] if param else 'a path'} is empty: give a path, or leave it out")
        # Path would take a slash out of hf://owner/repo.
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111


class MetricName(click.ParamType):
    """The name of a metric, in any case: `FVD` is fvd."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).lower()
