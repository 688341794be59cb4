"""What values of options are made of: paths with their tilde, checkpoints, metrics in any case."""

from __future__ import annotations

import os
from typing import Any

import click


class UserPath(click.Path):
    """A path whose `~` stands for a home folder; a shell leaves it as it is in `--out=~/x`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        # Path would take a slash out of hf://owner/repo.
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111


class MetricName(click.ParamType):
    """The name of a metric, in any case: `FVD` is fvd."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).lower()
