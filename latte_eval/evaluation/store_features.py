"""Clips of some candidates through detectors, into shards of features and previews."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from latte_eval.core.clips import ClipSource, Rejected, in_batches
from latte_eval.core.features import Features
from latte_eval.core.stages import Batch
from latte_eval.evaluation.beside import run_stages
from latte_eval.evaluation.stored import identities_of, stages_of
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
    workers: int = 1,
) -> Iterator[Range]:
    """Compute and store what the run folder lacks of some candidates; yields each range as soon as it is stored.

    Batches go through the stages of the source beside each other, across ranges too, and through the detectors one
    after the other. `spans` is asked for the next range when the first stage has begun with the last batch of the one
    before: it must not wait there for a range that it gave and that was not yielded yet.

    Args:
        on_clips: called in the caller's thread with the number of clips after each batch, and with the number of those
            of a range that are stored already.
        workers: as of `run_stages`.
    """
    batches = (each for span in spans for each in shard_batches(source, detectors, run, span, batch_size))
    with closing(run_stages(stages_of(source), batches, workers)) as made:
        for wanted, batch in made:
            if wanted.part and batch:
                wanted.part.add(batch)
            on_clips(wanted.count)
            if wanted.part and wanted.ends_part:
                wanted.part.store(source, run)
            if wanted.ends:
                yield wanted.ends


@dataclass(frozen=True)
class WantedBatch:
    """Candidates of one range that are made together, or how many of it are there already.

    Attributes:
        part: what they belong to.
        indices: of the candidates; none where all of them are stored.
        count: of the clips that are there with it.
        ends_part: whether it is the last batch of its part.
        ends: the range, where it is its last batch.
    """

    count: int
    part: Part | None = None
    indices: Sequence[int] = ()
    ends_part: bool = False
    ends: Range | None = None


def shard_batches(
    source: ClipSource, detectors: Sequence[Detector], run: RunFolder, span: Range, batch_size: int
) -> Iterator[WantedBatch]:
    """The batches of what the run folder lacks of some candidates; first, how many it lacks nothing of."""
    parts = [Part(part, lacking, bool(run.lacking(PREVIEWS, preview_key(source.fingerprint), part)))
             for part, lacking in missing_parts(source, detectors, run, span)]  # fmt: skip
    there = span[1] - span[0] - sum(len(range(*part.span)) for part in parts)
    if there or not parts:
        yield WantedBatch(there, ends=None if parts else span)
    for part in parts:
        for batch in in_batches(range(*part.span), batch_size):
            last = batch[-1] + 1 == part.span[1]
            yield WantedBatch(len(batch), part, batch, last, span if last and part is parts[-1] else None)


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


class Part:
    """Candidates that the same detectors have not seen, and what is kept of their clips: one shard for each detector.

    Args:
        with_strips: whether previews are wanted.
    """

    def __init__(self, span: Range, detectors: Sequence[Detector], with_strips: bool):
        self.span, self.detectors, self.with_strips = span, detectors, with_strips
        self.rejected: list[Rejected] = []
        self.indices: list[int] = []
        self.labels: list[int] = []
        self.strips: dict[int, bytes] = {}
        self.outputs: dict[str, dict[str, list[np.ndarray]]] = {detector.name: {} for detector in detectors}

    def add(self, batch: Batch) -> None:
        """Put clips through every detector; a batch without clips adds what was rejected."""
        self.rejected += batch.rejected
        clips = batch.clips
        if not len(clips):
            return
        self.indices += clips.indices
        self.labels += clips.labels or ()
        if self.with_strips:
            self.strips |= dict(zip(clips.indices, map(clip_to_strip, clips.pixels), strict=True))
        for detector in self.detectors:
            for name, value in detector.on_clips(clips).items():
                self.outputs[detector.name].setdefault(name, []).append(value.numpy())

    def store(self, source: ClipSource, run: RunFolder) -> None:
        """Write features and previews into the run folder. Raises `StoreError`."""
        if self.with_strips:
            run.write_previews(source.fingerprint, *self.span, self.strips)
        groups, candidates = source.groups(self.indices), identities_of(source, range(*self.span))
        for detector in self.detectors:
            key = feature_key(source.fingerprint, detector.record())
            run.write_features(key, *self.span, self.features(detector, groups), candidates)

    def features(self, detector: Detector, groups: list[str]) -> Features:
        """The features of one detector."""
        outputs = {name: np.concatenate(parts) for name, parts in self.outputs[detector.name].items()}
        labels = self.labels if len(self.labels) == len(self.indices) else None
        return Features(outputs, self.indices, groups, self.rejected, labels)
