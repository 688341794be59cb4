"""Clips through detectors into features, in shards that survive a kill and serve a further metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latte_eval.core.clips import Clips, ClipSource, Rejected
from latte_eval.core.errors import NotEnoughClips
from latte_eval.core.processes import barrier, rank, world_size
from latte_eval.files.previews import clip_to_strip, preview_key, strips_to_arrays
from latte_eval.files.run_folder import PREVIEWS, RunFolder, content_key
from latte_eval.metrics.detectors import Detector

# Clips in a shard: what a killed run loses at most, a process.
SHARD_CLIPS = 32

# Counts up when a change here changes what is stored.
STEP_VERSION = 1

OnClips = Callable[[int], None]


@dataclass(frozen=True)
class Features:
    """What one detector says about one source.

    Attributes:
        outputs: by name, such as `features` [N, 400]; row i belongs to clip `indices[i]`.
        indices: candidate index of each clip.
        groups: the source video of each clip; clips of one group are not independent.
        rejected: candidates that could not be used.
        labels: the class of each clip; None where there are no classes, or none were stored.
    """

    outputs: dict[str, np.ndarray]
    indices: list[int]
    groups: list[str]
    rejected: list[Rejected]
    labels: list[int] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, count: int | None) -> Features:
        """The first `count` clips."""
        outputs = {name: array[:count] for name, array in self.outputs.items()}
        labels = None if self.labels is None else self.labels[:count]
        return Features(outputs, self.indices[:count], self.groups[:count], self.rejected, labels)


def shard_ranges(count: int) -> list[tuple[int, int]]:
    """Ranges of at most `SHARD_CLIPS` candidates that cover 0..count-1."""
    return [(start, min(start + SHARD_CLIPS, count)) for start in range(0, count, SHARD_CLIPS)]


def feature_key(source: ClipSource, detector: Detector) -> str:
    """The folder of a source's features by a detector: changes with all that changes them."""
    return recorded_feature_key(source.fingerprint, detector.name, detector.sha256, detector.used)


