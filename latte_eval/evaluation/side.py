"""One side of an evaluation: a source of clips, and how many of them are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latte_eval.core.clips import ClipSource
from latte_eval.core.features import Features
from latte_eval.evaluation.extract import check_enough
from latte_eval.evaluation.stats import StatsSource

if TYPE_CHECKING:
    from latte_eval.benchmarks.benchmark import Benchmark
    from latte_eval.core.protocol import Protocol
    from latte_eval.evaluation.paired import Pairing


@dataclass(frozen=True)
class Side:
    """One side of an evaluation, opened.

    Attributes:
        wanted: exactly this many clips, or
        at_most: at most this many; with neither, all.
        checkpoint, sampler: records for the result; None for a folder.
        generator: what was typed for a generator; its own name may differ.
        honours: fields of the protocol that shape its clips.
        pairing: what pairs its clips with those that they were given a part of.
    """

    source: ClipSource
    wanted: int | None = None
    at_most: int | None = None
    checkpoint: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = None
    generator: str | None = None
    honours: frozenset[str] = frozenset()
    pairing: Pairing | None = None

    @property
    def expected(self) -> int:
        """Clips that will be read, as far as is known before they are."""
        return min(len(self.source), self.wanted or self.at_most or len(self.source))

    def counted_frames(self, protocol: Protocol) -> int:
        """Frames of a clip that are measured."""
        kept: tuple[int, ...] | None = getattr(self.source, "kept", None)
        return protocol.counted_frames if kept is None else len(kept)

    def checked(self) -> Side:
        """This side, if it can give what is wanted. Raises `NotEnoughClips`."""
        check_enough(self.source, len(self.source), self.wanted)
        return self

    def record(self, features: Features, seed: int) -> dict[str, Any]:
        """What a result says about this side: name, fingerprint, seed of the choices, files that were not used."""
        if isinstance(self.source, StatsSource):
            return self.source.record()
        rejected = {each.path for each in [*self.source.rejected, *features.rejected]}
        made_by = {"generator": self.generator} if self.generator else {}
        return {"name": self.source.name, "fingerprint": self.source.fingerprint, "rejected": len(rejected),
                "videos": len(set(features.groups)), "seed": seed, **made_by,
                **getattr(self.source, "about", {})}  # fmt: skip


def counted(source: ClipSource, count: int | None, exact: bool, honours: frozenset[str]) -> Side:
    """A side of exactly so many clips, or of at most so many. Raises `NotEnoughClips`."""
    wanted, at_most = (count, None) if exact else (None, count)
    return Side(source, wanted, at_most, honours=honours).checked()


def honoured_by(source: ClipSource, side: str, row: Benchmark | None = None) -> frozenset[str]:
    """Fields that shape the clips of a folder or benchmark: its own, those of its splits, its storage and its count."""
    own: frozenset[str] = getattr(source, "honours", frozenset())
    return own | (row.honours if row else frozenset()) | {f"{side}_storage", f"{side}_clips", "skip_frames"}
