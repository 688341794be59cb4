"""From a request to results: the whole road on one screen. What a request means is in `request.py`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latte_eval.baselines.published import published_values
from latte_eval.core.errors import ClipError, NotEnoughClips, UsageError
from latte_eval.core.features import Features
from latte_eval.core.notebook import Results
from latte_eval.core.processes import rank, settle_on
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.announce import evaluation_to_text, same_place_notes, side_notes
from latte_eval.evaluation.ask import read_inputs, to_request
from latte_eval.evaluation.cost_lines import clips_stepped, stored_clips
from latte_eval.evaluation.extract import extract
from latte_eval.evaluation.fields import check_fields
from latte_eval.evaluation.measuring import measure_all, metric_row
from latte_eval.evaluation.outlook import check_whole, outlook, outlook_to_text
from latte_eval.evaluation.paired import PairedDetector, Pairing
from latte_eval.evaluation.prepared import Evaluation, side_detectors, unique_detectors, what_is_measured
from latte_eval.evaluation.repeated import RepeatedSource
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.evaluation.sides import open_real, open_sides
from latte_eval.evaluation.stats import StatsSource, write_stats
from latte_eval.evaluation.stored import identities_of
from latte_eval.files.addresses import is_fetched
from latte_eval.files.run_folder import RunFolder, feature_key
from latte_eval.files.team import Team, team_at
from latte_eval.files.weights import WEIGHTS
from latte_eval.files.whole_files import check_writable
from latte_eval.metrics.detectors import DETECTORS, Detector, open_detector
from latte_eval.metrics.detectors.base import frames_to_text
from latte_eval.metrics.detectors.own import detector_row
from latte_eval.metrics.rows import METRICS


def evaluate(request: Request | None = None, reporter: Reporter | None = None, **options: Any) -> Results:
    """Measure every metric of a request in one pass over the clips of each side.

    Args:
        request: what to measure; or keywords with the names of its fields, of which `fake` and `real` then take arrays,
            paths, iterables and generators, as `latte_eval.fvd` says:
            `evaluate(ckpt="x.pt", benchmark="ucf101", real=DIR, metrics=["fvd", "fid", "is"])`.
        reporter: is told how the work goes on; None shows nothing.

    Everything that can fail without sampling fails first: options, checkpoint, real clips, detector weights, the
    run folder. Each result is appended to the run folder as soon as it is there; all are returned. Processes other than
    the first return none. Raises `MetricFailed` where one of several metrics fails: the others are measured and kept.
    """
    reporter = reporter or Reporter()
    request = read_inputs(to_request(request, options), reporter)
    evaluation = prepare(request, reporter)
    return Results(finish(evaluation, reporter))


def prepare(request: Request, reporter: Reporter) -> Evaluation:
    """Open both sides, the detectors and the run folder, and say what will be done."""
    started = datetime.now(UTC), time.perf_counter()
    request.check_sides()
    run = request.run_folder.make()
    team = join_run(request, run)
    with team.in_turn(f"open {opened_by(request)}"):
        protocol, real, fake = open_sides(request, reporter, team)
    for note in (*side_notes("real", real), *side_notes("fake", fake), *same_place_notes(request)):
        reporter.say(note)
    names = {metric: request.detector_for(metric) for metric in request.metrics}
    with team.in_turn(f"detectors {sorted(names.values())}"):
        detectors = open_detectors(request, names, fake.pairing)
    if real and isinstance(real.source, StatsSource):
        real.source.check(protocol, [detectors[m] for m in request.metrics if METRICS[m].needs_real])
    for metric, detector in detectors.items():
        check_measurable(request, metric, detector, protocol, fake)
    evaluation = Evaluation(request, protocol, fake, real, detectors, run, *started)
    team.check_same(team.number("evaluation"), what_is_measured(evaluation))
    reporter.say(evaluation_to_text(evaluation))
    for detector in unique_detectors(detectors.values()):
        tell_outlook(evaluation, detector, reporter)
    return evaluation


def join_run(request: Request, run: RunFolder) -> Team:
    """The processes that share a run folder; each takes the card that it is to work on."""
    settle_on(request.device)
    return team_at(run.path, request.on_lost)


def opened_by(request: Request) -> str:
    """What opening the sides of a request may download or examine, which later requests find ready."""
    fetched = request.ckpt if is_fetched(str(request.ckpt)) else ""
    return f"{fetched} {request.vae} {request.real} {request.fake}"


def tell_outlook(evaluation: Evaluation, detector: Detector, reporter: Reporter) -> None:
    """Say what the value will stand beside. Raises `NotComparable` for a remnant of a benchmark's real clips."""
    request, row, real = evaluation.request, evaluation.request.benchmark_row, evaluation.real
    found = outlook(row, evaluation.protocol, evaluation.fake, real, detector)
    if found is None or row is None:
        return
    using = [metric for metric, each in evaluation.detectors.items() if each.name == detector.name]
    if any(published_values(row.name, metric) for metric in using):
        reporter.say(f"published {outlook_to_text(found)}")
    if real and not (request.allow_partial or request.is_trial):
        check_whole(found, row, real)


