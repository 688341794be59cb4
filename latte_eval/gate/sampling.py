"""The gate on a checkpoint: sample in rounds, look after each, stop as soon as the answer is clear."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latte_eval.compare.lineup import subject
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.processes import world_size
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.extract import SHARD_CLIPS, Features, extract_shard, feature_key
from latte_eval.evaluation.pipeline import detector_record, source_record
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sides import OpenedModel, open_model
from latte_eval.files.lossy import StoredSource
from latte_eval.files.run_folder import RunFolder
from latte_eval.gate.accepted import Accepted, newest, read_accepted, read_shards
from latte_eval.gate.boundaries import rounds, spending_boundaries, student_boundary
from latte_eval.gate.contrast import compare_features
from latte_eval.gate.record import append_verdict, keep_real
from latte_eval.gate.rules import Rule
from latte_eval.gate.verdict import Judgement, Look, Verdict, conclude, differences, sampler_differences, short
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.rows import METRICS

# What of an accepted sampler a request repeats.
SETTINGS = ("method", "steps", "guidance_scale", "eta", "clip_x0", "dtype", "seed")


@dataclass(frozen=True)
class Plan:
    """What is asked of a gate that samples.

    Attributes:
        ckpt: the new checkpoint.
        max_clips: at most this many clips, and never more than the accepted run has.
        confidence: 1 - the rate of false alarms, and of false passes.
        options: of `Request`, that say how to open and run the model: device, vae, heads, ...; how it is sampled is
            as the accepted result says.
    """

    ckpt: str
    max_clips: int = 2048
    confidence: float = 0.95
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """The accepted result and features of one rule."""

    rule: Rule
    line: Accepted
    fake: Features
    real: Features | None

    @property
    def result(self) -> Result:
        return self.line.result


def gate_checkpoint(plan: Plan, against: Path, rules: Sequence[Rule], reporter: Reporter | None = None) -> Verdict:
    """Sample a checkpoint as the accepted one was and compare the two, round by round.

    No real clips are needed: their features stand beside the accepted result. The run folder is left with the
    verdict, the new clips' results and the features of both sides.
    Raises `UsageError`, `StoreError`, `CheckpointError`, `WeightsError` before anything is sampled.
    """
    started = datetime.now(UTC), time.perf_counter()
    if world_size() > 1:
        raise UsageError("gate --ckpt runs in one process: measure with torchrun, then gate --results")
    reporter, accepted = reporter or Reporter(), read_accepted(against)
    baselines = [open_baseline(rule, newest(accepted, rule.metric, against)) for rule in rules]
    check_together(baselines)
    request = to_request(plan, baselines)
    run = RunFolder(request.run_folder)
    opened = open_as_accepted(request, baselines[0].result)
    detectors = open_detectors(request, baselines)
    verdict = Verdict((), (opened.checkpoint.name, subject(baselines[0].result)), 0, budget_of(plan, baselines),
                      plan.confidence, {"protocol": baselines[0].result.protocol})  # fmt: skip
    refusals = [not_comparable(each, opened, detectors[each.rule.metric]) for each in baselines]
    if any(refusals):
        pairs = zip(rules, refusals, strict=True)
        judged = [Judgement(rule, "not comparable", sentences=tuple(reasons)) for rule, reasons in pairs if reasons]
        verdict = replace(verdict, judgements=tuple(judged))
    else:
        verdict = Sampling(verdict, baselines, detectors, request, opened, run, *started, reporter).judge_all()
    append_verdict(run.path, verdict)
    return verdict


def open_baseline(rule: Rule, line: Accepted) -> Baseline:
    """Raises `StoreError` where the accepted line has no features, or is not of a Latte checkpoint."""
    rule.check_direction(line.result.better)
    sides = line.sides()
    if "fake" not in sides or ("real" not in sides and METRICS[rule.metric].needs_real):
        raise StoreError(
            f"the accepted {rule.metric} has no features of both sides: accept its run folder again "
            "(latte-eval gate accept RUN), or compare numbers with --results"
        )
    if not set(SETTINGS) <= set(line.result.sampler or ()):
        raise StoreError(f"the accepted {rule.metric} is not of a Latte checkpoint: measure and use gate --results")
    return Baseline(rule, line, sides["fake"], sides.get("real"))


def check_together(baselines: Sequence[Baseline]) -> None:
    """Raise `UsageError` unless one sampling pass serves all rules."""
    first = baselines[0].result
    for other in (each.result for each in baselines[1:]):
        wrong = [name for name, *_ in differences(other, first) if not name.startswith(("detector", "real"))]
        wrong += ["seed"] if (other.sampler or {}).get("seed") != (first.sampler or {}).get("seed") else []
        if wrong:
            raise UsageError(f"the accepted {first.metric} and {other.metric} differ in {', '.join(wrong)}: "
                             "gate them one at a time")  # fmt: skip


def to_request(plan: Plan, baselines: Sequence[Baseline]) -> Request:
    """The accepted settings on the new checkpoint."""
    result = baselines[0].result
    sampler, benchmark = result.sampler or {}, result.protocol_fields["benchmark"]
    interval = sampler.get("guidance_interval")
    return Request(
        metrics=tuple(each.rule.metric for each in baselines), ckpt=plan.ckpt,
        benchmark=None if benchmark == "none" else benchmark,
        detectors=tuple(dict.fromkeys(each.result.detector["name"] for each in baselines)),
        sampler=sampler["method"], steps=sampler["steps"], guidance_scale=sampler["guidance_scale"],
        guidance_interval=",".join(map(str, interval)) if interval else None, eta=sampler["eta"],
        clip_x0=sampler["clip_x0"], dtype=sampler["dtype"], seed=sampler["seed"], **plan.options,
    )  # fmt: skip


def open_as_accepted(request: Request, result: Result) -> OpenedModel:
    """The new checkpoint with the accepted settings; classes are drawn as often as the accepted real side had them."""
    opened = open_model(request, result.protocol_fields["labels"])
    frequencies = (result.sampler or {}).get("label_frequencies")
    if not frequencies or opened.model.config.classes != len(frequencies):
        return opened
    settings = replace(opened.settings, label_mode="dataset", label_frequencies=tuple(frequencies))
    return replace(opened, settings=settings)


def open_detectors(request: Request, baselines: Sequence[Baseline]) -> dict[str, Detector]:
    """The accepted detector of every metric, each opened once."""
    names = {each.rule.metric: each.result.detector["name"] for each in baselines}
    opened = {name: open_detector(name, request.device, trust=request.trust) for name in dict.fromkeys(names.values())}
    return {metric: opened[name] for metric, name in names.items()}


def not_comparable(baseline: Baseline, opened: OpenedModel, detector: Detector) -> list[str]:
    """What of the new side cannot be as it was on the accepted one, field by field."""
    result, protocol = baseline.result, Protocol.from_dict(baseline.result.protocol_fields)
    size = (result.checkpoint or {}).get("size")
    pairs = [("frames", opened.frames, protocol.frames), ("size", opened.frame_size, size),
             ("detector sha256", short(detector.sha256), short(result.detector["sha256"]))]  # fmt: skip
    pairs += sampler_differences(opened.sampler_record(), result.sampler)
    return [f"{name} is {ours}, accepted was {theirs}" for name, ours, theirs in pairs if ours != theirs]


def budget_of(plan: Plan, baselines: Sequence[Baseline]) -> int:
    """Clips that may be sampled: there must be an accepted clip beside each. Raises `UsageError` for too few."""
    budget = min(plan.max_clips, *(len(each.fake) for each in baselines))
    if budget < 4:
        raise UsageError(f"--max-clips {budget} is too few: comparing takes at least 4 clips of each checkpoint")
    return budget


@dataclass
class Sampling:
    """A gate at work."""

    verdict: Verdict
    baselines: Sequence[Baseline]
    detectors: dict[str, Detector]
    request: Request
    opened: OpenedModel
    run: RunFolder
    started: datetime
    clock: float  # time.perf_counter() at the start
    reporter: Reporter

    def judge_all(self) -> Verdict:
        """Rounds until every rule has an answer, one of them is broken, or the budget is used up."""
        counts, budget = rounds(self.verdict.budget), self.verdict.budget
        bounds = spending_boundaries([count / budget for count in counts], 1 - self.verdict.confidence)
        looks: dict[Rule, list[Look]] = {each.rule: [] for each in self.baselines}
        for count, bound in zip(counts, bounds, strict=True):
            features = self.sample(count)
            for baseline in self.open_rules(looks):
                looks[baseline.rule].append(self.look(baseline, features, count, bound))
            if not list(self.open_rules(looks)) or any(each[-1].verdict == "regression" for each in looks.values()):
                break
        results = [self.measure(each, features, looks[each.rule][-1].clips) for each in self.baselines]
        self.leave(results)
        pairs = zip(self.baselines, results, strict=True)
        judged = tuple(self.judge(each, looks[each.rule], bounds[-1], result.value) for each, result in pairs)
        return replace(self.verdict, judgements=judged, clips=count)

    def open_rules(self, looks: dict[Rule, list[Look]]) -> Iterator[Baseline]:
        """Those without an answer so far."""
        for baseline in self.baselines:
            seen = looks[baseline.rule]
            if not seen or seen[-1].verdict == "inconclusive":
                yield baseline

    def sample(self, count: int) -> dict[str, Features]:
        """Features of clips 0..count-1 by detector name; what the run folder holds is not sampled again."""
        source, detectors = self.source(count), unique(self.detectors)
        folders = [self.run.path / "features" / feature_key(source, each) for each in detectors]
        held = [set(found.indices) if (found := read_shards(folder)) else set() for folder in folders]
        missing = [i for i in range(count) if not all(i in indices for indices in held)]
        with self.reporter.bar(f"{source.name}, to {count:,} clips", len(missing)) as advance:
            for start, stop in ranges(missing):
                extract_shard(source, detectors, self.run, start, stop, self.request.clips_at_once, advance)
        return {each.name: first_clips(folder, count) for each, folder in zip(detectors, folders, strict=True)}

    def source(self, count: int) -> StoredSource:
        """Clips 0..count-1 of the new checkpoint, stored as the accepted ones were."""
        storage = self.baselines[0].result.protocol_fields["fake_storage"]
        return StoredSource(self.opened.source(count, self.request.device, self.reporter), tuple(storage))

    def look(self, baseline: Baseline, features: dict[str, Features], count: int, bound: float) -> Look:
        """One comparison of the first `count` clips of both checkpoints."""
        fake = features[baseline.result.detector["name"]]
        with self.reporter.bar(f"{baseline.rule} jackknife", None) as advance:
            finding = compare_features(
                baseline.rule, fake, baseline.fake.first(count), baseline.real, lambda done, total: advance(1)
            )
        return Look(count, finding, student_boundary(bound, finding.degrees))

    def measure(self, baseline: Baseline, features: dict[str, Features], count: int) -> Result:
        """The new checkpoint's result at the clips that its rule needed, under the accepted protocol at that count."""
        old, detector = baseline.result, self.detectors[baseline.rule.metric]
        protocol = Protocol.from_dict(old.protocol_fields).replace(fake_clips=count)
        fake = features[detector.name].first(count)
        with self.reporter.bar(f"{old.metric} interval", None) as advance:
            measured = METRICS[old.metric].measure(fake, baseline.real, True, lambda done, total: advance(1))
        return Result(
            metric=old.metric, protocol=protocol.id, protocol_sha256=protocol.sha256,
            protocol_fields=protocol.to_dict(), fake=count, real=old.real,
            fake_source=source_record(self.source(count), fake, self.request.seed), real_source=old.real_source,
            checkpoint=self.opened.checkpoint_record(), detector=detector_record(detector),
            sampler=self.opened.sampler_record(), seeds=[0, count - 1],
            started=self.started.strftime("%Y-%m-%dT%H:%M:%SZ"), seconds=round(time.perf_counter() - self.clock, 3),
            note=detector.note or None, **vars(measured),
        )  # fmt: skip

    def leave(self, results: Sequence[Result]) -> None:
        """Results and the accepted real side, for a report of the run folder."""
        for baseline in self.baselines:
            keep_real(self.run, baseline.result, baseline.real)
        self.run.append_results(results)

    def judge(self, baseline: Baseline, looks: list[Look], bound: float, value: float) -> Judgement:
        """The verdict of one rule, with the accepted value at the clips of its last look beside the new one."""
        metric, count = METRICS[baseline.rule.metric], looks[-1].clips
        old = metric.measure(baseline.fake.first(count), baseline.real, False, lambda done, total: None).value
        return conclude(baseline.rule, looks, self.verdict.budget, bound, (value, old), self.notes(baseline, count))

    def notes(self, baseline: Baseline, count: int) -> list[str]:
        """What a person should know besides."""
        result, notes = baseline.result, []
        if count < result.fake:
            notes.append(f"values at {count:,} clips; the accepted run says {result.value:,.2f} at {result.fake:,}")
        if (result.checkpoint or {}).get("sha256") == self.opened.checkpoint.sha256:
            notes.append("this is the accepted checkpoint itself: beside another one less can be confirmed")
        return notes


def unique(detectors: dict[str, Detector]) -> list[Detector]:
    return list({each.name: each for each in detectors.values()}.values())


def ranges(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive indices as (start, stop), of at most a shard."""
    found: list[list[int]] = []
    for index in indices:
        if found and index == found[-1][1] and index % SHARD_CLIPS:
            found[-1][1] += 1
        else:
            found.append([index, index + 1])
    return [(start, stop) for start, stop in found]


def first_clips(folder: Path, count: int) -> Features:
    """The first clips of a folder of shards. Raises `StoreError` where one is missing."""
    found = read_shards(folder)
    if found is None or found.indices[:count] != list(range(count)):
        raise StoreError(f"{folder} lacks clips of 0..{count - 1}; delete it and run the same command again")
    return found.first(count)
