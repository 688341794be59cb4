"""Clips through detectors into features, in shards that survive a kill and serve further metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np

from latte_eval.core.clips import Clips, ClipSource, Rejected
from latte_eval.core.errors import NotEnoughClips
from latte_eval.core.features import Features
from latte_eval.core.processes import barrier, rank, world_size
from latte_eval.evaluation.stored import identities_of
from latte_eval.files.previews import clip_to_strip
from latte_eval.files.run_folder import (
    FEATURES,
    PREVIEWS,
    Range,
    RunFolder,
    feature_key,
    preview_key,
    shard_ranges,
)
from latte_eval.metrics.detectors import Detector

OnClips = Callable[[int], None]


def extract(
    source: ClipSource,
    detectors: Sequence[Detector],
    run: RunFolder,
    *,
    wanted: int | None = None,
    at_most: int | None = None,
    batch_size: int = 4,
    on_clips: OnClips = lambda count: None,
) -> list[Features]:
    """Features of a source by every detector, in one pass over its clips.

    What the run folder holds is not computed again, unless it is damaged or of other clips than the source now has; a
    notice says so. Under torchrun the processes share the shards.

    Args:
        wanted: exactly this many clips; candidates that turn out unreadable are replaced by the next ones.
        at_most: as `wanted`, but fewer will do. Without either, every candidate is used.
        on_clips: called with the number of clips after each batch, and with the number of those already stored.

    Raises:
        NotEnoughClips: fewer than `wanted` remain, or fewer than two.
        MachineFault: clips could not be read although nothing is wrong with them.
        StoreError: the run folder cannot be read or written.
    """
    limit = len(source)
    goal = min(limit, wanted or at_most or limit)
    check_enough(source, limit, wanted)
    target = goal
    while True:
        drop_unusable(source, detectors, run, target)
        for span in shard_ranges(target)[rank() :: world_size()]:
            extract_shard(source, detectors, run, span, batch_size, on_clips)
        barrier()
        features = [read_back(source, detector, run, target) for detector in detectors]
        missing = goal - len(features[0])
        if missing <= 0 or target == limit:
            check_enough(source, len(features[0]), wanted, features[0].rejected)
            return [each.first(goal) for each in features]
        target = min(limit, target + missing)


def drop_unusable(source: ClipSource, detectors: Sequence[Detector], run: RunFolder, count: int) -> None:
    """Delete shards of candidates 0..count-1 that are damaged or of other clips; one process does it."""
    if rank() == 0:
        candidates = identities_of(source, range(count))
        for detector in detectors:
            run.drop_unusable(feature_key(source.fingerprint, detector.record()), count, candidates)
    barrier()


def extract_shard(
    source: ClipSource, detectors: Sequence[Detector], run: RunFolder, span: Range, batch_size: int, on_clips: OnClips
) -> None:
    """Compute and store what the run folder lacks of some candidates, previews along with features."""
    missing = list(missing_parts(source, detectors, run, span))
    there = span[1] - span[0] - sum(stop - start for (start, stop), _ in missing)
    if there:
        on_clips(there)
    for part, lacking in missing:
        extract_part(source, lacking, run, part, batch_size, on_clips)


def missing_parts(
    source: ClipSource, detectors: Sequence[Detector], run: RunFolder, span: Range
) -> Iterator[tuple[Range, list[Detector]]]:
    """Ranges of candidates with the detectors that have not seen them."""
    keys = {each.name: feature_key(source.fingerprint, each.record()) for each in detectors}
    gaps = {name: run.lacking(FEATURES, key, span) for name, key in keys.items()}

    def lacking(index: int) -> list[Detector]:
        return [each for each in detectors if any(start <= index < stop for start, stop in gaps[each.name])]

    for found, indices in groupby(range(*span), lacking):
        if found:
            part = list(indices)
            yield (part[0], part[-1] + 1), found


def extract_part(
    source: ClipSource, detectors: Sequence[Detector], run: RunFolder, span: Range, batch_size: int, on_clips: OnClips
) -> None:
    """Put some candidates through some detectors, and store features and previews in the run folder."""
    without_previews = run.lacking(PREVIEWS, preview_key(source.fingerprint), span)
    known, content = len(source.rejected), ShardContent(detectors, with_strips=bool(without_previews))
    for batch in in_batches(range(*span), batch_size):
        content.add(source.clips(batch))
        on_clips(len(batch))
    if content.with_strips:
        run.write_previews(source.fingerprint, *span, content.strips)
    rejected, groups = list(source.rejected)[known:], source.groups(content.indices)
    candidates = identities_of(source, range(*span))
    for detector in detectors:
        features = content.features(detector, groups, rejected)
        run.write_features(feature_key(source.fingerprint, detector.record()), *span, features, candidates)


class ShardContent:
    """What is kept of the clips of one shard."""

    def __init__(self, detectors: Sequence[Detector], with_strips: bool):
        self.detectors, self.with_strips = detectors, with_strips
        self.indices: list[int] = []
        self.labels: list[int] = []
        self.strips: dict[int, bytes] = {}
        self.outputs: dict[str, dict[str, list[np.ndarray]]] = {detector.name: {} for detector in detectors}

    def add(self, clips: Clips) -> None:
        """Put clips through every detector; an empty batch adds nothing."""
        if not len(clips):
            return
        self.indices += clips.indices
        self.labels += clips.labels or ()
        if self.with_strips:
            self.strips |= dict(zip(clips.indices, map(clip_to_strip, clips.pixels), strict=True))
        for detector in self.detectors:
            for name, value in detector(clips.to_detector()).items():
                self.outputs[detector.name].setdefault(name, []).append(value.numpy())

    def features(self, detector: Detector, groups: list[str], rejected: list[Rejected]) -> Features:
        """The features of one detector."""
        outputs = {name: np.concatenate(parts) for name, parts in self.outputs[detector.name].items()}
        labels = self.labels if len(self.labels) == len(self.indices) else None
        return Features(outputs, self.indices, groups, rejected, labels)


def in_batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    """Consecutive lists of at most `size` indices."""
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])


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
