"""Clips of some candidates through detectors, into shards of features and previews."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from latte_eval.core.clips import Clips, ClipSource, Rejected
from latte_eval.core.features import Features
from latte_eval.evaluation.stored import identities_of
from latte_eval.files.previews import clip_to_strip
from latte_eval.files.run_folder import FEATURES, PREVIEWS, Range, RunFolder, feature_key, preview_key
from latte_eval.metrics.detectors import Detector

OnClips = Callable[[int], None]


def store_spans(
    source: ClipSource,
    detectors: Sequence[Detector],
    run: RunFolder,
    spans: Iterable[Range],
    batch_size: int,
    on_clips: OnClips,
) -> Iterator[Range]:
    """Compute and store what the run folder lacks of some candidates; yields each range as soon as it is stored.

    `spans` is asked for the next range only when it is to be worked on.
    """
    for span in spans:
        extract_shard(source, detectors, run, span, batch_size, on_clips)
        yield span


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
            for name, value in detector.on_clips(clips).items():
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
