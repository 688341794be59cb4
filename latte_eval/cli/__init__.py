"""The command line: `latte-eval VERB --options`. Commands are imported when they are typed."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from latte_eval import __version__
from latte_eval.cli.notices import notices_on_stderr
from latte_eval.cli.statuses import STATUSES, report_error
from latte_eval.cli.surroundings import check_current_folder, open_closed_streams, termination_raised
from latte_eval.core.statuses import Status

# Command -> where it lives, and its line in `latte-eval -h`. Nothing here may import torch.
COMMANDS: dict[str, tuple[str, str]] = {
    "fvd": ("latte_eval.cli.score:fvd", "Fréchet video distance of a checkpoint or a folder."),
    "cd-fvd": ("latte_eval.cli.score:cd_fvd", "FVD of VideoMAE features, which see motion."),
    "fid": ("latte_eval.cli.score:fid", "Fréchet Inception distance over frames."),
    "is": ("latte_eval.cli.score:inception_score", "Inception Score (UCF101 C3D)."),
    "evaluate": ("latte_eval.cli.score:evaluate", "Several metrics in one sampling pass."),
    "merge": ("latte_eval.cli.merge:merge", "Results of jobs that each computed a --shard."),
    "sample": ("latte_eval.cli.sample:sample", "Write clips of a checkpoint as mp4 files."),
    "stats": ("latte_eval.cli.stats:stats", "Store the features of a real set in one file."),
    "table1": ("latte_eval.cli.tables:table1", "IS on UCF101 and FID on FaceForensics, published | measured."),
    "table2": ("latte_eval.cli.tables:table2", "FVD on the four benchmarks, published | measured."),
    "table3": ("latte_eval.cli.tables:table3", "Parameters and FLOPs of the four variants."),
    "table4": ("latte_eval.cli.tables:table4", "Sizes S, B, L and XL."),
    "table-vdt": ("latte_eval.cli.tables:table_vdt", "VDT, Video LDM and relatives, published | measured."),
    "data": ("latte_eval.cli.data:data", "Check or prepare a dataset folder."),
    "compare": ("latte_eval.cli.explain:compare", "Line up results by benchmark, metric and protocol."),
    "explain": ("latte_eval.cli.explain:explain", "Why two numbers differ."),
    "inspect": ("latte_eval.cli.inspect:inspect", "What a checkpoint file is."),
    "curve": ("latte_eval.cli.curve:curve", "A metric over the checkpoints of a training run."),
    "sweep": ("latte_eval.cli.sweep:sweep", "Many checkpoints on many benchmarks, here or on a cluster."),
    "gate": ("latte_eval.cli.gate:gate", "Is a checkpoint worse than the accepted one? For CI."),
    "report": ("latte_eval.cli.report:report", "Static pages about runs: numbers, intervals, clips."),
    "history": ("latte_eval.cli.history:history", "Value over time, with commits and who accepted what."),
    "card": ("latte_eval.cli.card:card", "Results as metadata of a Hugging Face model card."),
    "log": ("latte_eval.cli.log:log", "Results to TensorBoard, Weights & Biases or MLflow."),
    "metrics": ("latte_eval.cli.metrics:metrics", "Every metric: what it sees, with which detector, what it costs."),
    "protocols": (
        "latte_eval.cli.protocols:protocols",
        "Every named protocol: fields, source, whose numbers it stands beside.",
    ),
    "completion": ("latte_eval.cli.completion:completion", "Complete commands and names in bash, zsh or fish."),
    "weights": ("latte_eval.cli.weights:weights", "List, fetch and locate detector weights."),
    "doctor": ("latte_eval.cli.doctor:doctor", "What is installed, what is missing, what has been checked."),
}

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class LazyGroup(click.Group):
    """A group whose commands are imported on use, and which suggests a name for a misspelt one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings=CONTEXT, epilog=STATUSES)
@click.version_option(__version__, "-V", "--version", message="latte-eval %(version)s")
def group() -> None:
    """Evaluate Latte video diffusion checkpoints: FVD, FID and IS, with an interval and a named protocol.

    Example: latte-eval fvd --ckpt demo
    """


def main() -> None:
    """Run the command line and exit with one of `core.statuses`.

    Click's own ends are not taken: it exits 1 where somebody stops a command and where nobody reads its output any
    more, and 1 is a regression, which `gate` returns.
    """
    open_closed_streams()
    try:
        check_current_folder()
        with termination_raised(), notices_on_stderr():
            status = group(prog_name="latte-eval", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as end:
        status = Status.FAILED if end.code == Status.REGRESSION else end.code
    except BaseException as error:
        status = report_error(error)
    sys.exit(status or Status.OK)
