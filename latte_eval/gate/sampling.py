"""The gate on a checkpoint: sample in rounds, look after each, stop as soon as the answer is clear."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latte_eval.compare.comparable import Conditions, Difference, conditions_of, decisive, differences, protocol_of
from latte_eval.compare.results import metric_of, subject
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.numbers import number_to_text
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import PUBLISHED_CLIPS, Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.measuring import RealFeatures, make_result
from latte_eval.evaluation.opened_model import OpenedModel, open_model
from latte_eval.evaluation.pipeline import join_run, open_detectors, opened_by, side_features
from latte_eval.evaluation.prepared import Evaluation, what_is_measured
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sides import made_side
from latte_eval.files.run_folder import feature_key
from latte_eval.files.team import Team
from latte_eval.gate.accepted import Accepted, newest, read_accepted
from latte_eval.gate.boundaries import rounds, spending_boundaries, student_boundary
from latte_eval.gate.contrast import compare_features
from latte_eval.gate.record import append_verdict
from latte_eval.gate.rules import Rule
from latte_eval.gate.verdict import ACCEPTED, Judgement, Look, Verdict, about_verdict, conclude
from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.rows import METRICS

# Fields of an accepted sampler that a request repeats.
SETTINGS = ("method", "steps", "guidance_scale", "eta", "clip_x0", "dtype", "seed")


@dataclass(frozen=True)
class Plan:
    """What is asked of a gate that samples.

    Attributes:
        ckpt: the new checkpoint.
        max_clips: at most this many clips, and never more than the accepted run has.
        confidence: 1 - the rate of false alarms, and of false passes.
        options: those of `Request` that say how to open and run the model: device, vae, heads, ...; sampling follows
            the accepted result.
    """

    ckpt: str
    max_clips: int = PUBLISHED_CLIPS
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

    @property
    def against(self) -> RealFeatures | None:
        """The accepted real side, which the new clips are compared with too."""
        record = self.result.real_source
        return RealFeatures(self.real, record) if self.real and record else None


def gate_checkpoint(
    plan: Plan, against: Path, rules: Sequence[Rule], reporter: Reporter | None = None
) -> Verdict | None:
    """Sample a checkpoint as the accepted one was and compare the two, round by round.

    No real clips are needed: their features are stored beside the accepted result. The run folder is left with the
    verdict, the new clips' results and the features of both sides. Under a launcher the first process judges; the
    others sample what it asks for and return None.
    Raises `UsageError`, `StoreError`, `CheckpointError`, `WeightsError` before anything is sampled.
    """
    started = datetime.now(UTC), time.perf_counter()
    reporter, accepted = reporter or Reporter(), read_accepted(against)
    baselines = [open_baseline(rule, newest(accepted, rule.metric, against)) for rule in rules]
    check_together(baselines)
    request, result = to_request(plan, baselines), baselines[0].result
    run = request.run_folder.make()
    team = join_run(request, run)
    opened, detectors = open_new(request, result, baselines, team)
    verdict = Verdict((), (opened.checkpoint.name, subject(result)), 0, budget_of(plan, baselines), plan.confidence,
                      about_verdict(result, opened.checkpoint_record()))  # fmt: skip
    if refused := refusals(baselines, opened, detectors):
        verdict = replace(verdict, judgements=refused)
    else:
        protocol = Protocol.from_dict(result.protocol_fields)
        fake = made_side(opened, protocol, verdict.budget, request, reporter)
        evaluation = Evaluation(request, protocol, fake, None, detectors, run, *started)
        team.check_same(team.number("gate"), what_is_measured(evaluation))
        verdict = Sampling(verdict, baselines, evaluation, opened, reporter, team).take_part()
    if team.rank:
        return None
    append_verdict(run.path, verdict)
    return verdict


def open_new(
    request: Request, result: Result, baselines: Sequence[Baseline], team: Team
) -> tuple[OpenedModel, dict[str, Detector]]:
    """The new checkpoint with the accepted settings, and the detectors of the accepted results by metric."""
    with team.in_turn(f"open {opened_by(request)}"):
        opened = open_as_accepted(request, result)
    opened.checkpoint.note_in(request.run_folder.path)
    names = {each.rule.metric: each.result.detector["name"] for each in baselines}
    with team.in_turn(f"detectors {sorted(names.values())}"):
        return opened, open_detectors(request, names)


def open_baseline(rule: Rule, line: Accepted) -> Baseline:
    """Raises `StoreError` where the accepted line has no features, or is not of a Latte checkpoint."""
    rule.check_direction(line.result.better)
    if METRICS[rule.metric].contrast is None:
        raise UsageError(f"--fail {rule}: {rule.metric} has no comparison of clips; measure, then gate --results")
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
        wrong = [each.label for each in differences(other, first) if forbids_one_pass(each)]
        if wrong:
            raise UsageError(f"the accepted {first.metric} and {other.metric} differ in {', '.join(wrong)}: "
                             "gate them one at a time")  # fmt: skip


def forbids_one_pass(difference: Difference) -> bool:
    """Whether a difference of two accepted results means different fake clips; detector and real side may differ."""
    if (difference.part, difference.field) == ("sampler", "seed"):
        return True
    return difference.weight == "decides" and not difference.label.startswith(("detector", "real"))


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
        clip_x0=sampler["clip_x0"], dtype=sampler["dtype"], seed=sampler["seed"], splits=splits_of(baselines),
        **plan.options,
    )  # fmt: skip


def splits_of(baselines: Sequence[Baseline]) -> int | None:
    """Over how many splits the accepted score was taken; None where no metric has any."""
    return next((each.result.details["splits"] for each in baselines if "splits" in each.result.details), None)


def open_as_accepted(request: Request, result: Result) -> OpenedModel:
    """The new checkpoint with the accepted settings; classes are drawn as often as the accepted real side had them."""
    opened = open_model(request, result.protocol_fields["labels"])
    frequencies = (result.sampler or {}).get("label_frequencies")
    if not frequencies or opened.model.config.classes != len(frequencies):
        return opened
    settings = replace(opened.settings, label_mode="dataset", label_frequencies=tuple(frequencies))
    return replace(opened, settings=settings)


def not_comparable(baseline: Baseline, opened: OpenedModel, detector: Detector) -> list[str]:
    """Fields in which the new side cannot match the accepted one, one sentence each."""
    sizes = {"frames": opened.frames, "size": opened.frame_size}
    new = Conditions({"checkpoint": sizes, "detector": detector.record(), "sampler": opened.sampler_record()})
    return [each.sentence(ACCEPTED) for each in decisive(differences(new, conditions_of(baseline.result)))]


def refusals(
    baselines: Sequence[Baseline], opened: OpenedModel, detectors: Mapping[str, Detector]
) -> tuple[Judgement, ...]:
    """Why rules cannot be judged on this checkpoint; empty where all can."""
    reasons = [(each.rule, not_comparable(each, opened, detectors[each.rule.metric])) for each in baselines]
    return tuple(Judgement(rule, "not comparable", sentences=tuple(why)) for rule, why in reasons if why)


def budget_of(plan: Plan, baselines: Sequence[Baseline]) -> int:
    """Clips that may be sampled: each needs an accepted clip beside it. Raises `UsageError` for too few."""
    budget = min(plan.max_clips, *(len(each.fake) for each in baselines))
    if budget < 4:
        raise UsageError(f"--max-clips {budget} is too few: comparing takes at least 4 clips of each checkpoint")
    return budget


@dataclass(frozen=True)
class Sampling:
    """A gate at work: the pipeline's evaluation, asked for more clips until the answer is clear."""

    verdict: Verdict
    baselines: Sequence[Baseline]
    evaluation: Evaluation
    opened: OpenedModel
    reporter: Reporter
    team: Team

    def take_part(self) -> Verdict:
        """The verdict of the first process; the others sample what it asks for, and their verdict says nothing."""
        if self.team.rank == 0:
            return self.judge_all()
        self.sample_on()
        return self.verdict

    def judge_all(self) -> Verdict:
        """Rounds until every rule has an answer, one shows a regression, or the budget is used up."""
        counts, budget = rounds(self.verdict.budget), self.verdict.budget
        bounds = spending_boundaries([count / budget for count in counts], 1 - self.verdict.confidence)
        looks: dict[Rule, list[Look]] = {each.rule: [] for each in self.baselines}
        for count, bound in zip(counts, bounds, strict=True):
            features = self.sample(count)
            for baseline in self.open_rules(looks):
                looks[baseline.rule].append(self.look(baseline, features, count, bound))
            if not self.goes_on(count, looks):
                break
        results = [self.measure(each, features, looks[each.rule][-1].clips) for each in self.baselines]
        self.leave(results)
        pairs = zip(self.baselines, results, strict=True)
        judged = tuple(self.judge(each, looks[each.rule], bounds[-1], result.value) for each, result in pairs)
        return replace(self.verdict, judgements=judged, clips=count)

    def goes_on(self, count: int, looks: dict[Rule, list[Look]] | None = None) -> bool:
        """Whether a further round is to be sampled: the first process, which has `looks`, tells the others."""
        with self.team.first(self.team.number(f"gate after {count} clips")) as said:
            if looks is not None:
                regression = any(each[-1].verdict == "regression" for each in looks.values())
                said["goes on"] = bool(list(self.open_rules(looks))) and not regression
        return bool(said["goes on"])

    def sample_on(self) -> None:
        """Sample along, round by round, until the first process has its answer."""
        for count in rounds(self.verdict.budget):
            self.sample(count)
            if not self.goes_on(count):
                return

    def open_rules(self, looks: dict[Rule, list[Look]]) -> Iterator[Baseline]:
        """Baselines of the rules without an answer so far."""
        for baseline in self.baselines:
            seen = looks[baseline.rule]
            if not seen or seen[-1].verdict == "inconclusive":
                yield baseline

    def sample(self, count: int) -> dict[str, Features]:
        """Features of clips 0..count-1 by detector name; what the run folder holds is not sampled again."""
        return side_features(self.evaluation, replace(self.evaluation.fake, wanted=count), self.reporter)

    def look(self, baseline: Baseline, features: dict[str, Features], count: int, bound: float) -> Look:
        """One comparison of the first `count` clips of both checkpoints."""
        fake = features[baseline.result.detector["name"]]
        with self.reporter.bar(f"{baseline.rule} jackknife", None) as advance:
            finding = compare_features(
                baseline.rule, fake, baseline.fake.first(count), baseline.real, lambda done, total: advance(1),
                protocol_of(baseline.result),
            )  # fmt: skip
        return Look(count, finding, student_boundary(bound, finding.degrees))

    def measure(self, baseline: Baseline, features: dict[str, Features], count: int) -> Result:
        """The new checkpoint's result at the clips that its rule needed: the accepted protocol with that count."""
        protocol = Protocol.from_dict(baseline.result.protocol_fields).replace(fake_clips=count)
        evaluation = replace(self.evaluation, protocol=protocol)
        fake = features[baseline.result.detector["name"]].first(count)
        return make_result(evaluation, baseline.rule.metric, fake, baseline.against, self.reporter)

    def leave(self, results: Sequence[Result]) -> None:
        """Write results and the accepted real side into the run folder, for a report."""
        for baseline in self.baselines:
            if against := baseline.against:
                key = feature_key(against.record["fingerprint"], baseline.result.detector)
                self.evaluation.run.keep_features(key, against.features)
        self.evaluation.run.append_results(results)

    def judge(self, baseline: Baseline, looks: list[Look], bound: float, value: float) -> Judgement:
        """The verdict of one rule, with the accepted value at the clips of its last look beside the new one."""
        metric, count = metric_of(baseline.result), looks[-1].clips
        old = metric.measure(baseline.fake.first(count), baseline.real, False, lambda done, total: None).value
        return conclude(baseline.rule, looks, self.verdict.budget, bound, (value, old), self.notes(baseline, count))

    def notes(self, baseline: Baseline, count: int) -> list[str]:
        """What else a person should know."""
        result, notes = baseline.result, []
        if count < result.fake:
            notes.append(
                f"values at {count:,} clips; the accepted run says {number_to_text(result.value)} at {result.fake:,}"
            )
        if (result.checkpoint or {}).get("sha256") == self.opened.checkpoint.sha256:
            notes.append("this is the accepted checkpoint itself: beside another one less can be confirmed")
        return notes
