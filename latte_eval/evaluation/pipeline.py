"""Checkpoint to results: the whole road on one screen. What a request means is in `request.py`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latte_eval.core.clips import ClipSource
from latte_eval.core.processes import process_group, rank
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.extract import Features, extract, feature_key, keep
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sides import Side, open_real, open_sides
from latte_eval.evaluation.stats import StatsSource, write_stats
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.rows import METRICS, Measurement


@dataclass(frozen=True)
class Evaluation:
    """Everything that `evaluate` opened before the long work began."""

    request: Request
    protocol: Protocol
    fake: Side
    real: Side | None
    detectors: dict[str, Detector]  # by metric
    run: RunFolder
    started: datetime
    clock: float  # time.perf_counter() at the start


def evaluate(request: Request, reporter: Reporter | None = None) -> list[Result]:
    """Measure every metric of a request in one pass over the clips of each side.

    Everything that can fail without sampling fails first: options, checkpoint, real clips, detector weights, the
    run folder. Results are appended to the run folder and returned; processes other than the first return none.
    """
    reporter = reporter or Reporter()
    with process_group(request.device):
        evaluation = prepare(request, reporter)
        results = finish(evaluation, reporter)
    evaluation.run.append_results(results)
    return results


def prepare(request: Request, reporter: Reporter) -> Evaluation:
    """Open both sides, the detectors and the run folder, and say what will be done."""
    started = datetime.now(UTC), time.perf_counter()
    request.check_sides()
    run = RunFolder(request.run_folder)
    protocol, real, fake = open_sides(request, reporter)
    detectors = open_detectors(request)
    if real and isinstance(real.source, StatsSource):
        real.source.check(protocol, [detectors[m] for m in request.metrics if METRICS[m].needs_real])
    evaluation = Evaluation(request, protocol, fake, real, detectors, run, *started)
    reporter.say(plan(evaluation))
    return evaluation


def open_detectors(request: Request) -> dict[str, Detector]:
    """The detector of every metric of a request, each opened once."""
    opened = {name: open_detector(name, request.device, trust=request.trust) for name in request.detector_names()}
    return {metric: opened[request.detector_for(metric)] for metric in request.metrics}


def finish(evaluation: Evaluation, reporter: Reporter) -> list[Result]:
    """The long work: features of the real side, then of the fake side, then the metrics."""
    real = side_features(evaluation, evaluation.real, reporter) if evaluation.real else {}
    fake = side_features(evaluation, evaluation.fake, reporter)
    if rank():
        return []
    return [make_result(evaluation, metric, fake, real, reporter) for metric in evaluation.request.metrics]


def plan(evaluation: Evaluation) -> str:
    """What will be done, in a few lines, before it is done."""
    real, fake = evaluation.real, evaluation.fake
    lines = [f"protocol  {evaluation.protocol.id}"]
    if real:
        lines.append(f"real      {real.expected:,} clips of {real.source.name}")
    lines.append(f"fake      {fake.expected:,} clips of {fake.source.name}{weights_text(fake)}")
    for detector in unique_detectors(list(evaluation.detectors.values())):
        lines.append(f"detector  {detector.name}" + (f": {detector.note}" if detector.note else ""))
    return "\n".join([*lines, f"run       {evaluation.run.path}"])


def weights_text(fake: Side) -> str:
    """Which weights of a checkpoint are sampled, how, and a warning where frames come from a VAE without weights."""
    if not fake.checkpoint or not fake.sampler or "steps" not in fake.sampler:
        return ""
    text = f" ({fake.checkpoint['weights']} weights, {fake.sampler['steps']} {fake.sampler['method']} steps)"
    if fake.sampler.get("codec") == "vae-seeded":
        text += "; no VAE is installed: frames come from a seeded one and show nothing, which does for a trial run"
    return text


def unique_detectors(detectors: Sequence[Detector]) -> list[Detector]:
    return list({detector.name: detector for detector in detectors}.values())


def side_features(evaluation: Evaluation, side: Side, reporter: Reporter) -> dict[str, Features]:
    """Features of one side by detector name, in one pass."""
    metrics = [m for m in evaluation.request.metrics if side is evaluation.fake or METRICS[m].needs_real]
    detectors = unique_detectors([evaluation.detectors[metric] for metric in metrics])
    if isinstance(side.source, StatsSource):
        return {detector.name: stored_features(side.source, detector, evaluation.run) for detector in detectors}
    return read_side(side, detectors, evaluation.run, evaluation.request.clips_at_once, reporter)


def stored_features(source: StatsSource, detector: Detector, run: RunFolder) -> Features:
    """Features from a file of statistics, which the run keeps like its own: a report needs both sides."""
    features = source.features(detector)
    if rank() == 0:
        keep(run, feature_key(source, detector), features)
    return features


def read_side(
    side: Side, detectors: Sequence[Detector], run: RunFolder, batch_size: int, reporter: Reporter
) -> dict[str, Features]:
    """Clips of a side through the detectors, with a bar; names what was left out."""
    with reporter.bar(side.source.name, side.expected) as advance:
        features = extract(
            side.source, detectors, run,
            wanted=side.wanted, at_most=side.at_most, batch_size=batch_size, on_clips=advance,
        )  # fmt: skip
    for rejected in dict.fromkeys([*side.source.rejected, *features[0].rejected]):
        reporter.say(f"left out {rejected.path}: {rejected.reason}")
    return {detector.name: each for detector, each in zip(detectors, features, strict=True)}


def measure(
    evaluation: Evaluation, name: str, fake: dict[str, Features], real: dict[str, Features], reporter: Reporter
) -> Measurement:
    """One metric from the features of both sides."""
    metric, detector = METRICS[name], evaluation.detectors[name].name
    with reporter.bar(f"{name} interval", None) as advance:
        return metric.measure(
            fake[detector], real.get(detector), evaluation.request.interval, lambda done, total: advance(1)
        )


def make_result(
    evaluation: Evaluation, name: str, fake: dict[str, Features], real: dict[str, Features], reporter: Reporter
) -> Result:
    """The record of one measured metric."""
    measurement = measure(evaluation, name, fake, real, reporter)
    detector = evaluation.detectors[name]
    fake_features, real_features = fake[detector.name], real.get(detector.name)
    real_side, seed = evaluation.real if METRICS[name].needs_real else None, evaluation.request.seed
    real_record = source_record(real_side.source, real_features, seed) if real_side and real_features else None
    return Result(
        metric=name,
        protocol=evaluation.protocol.id,
        protocol_sha256=evaluation.protocol.sha256,
        protocol_fields=evaluation.protocol.to_dict(),
        fake=len(fake_features),
        real=len(real_features) if real_record and real_features else 0,
        fake_source=source_record(evaluation.fake.source, fake_features, seed) | made_by(evaluation.request),
        real_source=real_record,
        checkpoint=evaluation.fake.checkpoint,
        detector=detector_record(detector),
        sampler=evaluation.fake.sampler,
        seeds=[fake_features.indices[0], fake_features.indices[-1]] if evaluation.fake.checkpoint else None,
        started=evaluation.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.perf_counter() - evaluation.clock, 3),
        note=detector.note or None,
        **vars(measurement),
    )


def source_record(source: ClipSource, features: Features, seed: int) -> dict[str, Any]:
    """Name, fingerprint, seed of the choices, and the files of a side that could not be used."""
    rejected = {each.path: each.reason for each in [*source.rejected, *features.rejected]}
    return {"name": source.name, "fingerprint": source.fingerprint, "rejected": len(rejected),
            "videos": len(set(features.groups)), "seed": seed}  # fmt: skip


def made_by(request: Request) -> dict[str, Any]:
    """What was typed for a generator, whose own name may be another."""
    return {"generator": request.generator} if request.generator else {}


def detector_record(detector: Detector) -> dict[str, Any]:
    """What a result says about its detector."""
    return {"name": detector.name, "sha256": detector.sha256, "comparable": detector.comparable,
            "used": detector.used, "agreement": detector.agreement}  # fmt: skip


def compute_stats(request: Request, path: Path, reporter: Reporter) -> int:
    """Features of a real set into one file that serves as `--real`; returns the number of clips.

    Raises what reading the set raises, and `StoreError` where the file cannot be written.
    """
    run, protocol = RunFolder(request.run_folder), request.resolved_protocol()
    with process_group(request.device):
        side = open_real(request, protocol, reporter)
        detectors = unique_detectors(list(open_detectors(request).values()))
        features = read_side(side, detectors, run, request.clips_at_once, reporter)
    first = next(iter(features.values()))
    if rank() == 0:
        write_stats(path, features, detectors, protocol, source_record(side.source, first, request.seed))
    return len(first)