def check_measurable(request: Request, metric: str, detector: Detector, protocol: Protocol, fake: Side) -> None:
    """Raise `NotEnoughClips` or `ClipError` if these clips are too few or too short for the metric."""
    per_frame = detector.name.partition("=")[0] in DETECTORS and detector_row(detector.name).per_frame
    least = metric_row(request, metric, protocol).least_rows
    counted = fake.counted_frames(protocol)
    rows = fake.expected * (counted if per_frame else 1)
    if rows < least:
        unit = "frames" if per_frame else "clips"
        raise NotEnoughClips(
            f"{metric} takes at least {least} {unit}, the fake side has {rows}: give more, or leave {metric} out"
        )
    longest = max(counted, detector.min_frames)
    nearest = min(longest, detector.max_frames or longest)
    if nearest != counted:
        raise ClipError(
            f"{detector.name} takes clips of {frames_to_text(detector.min_frames, detector.max_frames)} frames, the "
            f"protocol compares {counted}{frames_advice(protocol, fake, nearest)}, or leave {metric} out"
        )


def frames_advice(protocol: Protocol, fake: Side, wanted: int) -> str:
    """What to type so that so many frames of a clip are compared; a model makes clips of one length."""
    spare = protocol.frames - wanted
    if protocol.counted == "generated":
        given = f"give no more than --given 0:{spare}" if spare > 0 else "leave out --param counted=generated"
        return f" of {protocol.frames}, those that are generated: {given}"
    skipped = protocol.skip_frames
    if skipped and fake.checkpoint and spare >= 0:
        return f" of {protocol.frames}: give --param skip_frames={spare}"
    return f": give --param frames={wanted + skipped}"


def open_detectors(request: Request, names: Mapping[str, str], pairing: Pairing | None = None) -> dict[str, Detector]:
    """The detector of every metric, from its name; each is opened once. `pairing` came with the fake clips.

    Those whose weights ask for a decision come first: nobody waits for other downloads to hear of it.
    """
    opened = {name: open_named(request, name, pairing)
              for name in sorted(dict.fromkeys(names.values()), key=asks_first, reverse=True)}  # fmt: skip
    return {metric: opened[name] for metric, name in names.items()}


def asks_first(detector: str) -> bool:
    """Whether the weights of a detector are fetched only where somebody names them."""
    record = DETECTORS[detector].weights if detector in DETECTORS else ""
    return bool(record) and WEIGHTS[record].ask_first


def open_named(request: Request, name: str, pairing: Pairing | None) -> Detector:
    """A detector by name. Raises `UsageError` for a paired one without pairs."""
    if not detector_row(name).paired:
        return open_detector(name, request.device, trust=request.trust)
    if pairing is None:
        raise UsageError(f"{name} compares clips with the real clips that they were given parts of: these have none")
    return pairing.open(name, request.device, request.trust)


