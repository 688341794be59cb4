"""`merge`: results from what jobs of `--shard K/N` have stored."""

from __future__ import annotations

from pathlib import Path

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.options import RUN


@click.command(epilog="Example: latte-eval merge s3://bucket/run")
@click.argument("run", type=RUN, metavar="RUN|URL")
@click.option("--plan", "key", metavar="KEY", help="Only this one of the plans in the run folder.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a metric on stdout, nothing else.")
@quiet_option
def merge(run: Path | str, key: str | None, as_json: bool, quiet: bool) -> None:
    """Finish what jobs with --shard K/N have computed: the results, as one process would have measured them.

    Neither checkpoint nor data nor a GPU is needed. Shares that are missing are named, with what to type.
    """
    from latte_eval.cli.score import show
    from latte_eval.core.errors import IncompleteRun, MetricFailed
    from latte_eval.evaluation.merge import merge as merge_run
    from latte_eval.files.remote_run import open_run

    try:
        show(merge_run(open_run(run), key, TerminalReporter(quiet)), as_json)
    except (IncompleteRun, MetricFailed) as error:
        show(error.results, as_json)
        raise
