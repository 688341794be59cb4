"""`merge`: results from what jobs of `--shard K/N` stored. Neither checkpoint nor data is needed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from latte_eval import __version__
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import IncompleteRun, LatteEvalError, MetricFailed, NotComparable, StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.extract import check_enough
from latte_eval.evaluation.gather import Gathered, gather
from latte_eval.evaluation.measuring import measure_all
from latte_eval.evaluation.prepared import Evaluation
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.shares import share_of
from latte_eval.evaluation.side import Side
from latte_eval.files.plans import Plan, PlannedSide, read_plans
from latte_eval.files.run_folder import FEATURES_VERSION, RESULTS, Range, RunFolder
from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.rows import METRICS

# So many ranges of clips are named, then a count.
MOST_NAMED = 4


@dataclass(frozen=True)
class PlannedSource:
    """A side of a plan as a source: it names its clips and has none."""

    side: PlannedSide

    @property
    def name(self) -> str:
        return self.side.name

    @property
    def fingerprint(self) -> str:
        return self.side.fingerprint

    @property
    def rejected(self) -> Sequence[Rejected]:
        return [Rejected(path, reason) for path, reason in self.side.rejected]

    @property
    def about(self) -> dict[str, Any]:
        return self.side.about

    def __len__(self) -> int:
        return self.side.limit

    def clips(self, indices: Sequence[int]) -> Clips:
        """Raises `StoreError`: a plan holds no pixels."""
        raise StoreError(f"the clips of {self.name} are not here: merge reads what jobs have stored")

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Raises `StoreError`, as `clips`."""
        raise StoreError(f"the clips of {self.name} are not here: merge reads what jobs have stored")


@dataclass(frozen=True)
class PlannedDetector(Detector):
    """A detector of a plan: all that a result says about it, without the network."""

    stored: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        return {name: value for name, value in self.stored.items() if name != "note"}


def merge(run: RunFolder, key: str | None, reporter: Reporter) -> list[Result]:
    """Results of all plans of a run folder, or of the one of this key, appended to its results.

    A clip that is stored twice counts once. A value is never measured from fewer clips than the plan says.

    Raises:
        IncompleteRun: shares are missing; it names them, and holds the results of plans that lack nothing.
        MetricFailed: metrics could not be computed; it holds the others.
        NotComparable: another version of latte-eval made the features.
        StoreError: there is no plan, or one cannot be read.
    """
    results, failed = list[Result](), list[LatteEvalError]()
    for plan in chosen(run, key):
        try:
            results += merge_plan(run, plan, reporter)
        except (IncompleteRun, MetricFailed) as error:
            results += error.results
            failed.append(error)
    if not failed:
        return results
    said = "; ".join(map(str, failed))
    if any(isinstance(each, IncompleteRun) for each in failed):
        raise IncompleteRun(said, results)
    raise MetricFailed(said, results)


def chosen(run: RunFolder, key: str | None) -> list[Plan]:
    """The plans of a run folder, or one of them. Raises `StoreError`, `UsageError` for a key that none has."""
    plans = read_plans(run)
    if not plans:
        done = f"; {RESULTS} is there, so a run without --shard has finished" if run.has(run.results_file) else ""
        raise StoreError(
            f"{run.place} holds no plan to merge{done}: jobs write one, as in latte-eval fvd ... --shard 1/4 "
            f"--out {run.place}"
        )
    keys = [plan.key for plan in plans]
    if key is not None and key not in keys:
        raise UsageError(f"--plan {key} is not in {run.place}: it holds {', '.join(keys)}")
    return [plan for plan in plans if key in (None, plan.key)]


def merge_plan(run: RunFolder, plan: Plan, reporter: Reporter) -> list[Result]:
    """Measure one plan. Raises as `merge`."""
    started = datetime.now(UTC), time.perf_counter()
    if (plan.version, plan.features_version) != (__version__, FEATURES_VERSION):
        raise NotComparable(
            f"the jobs of {plan.title} ran version {plan.version} of latte-eval, this is {__version__}: merge with "
            "theirs, or run them again with this one"
        )
    features = {name: side_features(run, plan, name) for name in plan.sides}
    if lost := [text for name in plan.sides for text in lacking_texts(plan, name, features[name])]:
        raise IncompleteRun(incomplete(run, plan, lost, features))
    evaluation = to_evaluation(run, plan, started)
    fake = {name: whole(each, evaluation.fake) for name, each in features["fake"].items()}
    real = {name: whole(each, evaluation.real) for name, each in features.get("real", {}).items()}
    for side, by_detector in ((evaluation.real, real), (evaluation.fake, fake)):
        found = [each for features in by_detector.values() for each in features.rejected]
        for rejected in dict.fromkeys([*(side.source.rejected if side else ()), *found]):
            reporter.say(f"left out {rejected.path}: {rejected.reason}")
    return measure_all(evaluation, fake, real, reporter)


