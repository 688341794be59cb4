"""The stages in which a source makes clips: what may be done for one batch while another is in the next stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from latte_eval.core.clips import Clips, Rejected

# (indices of the batch, what the stage before gave, workers for pieces of the batch) -> what the next stage gets.
# The first stage gets None; the last one gives a `Batch`. Without workers a stage does as it would alone.
Work = Callable[[Sequence[int], Any, Executor | None], Any]


@dataclass(frozen=True)
class Batch:
    """What a source gave for some indices.

    Attributes:
        rejected: what turned out to be unusable, in the order in which a source notes it.
    """

    clips: Clips
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One stage of a source.

    Attributes:
        work: what it does with a batch.
        beside: whether it has threads of its own; else it runs in the caller's, one batch after the other. Stages that
            run beside come after those that do not.
        at_once: batches that are in it at once. With 1 they pass it in order; 0 is 1 for a stage that takes no time.
        cuda: its CUDA device, on which it then has a stream of its own.
    """

    work: Work
    beside: bool = True
    at_once: int = 1
    cuda: str | None = None


class Workers(ThreadPoolExecutor):
    """Threads that share pieces of batches. A piece ends where its batch does: `core.stops` reaches it."""

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future[Any]:
        return super().submit(copy_context().run, function, *given, **named)
