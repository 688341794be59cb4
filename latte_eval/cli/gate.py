"""`gate`: pass or regression, `gate accept`: a new baseline, `gate init`: a workflow to start from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.config import ConfiguredGroup
from latte_eval.cli.options import (
    FOLDER,
    METRIC,
    PLACE,
    RUN_FILES,
    device_option,
    lost_option,
    resolved_device,
    stack,
    workers_option,
)  # fmt: skip
from latte_eval.cli.statuses import STATUSES
from latte_eval.cli.stopping import continues
from latte_eval.core.errors import UsageError
from latte_eval.core.numbers import number_to_text
from latte_eval.core.processes import rank

if TYPE_CHECKING:
    from latte_eval.core.progress import Reporter
    from latte_eval.gate.rules import Rule
    from latte_eval.gate.verdict import Verdict

ACCEPTED = Path("accepted.jsonl")

model_options = stack(
    click.option("--max-clips", type=click.IntRange(min=4), default=2048, show_default=True, metavar="N",
                 help="Sample at most N clips, in rounds of a quarter, a half and all."),
    click.option("--out", type=FOLDER, metavar="RUN", help="Folder for features.  [default: a shared one]"),
    click.option("--batch-size", type=click.IntRange(min=1), help="Clips at once; changes speed, not the value."),
    workers_option,
    device_option(),
    click.option("--compile/--no-compile", "compiled", default=None, help="As for latte-eval fvd."),
    click.option("--vae", type=PLACE, default="auto", metavar="DIR|HUB", help="As for latte-eval fvd."),
    click.option("--weights", type=click.Choice(["ema", "model"]), help="As for latte-eval fvd."),
    click.option("--heads", type=int, help="As for latte-eval fvd."),
    click.option("--variant", type=int, help="As for latte-eval fvd."),
    click.option("--temporal-position", type=click.Choice(["absolute", "rotary"]), help="As for latte-eval fvd."),
    click.option("--classes", type=click.IntRange(min=1), help="As for latte-eval fvd."),
    click.option("--trust", is_flag=True, help="Open an executable archive whose hash is not pinned."),
    lost_option,
)  # fmt: skip


class GateGroup(ConfiguredGroup):
    """A group that is a command too; for an unknown subcommand it names those that exist."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            ctx.fail(f"{args[0]!r} is none of: {', '.join(self.commands)}. Give checkpoints as --ckpt {args[0]}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=GateGroup,
    invoke_without_command=True,
    epilog=f"{STATUSES}\n\n"
    "Example: latte-eval gate --results new/results.jsonl --against accepted.jsonl --fail fvd:+5%",
)
@click.option("--ckpt", type=PLACE, metavar="CKPT", help="The new checkpoint: sampled as the accepted one was.")
@click.option(
    "--results", type=RUN_FILES, metavar="RUN|JSONL|URL", help="Results that are there already: nothing is sampled."
)
@click.option("--of", metavar="NAME", help="Which checkpoint, where --results are of several.")
@click.option("--against", type=FOLDER, default=ACCEPTED, show_default=True, help="Accepted results.")
@click.option("--fail", "rules", multiple=True, metavar="RULE", help="fvd:+5% fails an FVD more than 5 % higher, "
              "is:-0.5 an IS more than 0.5 lower. Once a metric.")  # fmt: skip
@click.option("--confidence", type=float, default=0.95, show_default=True, help="1 - the rate of false alarms, and of "
              "false passes.")  # fmt: skip
@model_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
@click.option("--junit", type=FOLDER, metavar="FILE", help="Write JUnit XML.")
@click.option("--summary", type=FOLDER, metavar="FILE", help="Append Markdown, such as to $GITHUB_STEP_SUMMARY.")
@click.option("--outputs", type=FOLDER, metavar="FILE", help="Append verdict= and clips=, such as to $GITHUB_OUTPUT.")
@quiet_option
@click.pass_context
def gate(
    ctx: click.Context, ckpt: str | None, results: Path | None, of: str | None, against: Path,
    rules: tuple[str, ...], confidence: float, as_json: bool, junit: Path | None, summary: Path | None,
    outputs: Path | None, quiet: bool, **options: Any,
) -> None:  # fmt: skip
    """Is a checkpoint worse than the accepted one? The exit status says so."""
    if ctx.invoked_subcommand:
        return
    verdict = judge(ckpt, results, of, against, rules, confidence, options, TerminalReporter(quiet))
    if verdict is None:
        return
    write(verdict, as_json, junit, summary, outputs)
    ctx.exit(verdict.exit_code)


