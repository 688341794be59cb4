"""From the features of both sides to results, metric by metric."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latte_eval.core.errors import LatteEvalError, MetricFailed
from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.prepared import Evaluation
from latte_eval.evaluation.request import Request
from latte_eval.files.environment import code_record, environment_record
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics.metric import Measurement, Metric
from latte_eval.metrics.rows import METRICS


@dataclass(frozen=True)
class RealFeatures:
    """What a metric compares with, and what a result says about it."""

    features: Features
    record: dict[str, Any]


def measure_all(
    evaluation: Evaluation, fake: Mapping[str, Features], real: Mapping[str, Features], reporter: Reporter
) -> list[Result]:
    """Measure and keep one metric after the other. Raises `MetricFailed` at the end for those that could not be."""
    results, failures = list[Result](), list[str]()
    for metric in evaluation.request.metrics:
        try:
            results.append(measure_metric(evaluation, metric, fake, real, reporter))
        except LatteEvalError as error:
            if len(evaluation.request.metrics) == 1:
                raise
            failures.append(f"{metric}: {error}")
        else:
            keep_results(evaluation.run, results[-1:], reporter)
    if failures:
        raise MetricFailed(f"{'; '.join(failures)}. The other metrics are in {evaluation.run.results_place}", results)
    return results


def measure_metric(
    evaluation: Evaluation, metric: str, fake: Mapping[str, Features], real: Mapping[str, Features], reporter: Reporter
) -> Result:
    """One metric from the features of both sides, by detector name."""
    detector, seed = evaluation.detectors[metric].name, evaluation.request.seed
    against = None
    if evaluation.real and METRICS[metric].needs_real:
        against = RealFeatures(real[detector], evaluation.real.record(real[detector], seed))
    return make_result(evaluation, metric, fake[detector], against, reporter)


def make_result(
    evaluation: Evaluation, metric: str, fake: Features, real: RealFeatures | None, reporter: Reporter
) -> Result:
    """The result of one metric, measured on these features."""
    row, detector, protocol = METRICS[metric], evaluation.detectors[metric], evaluation.protocol
    measurement = measure(evaluation, metric, fake, real, reporter)
    return Result(
        metric=metric,
        better=row.better,
        protocol=protocol.id,
        protocol_sha256=protocol.sha256,
        protocol_fields=protocol.to_dict(),
        fake=len(fake),
        real=len(real.features) if real else 0,
        fake_source=evaluation.fake.record(fake, evaluation.request.seed),
        real_source=real.record if real else None,
        checkpoint=evaluation.fake.checkpoint,
        detector=detector.record(),
        sampler=evaluation.fake.sampler,
        seeds=[fake.indices[0], fake.indices[-1]] if evaluation.fake.checkpoint else None,
        started=evaluation.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.perf_counter() - evaluation.clock, 3),
        code=code_record(),
        env=evaluation.env or environment_record(),
        note=detector.note or None,
        **vars(measurement),
    )


def measure(
    evaluation: Evaluation, metric: str, fake: Features, real: RealFeatures | None, reporter: Reporter
) -> Measurement:
    """The value of one metric, with a bar for its interval."""
    against = real.features if real else None
    with reporter.bar(f"{metric} interval", None) as advance:
        row = metric_row(evaluation.request, metric, evaluation.protocol)
        return row.measure(fake, against, evaluation.request.interval, lambda done, total: advance(1))


def metric_row(request: Request, metric: str, protocol: Protocol) -> Metric:
    """A metric as the request and its protocol want it measured."""
    return METRICS[metric].split_into(request.splits).under(protocol)


def keep_results(run: RunFolder, results: Sequence[Result], reporter: Reporter) -> None:
    """Append results to a run, and name those that it holds already. Raises `StoreError`."""
    for repeated in run.append_results(results):
        reporter.say(f"{repeated.metric}: {run.results_place} holds this result already; nothing was added")
