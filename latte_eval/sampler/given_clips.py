"""Real clips that fake clips of the same index are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from torch import Tensor

from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import ClipError, NotEnoughClips


@dataclass(frozen=True)
class GivenClips:
    """The real side, asked by index: fake clip i is made from real clip i."""

    real: ClipSource
    lock: Lock = field(default_factory=Lock, repr=False, compare=False, kw_only=True)

    def check(self, count: int) -> None:
        """Raise `NotEnoughClips` unless there are real clips 0..count-1."""
        if len(self.real) < count:
            raise NotEnoughClips(
                f"{count:,} clips are each given a part of a real clip, and {self.real.name} has {len(self.real):,}; "
                f"use --clips {len(self.real)}"
            )

    def pixels(self, indices: Sequence[int]) -> Tensor:  # -> [N, T, 3, H, W] uint8
        """The real clips. Raises `ClipError` for one that cannot be read."""
        distinct = list(dict.fromkeys(indices))
        # Sampling, decoding and measuring ask from threads of their own.
        with self.lock:
            clips = self.real.clips(distinct)
        if missing := [index for index in distinct if index not in clips.indices]:
            reason = self.real.rejected[-1].reason if self.real.rejected else "it is not there"
            raise ClipError(
                f"fake clip {missing[0]} is given a part of real clip {missing[0]}, which cannot be: {reason}"
            )
        place = {index: position for position, index in enumerate(clips.indices)}
        return clips.pixels[[place[index] for index in indices]]
