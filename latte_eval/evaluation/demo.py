"""The embedded default: the shipped checkpoint beside what must be better and worse than it."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from latte_eval.benchmarks.shapes.sources import NoiseSource, ShapesSource
from latte_eval.core.processes import rank
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.evaluation.measuring import keep_results, measure_metric
from latte_eval.evaluation.pipeline import prepare, side_features
from latte_eval.evaluation.prepared import Evaluation
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.evaluation.sides import open_sides


def evaluate_demo(request: Request, reporter: Reporter) -> list[Result]:
    """FVD of the demo checkpoint, with `details["table"]`: real against real, trained, early, noise.

    The rows share the real side and the seed. Their order must come out right; the numbers mean nothing elsewhere.
    Only the checkpoint's own result is appended to the run folder.
    """
    trained = prepare(request, reporter)
    found = {label: demo_result(evaluation, reporter) for label, evaluation in demo_rows(trained, reporter).items()}
    rows = {label: result for label, result in found.items() if result}
    if not rows:
        return []
    table = [demo_row(label, result) for label, result in rows.items()]
    result = rows["trained checkpoint"]
    seconds = round(time.perf_counter() - trained.clock, 3)
    result = dataclasses.replace(result, seconds=seconds, details={**result.details, "table": table})
    keep_results(trained.run, [result], reporter)
    return [result]


def demo_result(evaluation: Evaluation, reporter: Reporter) -> Result | None:
    """FVD of one row, which the run folder does not keep; None in processes other than the first."""
    assert evaluation.real is not None
    real = side_features(evaluation, evaluation.real, reporter)
    fake = side_features(evaluation, evaluation.fake, reporter)
    return None if rank() else measure_metric(evaluation, "fvd", fake, real, reporter)


def demo_rows(trained: Evaluation, reporter: Reporter) -> dict[str, Evaluation]:
    """One evaluation per row, all against the same real clips."""
    count, seed = trained.fake.expected, trained.request.seed
    early = open_sides(dataclasses.replace(trained.request, ckpt="demo-early"), reporter)[2]
    fakes = {
        "real against real": Side(ShapesSource(count, seed, start=count, name="shapes (other clips)"), wanted=count),
        "trained checkpoint": trained.fake,
        "early checkpoint": early,
        "pure noise": Side(NoiseSource(count, seed), wanted=count),
    }
    return {label: dataclasses.replace(trained, fake=fake) for label, fake in fakes.items()}


def demo_row(label: str, result: Result) -> dict[str, Any]:
    return {"row": label, "fvd": result.value, "interval": result.interval, "fake": result.fake, "real": result.real}