def side_features(run: RunFolder, plan: Plan, name: str) -> dict[str, Gathered]:
    """What is stored of one side, by the name of the detector."""
    metrics = [metric for metric in plan.metrics if name == "fake" or METRICS[metric].needs_real]
    detectors = {plan.detectors[metric]["name"]: plan.detectors[metric] for metric in metrics}
    return {detector: gather(run, plan.sides[name], record) for detector, record in detectors.items()}


def whole(found: Gathered, side: Side | None) -> Features:
    """The features of a side. Raises `NotEnoughClips` where its source had too few that could be read."""
    assert found.features is not None and side is not None  # nothing is lacking
    check_enough(side.source, len(found.features), side.wanted, found.features.rejected)
    return found.features


def to_evaluation(run: RunFolder, plan: Plan, started: tuple[datetime, float]) -> Evaluation:
    """A plan as an evaluation whose sides are stored."""
    detectors = {metric: to_detector(record) for metric, record in plan.detectors.items()}
    request = Request(
        metrics=tuple(plan.metrics), seed=plan.seed, splits=plan.splits, interval=plan.interval,
        detectors=tuple(dict.fromkeys(each.name for each in detectors.values())),
    )  # fmt: skip
    protocol = Protocol.from_dict(plan.protocol_fields)
    fake, real = to_side(plan.fake), to_side(plan.real) if plan.real else None
    env = {**plan.env, "world": plan.shares}
    return Evaluation(request, protocol, fake, real, detectors, run, *started, env=env)


def to_side(side: PlannedSide) -> Side:
    records = side.checkpoint, side.sampler, side.generator
    return Side(PlannedSource(side), side.wanted, side.at_most, *records)


def to_detector(record: Mapping[str, Any]) -> Detector:
    """A detector that was: it looks at no clip."""
    return PlannedDetector(
        record["name"], refuse, None, record["sha256"], comparable=bool(record["comparable"]), note=record["note"],
        used=record["used"], stored=record,
    )  # fmt: skip


def refuse(clips: Any) -> dict[str, Any]:
    """Raises `StoreError`: the network is not here."""
    raise StoreError("merge opens no detector: it reads what jobs have stored")


def lacking_texts(plan: Plan, name: str, features: Mapping[str, Gathered]) -> list[str]:
    """What one side lacks, a text for each detector that lacks other clips than the first."""
    texts = {spans_text(each.lacking): None for each in features.values() if each.lacking}
    return [f"{name} clips {text} of {plan.sides[name].name}" for text in texts]


def spans_text(spans: Sequence[Range]) -> str:
    """`0-31, 64-95`, at most `MOST_NAMED` of them; ranges that touch are one."""
    joined: list[Range] = []
    for start, stop in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    named = [f"{start}-{stop - 1}" for start, stop in joined[:MOST_NAMED]]
    rest = [f"{len(joined) - MOST_NAMED:,} more ranges"] if len(joined) > MOST_NAMED else []
    return ", ".join(named + rest)


def incomplete(run: RunFolder, plan: Plan, lost: Sequence[str], features: Mapping[str, Mapping[str, Gathered]]) -> str:
    """What is missing, why, and what to type."""
    found = [(name, each) for name, by_detector in features.items() for each in by_detector.values()]
    numbers = sorted({number for name, each in found for number in share_numbers(plan, name, each.lacking)})
    faults = list(dict.fromkeys(fault for _, each in found for fault in each.faults))
    why = f" ({'; '.join(faults)})" if faults else ""
    shares = ", ".join(f"--shard {number}/{plan.shares}" for number in numbers)
    return (
        f"{plan.title} (plan {plan.key}) is not complete: {'; '.join(lost)}{why}. Run the same command again with "
        f"{shares}, then latte-eval merge {run.place}"
    )


def share_numbers(plan: Plan, name: str, lacking: Sequence[Range]) -> set[int]:
    """The jobs that compute these candidates of a side; a file of statistics is stored by the first."""
    side = plan.sides[name]
    if side.stored:
        return {1} if lacking else set()
    return {share_of(index, side.goal, plan.shares).number for span in lacking for index in range(*span)}
