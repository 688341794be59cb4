"""`--shard K/N`: what one of many jobs computes, without a process group. `merge.py` finishes."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from latte_eval import __version__
from latte_eval.core.errors import UsageError
from latte_eval.core.processes import world_size
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.gather import gather
from latte_eval.evaluation.pipeline import prepare, stored_features
from latte_eval.evaluation.prepared import Evaluation, side_detectors
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.evaluation.stats import StatsSource
from latte_eval.evaluation.store_features import OnClips, store_spans
from latte_eval.evaluation.stored import identities_of
from latte_eval.files.environment import environment_record
from latte_eval.files.plans import Plan, PlannedSide, keep, settle
from latte_eval.files.run_folder import SHARD_CLIPS, Range, RunFolder, feature_key
from latte_eval.metrics.detectors import Detector


@dataclass(frozen=True)
class Share:
    """Job `number` (from 1) `of` so many."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """`3/64`. Raises `UsageError`."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if not found:
            raise UsageError(f"--shard {text!r} must read K/N, such as 3/64: job 3 of 64")
        number, of = int(found[1]), int(found[2])
        if not 1 <= number <= of:
            raise UsageError(f"--shard {number}/{of}: K counts from 1 to N, here from 1 to {of}; K is {number}")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def spans(self, count: int) -> list[Range]:
        """The candidates of 0..count-1 that this job computes: every `of`-th block."""
        size = block_size(count, self.of)
        return [(start, min(start + size, count)) for start in range((self.number - 1) * size, count, self.of * size)]


def block_size(count: int, shares: int) -> int:
    """Candidates of a block: at most a shard, and few enough that every job has some where there are as many."""
    return max(1, min(SHARD_CLIPS, -(-count // shares)))


def share_of(candidate: int, count: int, shares: int) -> Share:
    """The job that computes a candidate; one that stands in for an unreadable one is anybody's, and the first's."""
    number = candidate // block_size(count, shares) % shares + 1 if candidate < count else 1
    return Share(number, shares)


def compute_share(request: Request, share: Share, reporter: Reporter) -> tuple[RunFolder, Plan]:
    """Compute and store one job's share of both sides, and the plan that tells `merge` how to finish.

    Any number of jobs may run at the same time, on any machines that reach the run folder. What is stored already is
    not computed again. The job that is the last to finish stands in for candidates that nobody could read.

    Raises:
        UsageError: under torchrun, or without a run folder that jobs can share.
        NotComparable: the run folder holds the plan of jobs that compute this another way.
        Everything that `evaluate` raises before and while it samples.
    """
    if world_size() > 1:
        raise UsageError("--shard goes without torchrun: start each job by itself, as docs/clusters.md shows")
    if request.out is None:
        raise UsageError("--shard needs --out RUN: a folder or an address that all jobs reach, such as s3://bucket/run")
    evaluation = prepare(request, reporter)
    plan = settle(evaluation.run, make_plan(evaluation, share.of))
    for name, side in (("real", evaluation.real), ("fake", evaluation.fake)):
        if side is not None:
            plan = store_share(evaluation, name, side, plan, share, reporter)
    return evaluation.run, plan


def make_plan(evaluation: Evaluation, shares: int) -> Plan:
    """What a merge must know of an evaluation."""
    request, real = evaluation.request, evaluation.real
    detectors = {metric: {**each.record(), "note": each.note} for metric, each in evaluation.detectors.items()}
    return Plan(
        __version__, shares, list(request.metrics), evaluation.protocol.to_dict(), request.seed, request.splits,
        request.interval, planned(evaluation.fake), planned(real) if real else None, detectors, environment_record(),
    )  # fmt: skip


def planned(side: Side) -> PlannedSide:
    """A side as a plan holds it. A file of statistics gives all of its clips, and its own record."""
    source = side.source
    stored = isinstance(source, StatsSource)
    limit = source.meta["indices"][-1] + 1 if isinstance(source, StatsSource) else len(source)
    about = source.record() if isinstance(source, StatsSource) else dict(getattr(source, "about", {}))
    goal = min(limit, side.wanted or side.at_most or limit)
    return PlannedSide(
        source.name, source.fingerprint, limit, side.wanted, side.at_most, rejected_of(side), about,
        None if stored else identities_of(source, range(goal)), side.checkpoint, side.sampler, side.generator,
        stored,
    )  # fmt: skip


def rejected_of(side: Side) -> list[list[str]]:
    return [[each.path, each.reason] for each in side.source.rejected]


def store_share(evaluation: Evaluation, name: str, side: Side, plan: Plan, share: Share, reporter: Reporter) -> Plan:
    """Compute one job's share of one side; the plan, which knows more where candidates had to be replaced."""
    detectors, source = side_detectors(evaluation, side), side.source
    if isinstance(source, StatsSource):
        for detector in detectors if share.number == 1 else ():
            stored_features(source, detector, evaluation.run)
        return plan
    mine = share.spans(plan.sides[name].goal)
    total = sum(stop - start for start, stop in mine)
    with reporter.bar(f"{source.name}, share {share}", total) as advance:
        store(evaluation, side, detectors, mine, advance)
    return replace_unreadable(evaluation, name, side, detectors, plan)


def store(
    evaluation: Evaluation, side: Side, detectors: Sequence[Detector], spans: Sequence[Range], advance: OnClips
) -> None:
    """Compute some candidates; stored ones that are damaged or of other clips are made again."""
    run, last = evaluation.run, max((stop for _, stop in spans), default=0)
    for detector in detectors if spans else ():
        key = feature_key(side.source.fingerprint, detector.record())
        run.drop_unusable(key, last, identities_of(side.source, range(last)), within=spans)
    batch_size = evaluation.request.clips_at_once(side.source)
    deque(store_spans(side.source, detectors, run, spans, batch_size, advance), maxlen=0)


def replace_unreadable(
    evaluation: Evaluation, name: str, side: Side, detectors: Sequence[Detector], plan: Plan
) -> Plan:
    """Compute the candidates that follow the first ones where some of these could not be read.

    It does nothing while jobs are at work: how many are to be replaced is known once all first candidates are stored.
    """
    there = plan.sides[name]
    while there.goal < there.limit:
        found = gather(evaluation.run, there, detectors[0].record())
        if not found.lacking or min(start for start, _ in found.lacking) < there.goal:
            break
        store(evaluation, side, detectors, found.lacking, lambda count: None)
        there = dataclasses.replace(there, candidates=identities_of(side.source, range(found.target)))
        plan = plan.with_side(name, dataclasses.replace(there, rejected=rejected_of(side)))
        keep(evaluation.run, plan)
    return plan
