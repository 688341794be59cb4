"""Clips through detectors into features, in shards that survive a kill and serve further metrics."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial

from latte_eval.core.clips import ClipSource, Rejected
from latte_eval.core.errors import NotEnoughClips
from latte_eval.core.features import Features
from latte_eval.evaluation.store_features import OnClips, store_spans
from latte_eval.evaluation.stored import identities_of
from latte_eval.files.claims import SharedWork
from latte_eval.files.run_folder import FEATURES, RunFolder, claims_key, feature_key, shard_ranges
from latte_eval.files.shards import Range
from latte_eval.files.sharing import Sharing
from latte_eval.files.team import Team, team_at
from latte_eval.metrics.detectors import Detector


def extract(
    source: ClipSource,
    detectors: Sequence[Detector],
    run: RunFolder,
    *,
    wanted: int | None = None,
    at_most: int | None = None,
    batch_size: int = 4,
    workers: int = 1,
    on_clips: OnClips = lambda count: None,
) -> list[Features]:
    """Features of a source by every detector, in one pass over its clips.

    What the run folder holds is not computed again, unless it is damaged or of other clips than the source now has; a
    notice says so. All processes that work in the run folder share the clips, those of a launcher and those of other
    commands. Processes of a launcher other than the first return nothing, as soon as there is nothing left to do.

    Args:
        wanted: exactly this many clips; candidates that turn out unreadable are replaced by the next ones.
        at_most: as `wanted`, but fewer will do. Without either, every candidate is used.
        workers: threads that read and store clips beside the detectors; 0 does one thing after the other.
        on_clips: called with the number of clips after each batch, and with the number of those already stored.

    Raises:
        NotEnoughClips: fewer than `wanted` remain, or fewer than two.
        MachineFault: clips could not be read although nothing is wrong with them.
        StoreError: the run folder cannot be read or written.
        LostRank: a process is lost, and the run is to end then.
    """
    limit = len(source)
    goal = min(limit, wanted or at_most or limit)
    check_enough(source, limit, wanted)
    first, target, team = 0, goal, team_at(run.path)
    with team.present():
        while True:
            drop_unusable(source, detectors, run, target, team)
            if not store_together(source, detectors, run, (first, target), batch_size, on_clips, team, workers):
                return []
            features = [read_back(source, detector, run, target) for detector in detectors]
            missing = goal - len(features[0])
            if missing <= 0 or target == limit:
                check_enough(source, len(features[0]), wanted, features[0].rejected)
                return [each.first(goal) for each in features]
            first, target = target, min(limit, target + missing)


def store_together(
    source: ClipSource,
    detectors: Sequence[Detector],
    run: RunFolder,
    span: Range,
    batch_size: int,
    on_clips: OnClips,
    team: Team,
    workers: int = 1,
) -> bool:
    """Store what the run folder lacks of some candidates, with all who do the same.

    True once everything is stored; False in a process that need not wait until then.
    """
    keys = [feature_key(source.fingerprint, detector.record()) for detector in detectors]
    work = SharedWork(
        team.claims(claims_key(source.fingerprint)), team.watch,
        shard_ranges(span, team.size, getattr(source, "least_clips", 1)),
        partial(run.stored, keys), partial(run.stored_now, keys), team.rank, team.size, team.name_lost,
    )  # fmt: skip
    sharing = Sharing(work, team)
    with closing(sharing.rounds()) as rounds:
        for spans in rounds:
            for each in store_spans(source, detectors, run, spans, batch_size, on_clips, workers) if spans else ():
                work.finish(each)
                tell_news(work, on_clips)
            tell_news(work, on_clips)
    tell_news(work, on_clips)
    return sharing.complete


def tell_news(work: SharedWork, on_clips: OnClips) -> None:
    """Count the clips that others have stored."""
    for start, stop in work.news():
        on_clips(stop - start)


def drop_unusable(source: ClipSource, detectors: Sequence[Detector], run: RunFolder, count: int, team: Team) -> None:
    """Delete shards of candidates 0..count-1 that are damaged or of other clips; the first process does it."""
    if team.rank == 0:
        candidates = identities_of(source, range(count))
        for detector in detectors:
            run.drop_unusable(feature_key(source.fingerprint, detector.record()), count, candidates)


def read_back(source: ClipSource, detector: Detector, run: RunFolder, count: int) -> Features:
    """The features of candidates 0..count-1, which every process has stored by now."""
    key = feature_key(source.fingerprint, detector.record())
    run.wait_for(FEATURES, key, (0, count), source.name)
    features = run.read_features(key, count, identities_of(source, range(count)))
    assert features is not None  # at least two clips were asked for
    return features


def check_enough(source: ClipSource, count: int, wanted: int | None, rejected: Sequence[Rejected] = ()) -> None:
    """Raise `NotEnoughClips`, with both numbers and what would work, if there are too few."""
    if count >= max(2, wanted or 0):
        return
    unusable = len({each.path for each in [*source.rejected, *rejected]})
    lost = f" ({unusable} could not be used)" if unusable else ""
    if count < 2:
        advice = getattr(source, "advice", "")
        raise NotEnoughClips(
            f"{source.name} gives {count} clips{lost}; a distance needs at least 2{f': {advice}' if advice else ''}"
        )
    raise NotEnoughClips(
        f"{source.name} gives {count} clips{lost}, {wanted} were asked for. "
        f"Use --clips {count}, or --windows all to take every window of a video"
    )