def judge(
    ckpt: str | None, results: Path | None, of: str | None, against: Path, texts: tuple[str, ...], confidence: float,
    options: dict[str, Any], reporter: Reporter,
) -> Verdict | None:  # fmt: skip
    """The verdict on a checkpoint or on results; None in processes other than the first, which only sample."""
    from latte_eval.gate.rules import parse_rules
    from latte_eval.gate.sampling import Plan, gate_checkpoint
    from latte_eval.gate.verdict import check_confidence

    rules = parse_rules(texts)
    check_confidence(confidence)
    if (ckpt is None) == (results is None):
        raise UsageError("give one of --ckpt CKPT and --results RUN")
    if results is not None:
        return None if rank() else judge_results(results, of, against, rules, confidence, reporter)
    assert ckpt is not None
    most = options.pop("max_clips")
    options["device"] = resolved_device(options["device"])
    with continues("what was finished is kept, and the same command continues"):
        return gate_checkpoint(Plan(ckpt, most, confidence, options), against, rules, reporter)


def judge_results(
    results: Path, of: str | None, against: Path, rules: Sequence[Rule], confidence: float, reporter: Reporter
) -> Verdict:
    """The verdict on results that are there, recorded beside them."""
    from latte_eval.files.remote_run import is_pulled
    from latte_eval.gate.record import record_beside
    from latte_eval.gate.verdict import gate_results

    verdict = gate_results(results, against, rules, confidence, reporter, of)
    if is_pulled(results):
        reporter.say("the verdict is not kept in the run: it lies behind an address")
    else:
        record_beside(results, verdict, reporter)
    return verdict


def write(verdict: Verdict, as_json: bool, junit: Path | None, summary: Path | None, outputs: Path | None) -> None:
    """The verdict on stdout and into the files that were asked for."""
    import json

    from latte_eval.files.jsonl import append_lines
    from latte_eval.files.whole_files import write_whole
    from latte_eval.gate.summary import to_annotations, to_junit, to_markdown, to_outputs, to_record, to_text

    click.echo(json.dumps(to_record(verdict), allow_nan=False) if as_json else to_text(verdict))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        click.echo(to_annotations(verdict), err=as_json)
    if junit:
        write_whole(junit, to_junit(verdict).encode())
    if summary:
        append_lines(summary, [to_markdown(verdict)])
    if outputs:
        append_lines(outputs, to_outputs(verdict))


@gate.command(epilog='Example: latte-eval gate accept run/ --into accepted.jsonl --why "step 40,000 looks right"')
@click.argument("result", type=RUN_FILES, metavar="RUN|JSONL|URL")
@click.option("--into", type=FOLDER, default=ACCEPTED, show_default=True, help="Accepted results; made if absent.")
@click.option("--why", required=True, help="Why this is the new baseline.")
@click.option("--who", help="Who accepts.  [default: the CI job's actor, else git's user]")
@click.option("--of", metavar="NAME", help="Which checkpoint, where the run has results of several.")
@click.option("--metric", "metrics", type=METRIC, multiple=True, metavar="NAME",
              help="Only this one.  [default: all of the run]")  # fmt: skip
def accept(result: Path, into: Path, why: str, who: str | None, of: str | None, metrics: tuple[str, ...]) -> None:
    """Make the newest results of a run the baseline. Their features are stored beside the file."""
    from latte_eval.gate.accepted import accept as accept_run
    from latte_eval.gate.accepted import check_why

    for each in accept_run(result, into, check_why(why), metrics, who, of):
        kept = f"features in {into.parent / each.features['file']}" if each.features else (
            "NO features: the run folder lacks them, so later comparisons are between numbers alone")  # fmt: skip
        value = f"{each.result.metric} {number_to_text(each.result.value)}"
        click.echo(f"accepted {value} at {each.result.fake:,} clips by {each.about['who']}; {kept}")


@gate.command(epilog="Example: latte-eval gate init --github")
@click.option("--github", is_flag=True, help="Write .github/workflows/latte-eval.yml.")
@click.option("--gitlab", is_flag=True, help="Write .gitlab-ci.yml, or latte-eval.gitlab-ci.yml where there is one.  "
              "[default: by what is here, else GitHub]")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the workflow.")
def init(github: bool, gitlab: bool, force: bool) -> None:
    """Write a CI workflow here, and accepted.jsonl to start from.

    The first job gates the embedded demo checkpoint and passes on a machine without GPU; then change the checkpoint and
    the rule in the workflow. An accepted.jsonl that is here already stays as it is.
    """
    from latte_eval.gate.ci import init as init_here

    if github and gitlab:
        raise UsageError("give one of --github and --gitlab, or type the command twice")
    host = "github" if github else "gitlab" if gitlab else None
    for line in init_here(Path.cwd(), host, force):
        click.echo(line)
