"""`fvd`, `cd-fvd`, `fid`, `is` and `evaluate`: one pass over the clips, one result per metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from latte_eval.cli.bars import TerminalReporter
from latte_eval.cli.config import Configured
from latte_eval.cli.options import evaluation_options
from latte_eval.cli.stopping import continues, run_continues
from latte_eval.cli.types import NameType
from latte_eval.core.devices import resolved_device
from latte_eval.core.errors import UsageError
from latte_eval.metrics.rows import METRICS, TOGETHER

if TYPE_CHECKING:
    from latte_eval.core.result import Result
    from latte_eval.evaluation.request import Request

METRIC_NAMES = [*METRICS, *TOGETHER]
NAMES = ", ".join(METRIC_NAMES)


@click.command(cls=Configured, epilog="Example: latte-eval fvd --ckpt demo")
@evaluation_options
def fvd(**options: Any) -> None:
    """Fréchet video distance of a checkpoint, or of a folder of generated videos."""
    score(("fvd",), **options)


@click.command(
    cls=Configured,
    name="cd-fvd",
    epilog="Example: latte-eval cd-fvd --ckpt X.pt --benchmark ucf101 --real /data/UCF-101",
)
@evaluation_options
def cd_fvd(**options: Any) -> None:
    """Content-debiased FVD: as FVD, with features of VideoMAE V2, which see motion better than those of the I3D."""
    score(("cd-fvd",), **options)


@click.command(cls=Configured, epilog="Example: latte-eval fid --ckpt demo")
@evaluation_options
def fid(**options: Any) -> None:
    """Fréchet Inception distance over all frames of the clips."""
    score(("fid",), **options)


@click.command(cls=Configured, name="is", epilog="Example: latte-eval is --ckpt demo")
@evaluation_options
def inception_score(**options: Any) -> None:
    """Inception Score: over C3D clips (UCF101), or over Inception frames with --detector inception."""
    score(("is",), **options)


@click.command(cls=Configured, epilog="Example: latte-eval evaluate --metrics fvd,fid,is --ckpt demo")
@click.option(
    "--metrics",
    type=NameType(METRIC_NAMES, several=True),
    metavar="NAMES",
    default="fvd,fid,is",
    show_default=True,
    help=f"Names with commas: {NAMES}.",
)
@evaluation_options
def evaluate(metrics: str, **options: Any) -> None:
    """Several metrics from one pass over the clips of each side."""
    score(metric_names(metrics), **options)


def metric_names(text: str) -> tuple[str, ...]:
    """`fvd,FID` as names, each once. Raises `UsageError` for none."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--metrics names no metric: give one or more of {NAMES}")
    return names


def score(metrics: tuple[str, ...], as_json: bool, quiet: bool, shard: str | None, **options: Any) -> None:
    """Evaluate a request and print it, or compute one job's share of it."""
    request = to_request(metrics, **options)
    reporter = TerminalReporter(quiet)
    with continues(run_continues(request.run_folder.place, str(request.generator) if request.generator else None)):
        if shard is not None:
            click.echo(share_to_text(request, shard, reporter), err=as_json)
            return
        if request.is_demo and request.ckpt == "demo" and metrics == ("fvd",):
            from latte_eval.evaluation.demo import evaluate_demo

            results = evaluate_demo(request, reporter)
        else:
            results = measured_or_kept(request, reporter, as_json)
    show(results, as_json)


def share_to_text(request: Request, shard: str, reporter: TerminalReporter) -> str:
    """Compute one job's share; what to type when all have."""
    from latte_eval.evaluation.shares import Share, compute_share

    share = Share.parse(shard)
    run, plan = compute_share(request, share, reporter)
    return f"share {share} of {plan.title} is in {run.place}; when all jobs have ended: latte-eval merge {run.place}"


def measured_or_kept(request: Request, reporter: TerminalReporter, as_json: bool) -> list[Result]:
    """Results of a request; where one of several metrics fails, the others are shown before the error is."""
    from latte_eval.core.errors import MetricFailed
    from latte_eval.evaluation.pipeline import evaluate

    try:
        return evaluate(request, reporter)
    except MetricFailed as error:
        show(error.results, as_json)
        raise


def to_request(metrics: tuple[str, ...], no_interval: bool, device: str | None, **options: Any) -> Request:
    """Options as a `Request`."""
    from latte_eval.evaluation.request import Request

    options |= {name: tuple(options[name]) for name in ("params", "detectors")}
    return Request(metrics=metrics, interval=not no_interval, device=resolved_device(device), **options)


def show(results: Sequence[Result], as_json: bool) -> None:
    """Results on stdout: one JSON line each, or text for a person."""
    from latte_eval.cli.text import results_to_text

    if as_json:
        for result in results:
            click.echo(result.to_json())
    elif results:
        click.echo(results_to_text(results))