def finish(evaluation: Evaluation, reporter: Reporter) -> list[Result]:
    """The long work: features of the real side, then of the fake side, then the metrics."""
    real = side_features(evaluation, evaluation.real, reporter) if evaluation.real else {}
    fake = side_features(evaluation, evaluation.fake, reporter)
    return [] if rank() else measure_all(evaluation, fake, real, reporter)


def side_features(evaluation: Evaluation, side: Side, reporter: Reporter) -> dict[str, Features]:
    """Features of one side by detector name, in one pass."""
    detectors = side_detectors(evaluation, side)
    if not detectors:
        return {}
    if isinstance(side.source, StatsSource):
        return {detector.name: stored_features(side.source, detector, evaluation.run) for detector in detectors}
    return {name: features for some in passes(evaluation, side, detectors)
            for name, features in read_side(*some, evaluation.run, evaluation.request, reporter).items()}  # fmt: skip


def passes(evaluation: Evaluation, side: Side, detectors: Sequence[Detector]) -> list[tuple[Side, Sequence[Detector]]]:
    """One pass over the clips for all detectors; where all that is known of several samples is stored, two.

    Then detectors that look at the first sample alone do not make the others again.
    """
    paired = [detector for detector in detectors if isinstance(detector, PairedDetector)]
    rest = [detector for detector in detectors if detector not in paired]
    if not isinstance(side.source, RepeatedSource) or not rest:
        return [(side, detectors)]
    if stored_clips(side.source, paired, evaluation.run, side.expected) < side.expected:
        return [(side, detectors)]
    return [(dataclasses.replace(side, source=side.source.once), rest), (side, paired)]


def stored_features(source: StatsSource, detector: Detector, run: RunFolder) -> Features:
    """Features from a file of statistics, which the run keeps as if it had computed them: a report needs both sides."""
    features = source.features(detector)
    if rank() == 0:
        run.keep_features(feature_key(source.fingerprint, detector.record()), features, source.meta.get("candidates"))
    return features


def read_side(
    side: Side, detectors: Sequence[Detector], run: RunFolder, request: Request, reporter: Reporter
) -> dict[str, Features]:
    """Put the clips of a side through the detectors, with a bar; say which were left out.

    Processes other than the first get nothing.
    """
    batch_size = request.clips_at_once(side.source)
    stepped = clips_stepped(side.source, min(batch_size, side.expected))
    with reporter.bar(side.source.name, side.expected, batch=stepped) as advance:
        features = extract(
            side.source, detectors, run,
            wanted=side.wanted, at_most=side.at_most, batch_size=batch_size, workers=request.worker_count,
            on_clips=advance,
        )  # fmt: skip
    for rejected in dict.fromkeys([*side.source.rejected, *(features[0].rejected if features else ())]):
        reporter.say(f"left out {rejected.path}: {rejected.reason}")
    return {detector.name: each for detector, each in zip(detectors, features, strict=False)}


def compute_stats(request: Request, path: Path, reporter: Reporter) -> int:
    """Features of a real set into one file that serves as `--real`; returns the number of clips.

    Processes other than the first return 0.

    Raises what reading the set raises, and `StoreError` where the file cannot be written.
    """
    request.check_detectors()
    run, protocol = request.run_folder.make(), request.resolved_protocol()
    check_writable(path)
    names, team = {metric: request.detector_for(metric) for metric in request.metrics}, join_run(request, run)
    with team.in_turn(f"open {request.real}"):
        side = open_real(request, protocol, reporter, team)
    honoured = side.honours | request.detector_fields
    check_fields(request.given_fields, request.usual_protocol(), protocol, honoured)
    for note in side_notes("real", side):
        reporter.say(note)
    with team.in_turn(f"detectors {sorted(names.values())}"):
        detectors = unique_detectors(open_detectors(request, names).values())
    team.check_same(team.number("stats"), {"the fingerprint of the real clips": side.source.fingerprint})
    features = read_side(side, detectors, run, request, reporter)
    if not features:
        return 0
    first = next(iter(features.values()))
    candidates = identities_of(side.source, range(first.indices[-1] + 1))
    write_stats(path, features, detectors, protocol, side.record(first, request.seed), candidates)
    return len(first)
