"""`RepeatedSource`: a source whose clips are made K times, each time with other noise, all K of a clip in one batch.

Samples of a clip are compared with each other, so all of them must be at hand; made together they are sampled once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from latte_eval.core.clips import Clips
from latte_eval.core.stages import Batch, Stage
from latte_eval.evaluation.stored import StoredSource

# Samples of a batch, those of all of its clips together, that are held at once: 256 of 256 pixels are 0.8 GB.
MOST_HELD = 256


@dataclass(frozen=True)
class RepeatedClips(Clips):
    """The first sample of every clip, as any clips, and the other ones.

    Attributes:
        others: of each further sample [N, T, 3, H, W] uint8.
    """

    others: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class RepeatedSource(StoredSource):
    """The first sample of every clip is a clip of this source; the others come with it.

    Its name, fingerprint and groups are those of the first samples: detectors that look at these alone find what they
    know. A detector that looks at all of them says how many in its record.

    Attributes:
        others: a source of each further sample, with the same clips and the same lossy steps.
    """

    others: tuple[StoredSource, ...] = ()

    @property
    def samples(self) -> int:
        """How often each clip is made."""
        return 1 + len(self.others)

    @property
    def once(self) -> StoredSource:
        """The first samples alone."""
        return StoredSource(self.source, self.steps, self.skipped, self.kept)

    @property
    def clips_that_fit(self) -> int | None:
        """As of its sources, which work one after the other, and no more than `MOST_HELD` allows."""
        held, fit = max(1, MOST_HELD // self.samples), super().clips_that_fit
        return held if fit is None else min(held, fit)

    def clips(self, indices: Sequence[int]) -> RepeatedClips:
        return join([Batch(each.clips(indices)) for each in (self.once, *self.others)])

    def clip_stages(self) -> tuple[Stage, ...]:
        """Those of its sources, each with all samples of a batch, one sample after the other."""
        *before, last = map(one_after_the_other, zip(*(each.clip_stages() for each in (self.once, *self.others)),
                                                     strict=True))  # fmt: skip

        def joined(indices: Sequence[int], given: Any, workers: Executor | None) -> Batch:
            batches = last.work(indices, given, workers)
            return dataclasses.replace(batches[0], clips=join(batches))

        return (*before, dataclasses.replace(last, work=joined))


def one_after_the_other(stages: Sequence[Stage]) -> Stage:
    """One stage of several sources that does the work of each of them; hands a tuple on."""

    def work(indices: Sequence[int], given: Any, workers: Executor | None) -> tuple[Any, ...]:
        before = given or (None,) * len(stages)
        return tuple(stage.work(indices, each, workers) for stage, each in zip(stages, before, strict=True))

    return dataclasses.replace(stages[0], work=work)


def join(batches: Sequence[Batch]) -> RepeatedClips:
    """The samples of the same clips as one batch."""
    first, *others = (batch.clips for batch in batches)
    return RepeatedClips(**vars(first), others=tuple(each.pixels for each in others))
