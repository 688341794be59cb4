"""`StoredSource`: the lossy storage of a protocol between a source and the detectors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from latte_eval.core.clips import Clips, ClipSource, Rejected
from latte_eval.core.stages import Batch, Stage
from latte_eval.files.lossy import apply_storage

# Increase this when a step changes what it returns.
STEP_VERSION = 1


@dataclass(frozen=True)
class StoredSource:
    """A clip source whose clips pass through the lossy steps of its side, except those that their files have passed.

    Both sides use it; without steps, clips stay as they are. Then `skipped` frames are left out at the start of each
    clip, or only the frames `kept`. A source whose own fingerprint includes the steps says so
    by an attribute `named_storage`. Folders do: that way, features that earlier versions stored are still found.
    """

    source: ClipSource
    steps: tuple[str, ...]
    skipped: int = 0
    kept: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def fingerprint(self) -> str:
        named = self.steps == getattr(self.source, "named_storage", ())
        if named and not self.shortened:
            return self.source.fingerprint
        parts = ["stored", STEP_VERSION, self.source.fingerprint, list(self.steps)]
        parts += [self.skipped] if self.skipped else []
        parts += [{"kept": self.kept}] if self.kept is not None else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def rejected(self) -> Sequence[Rejected]:
        return self.source.rejected

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class of every candidate, where the source knows them."""
        return getattr(self.source, "labels", None)

    @property
    def about(self) -> dict[str, Any]:
        """What a result says about the source beside its name and fingerprint."""
        counted = {} if self.kept is None else {"counted_frames": list(self.kept)}
        return {**getattr(self.source, "about", {}), **counted}

    @property
    def notes(self) -> list[str]:
        """What a person should know of the source before its clips are measured."""
        return list(getattr(self.source, "notes", ()))

    @property
    def advice(self) -> str:
        """What to do where the source has too few clips, or nothing."""
        return str(getattr(self.source, "advice", ""))

    @property
    def clips_that_fit(self) -> int | None:
        """Clips that the source can make at once; None where it does not say."""
        return getattr(self.source, "clips_that_fit", None)

    @property
    def least_clips(self) -> int:
        """Fewer clips take as much time as so many."""
        return int(getattr(self.source, "least_clips", 1))

    def __len__(self) -> int:
        return len(self.source)

    def clips(self, indices: Sequence[int]) -> Clips:
        return self.counted(apply_storage(self.source.clips(indices), self.steps))

    @property
    def shortened(self) -> bool:
        """Whether some frames of its clips do not count."""
        return bool(self.skipped) or self.kept is not None

    def counted(self, clips: Clips) -> Clips:
        """The clips less the frames that do not count."""
        if not self.shortened:
            return clips
        pixels = clips.pixels[:, self.skipped :] if self.kept is None else clips.pixels[:, list(self.kept)]
        return dataclasses.replace(clips, pixels=pixels)

    def clip_stages(self) -> tuple[Stage, ...]:
        """Those of the source, then storage."""
        return (*stages_of(self.source), *([Stage(self.store_batch)] if self.steps or self.shortened else []))

    def store_batch(self, indices: Sequence[int], batch: Batch, workers: Executor | None) -> Batch:
        return dataclasses.replace(batch, clips=self.counted(apply_storage(batch.clips, self.steps, workers)))

    def groups(self, indices: Sequence[int]) -> list[str]:
        return self.source.groups(indices)

    def identities(self, indices: Sequence[int]) -> list[str] | None:
        """As `identities_of` of the source."""
        return identities_of(self.source, indices)


def identities_of(source: ClipSource, indices: Sequence[int]) -> list[str] | None:
    """Which clip each of these candidates is, in words that change with it; None where the index tells."""
    identities = getattr(source, "identities", None)
    return identities(indices) if identities else None


def stages_of(source: ClipSource) -> tuple[Stage, ...]:
    """The stages of a source: what its method `clip_stages` says, else `clips`, in the caller's thread.

    A source without that method need not be safe for threads: it is asked for one batch after the other, by the thread
    that asks it for everything else, and never while a detector runs, which sets switches of the whole process.
    """
    own: Callable[[], tuple[Stage, ...]] | None = getattr(source, "clip_stages", None)
    return own() if own else (Stage(lambda indices, given, workers: whole_batch(source, indices), beside=False),)


def whole_batch(source: ClipSource, indices: Sequence[int]) -> Batch:
    """Clips, and what the source noted as unusable while it made them."""
    known = len(source.rejected)
    clips = source.clips(indices)
    return Batch(clips, tuple(source.rejected[known:]))