def recorded_feature_key(fingerprint: str, name: str, sha256: str, used: str) -> str:
    """The same key from what a result records of its source and its detector."""
    return content_key(fingerprint, name, sha256, used, STEP_VERSION)


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

    Shards that the run folder holds are not computed again. Under torchrun the shards are shared out.

    Args:
        wanted: exactly this many clips; candidates that turn out unreadable are replaced by the next ones.
        at_most: as `wanted`, but fewer will do. Without both, every candidate is used.
        on_clips: called with the number of clips after each batch, and for each shard that was there already.

    Raises:
        NotEnoughClips: fewer than `wanted` remain, or fewer than two.
    """
    limit = len(source)
    goal = min(limit, wanted or at_most or limit)
    check_enough(source, limit, wanted)
    target = goal
    while True:
        mine = shard_ranges(target)[rank() :: world_size()]
        for start, stop in mine:
            extract_shard(source, detectors, run, start, stop, batch_size, on_clips)
        barrier()
        features = [load(run, feature_key(source, detector), target) for detector in detectors]
        missing = goal - len(features[0])
        if missing <= 0 or target == limit:
            check_enough(source, len(features[0]), wanted, features[0].rejected)
            return [each.first(goal) for each in features]
        target = min(limit, target + missing)


def extract_shard(
    source: ClipSource,
    detectors: Sequence[Detector],
    run: RunFolder,
    start: int,
    stop: int,
    batch_size: int,
    on_clips: OnClips,
) -> None:
    """Compute and store what the run folder lacks of candidates start..stop-1, previews along with features."""
    keys = {detector.name: feature_key(source, detector) for detector in detectors}
    preview = preview_key(source.fingerprint)
    lacking = [each for each in detectors if not run.has_shard(keys[each.name], start, stop)]
    if not lacking:
        on_clips(stop - start)
        return
    known, shard = len(source.rejected), ShardContent(lacking, not run.has_shard(preview, start, stop, PREVIEWS))
    for batch in in_batches(range(start, stop), batch_size):
        shard.add(source.clips(batch))
        on_clips(len(batch))
    if shard.with_strips:
        run.write_shard(preview, start, stop, strips_to_arrays(shard.strips), {}, PREVIEWS)
    notes = {
        "groups": source.groups(shard.indices),
        "rejected": [[each.path, each.reason] for each in list(source.rejected)[known:]],
        "labels": shard.labels if len(shard.labels) == len(shard.indices) else None,
    }
    for detector in lacking:
        run.write_shard(keys[detector.name], start, stop, shard.arrays(detector), notes)


class ShardContent:
    """What is kept of the clips of one shard."""

    def __init__(self, detectors: Sequence[Detector], with_strips: bool):
        self.detectors, self.with_strips = detectors, with_strips
        self.indices: list[int] = []
        self.labels: list[int] = []
        self.strips: dict[int, bytes] = {}
        self.outputs: dict[str, dict[str, list[np.ndarray]]] = {detector.name: {} for detector in detectors}

    def add(self, clips: Clips) -> None:
        """Clips through every detector; an empty batch adds nothing."""
        if not len(clips):
            return
        self.indices += clips.indices
        self.labels += clips.labels or ()
        if self.with_strips:
            self.strips |= dict(zip(clips.indices, map(clip_to_strip, clips.pixels), strict=True))
        for detector in self.detectors:
            for name, value in detector(clips.to_detector()).items():
                self.outputs[detector.name].setdefault(name, []).append(value.numpy())

    def arrays(self, detector: Detector) -> dict[str, np.ndarray]:
        """Outputs of one detector by name, and the index of each row."""
        outputs = {name: np.concatenate(parts) for name, parts in self.outputs[detector.name].items()}
        return {"indices": np.array(self.indices, np.int64), **outputs}


def in_batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    """Consecutive lists of at most `size` indices."""
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])


def keep(run: RunFolder, key: str, features: Features) -> None:
    """Store features that came from elsewhere as shards of the run, as if they had been computed here.

    What the folder holds already stays. Raises `StoreError`.
    """
    for start, stop in shard_ranges(features.indices[-1] + 1):
        if run.has_shard(key, start, stop):
            continue
        rows = [row for row, index in enumerate(features.indices) if start <= index < stop]
        arrays = {name: array[rows] for name, array in features.outputs.items()}
        labels = None if features.labels is None else [features.labels[row] for row in rows]
        notes = {"groups": [features.groups[row] for row in rows], "rejected": [], "labels": labels}
        indices = np.array([features.indices[row] for row in rows], np.int64)
        run.write_shard(key, start, stop, {"indices": indices, **arrays}, notes)


def load(run: RunFolder, key: str, count: int) -> Features:
    """Read the shards of candidates 0..count-1 back, in candidate order."""
    shards = [run.read_shard(key, start, stop) for start, stop in shard_ranges(count)]
    names = {name for arrays, _ in shards for name in arrays if name != "indices"}
    filled = [arrays for arrays, _ in shards if len(arrays["indices"])]
    return Features(
        outputs={name: np.concatenate([arrays[name] for arrays in filled]) for name in sorted(names)},
        indices=[int(i) for arrays, _ in shards for i in arrays["indices"]],
        groups=[group for _, notes in shards for group in notes["groups"]],
        rejected=[Rejected(path, reason) for _, notes in shards for path, reason in notes["rejected"]],
        labels=joined_labels([notes for arrays, notes in shards if len(arrays["indices"])]),
    )


def joined_labels(notes: Sequence[Mapping[str, Any]]) -> list[int] | None:
    """Classes from the notes of shards; None unless every shard has them."""
    if any(each.get("labels") is None for each in notes):
        return None
    return [int(label) for each in notes for label in each["labels"]]


def check_enough(source: ClipSource, count: int, wanted: int | None, rejected: Sequence[Rejected] = ()) -> None:
    """Raise `NotEnoughClips` with both numbers and what would work."""
    if count >= max(2, wanted or 0):
        return
    unusable = len({each.path for each in [*source.rejected, *rejected]})
    lost = f" ({unusable} could not be used)" if unusable else ""
    if count < 2:
        raise NotEnoughClips(f"{source.name} gives {count} clips{lost}; a distance needs at least 2")
    raise NotEnoughClips(
        f"{source.name} gives {count} clips{lost}, {wanted} were asked for. "
        f"Use --clips {count}, or --windows all to take every window of a video"
    )
