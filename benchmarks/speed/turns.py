"""Two ways in turns, within this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from latte_eval.benchmarks.speed.cold import joined
from latte_eval.benchmarks.speed.measured import Measured, Timed

Answer = TypeVar("Answer")


def take_turns(
    ours: Callable[[], Answer],
    theirs: Callable[[], Answer],
    turns: int,
    apart: Callable[[Answer, Answer], float],
    warm: int = 2,
) -> Measured:
    """Let both work in turns.

    Args:
        apart: relative difference of what they answer.
        warm: calls of each before the turns; TorchScript optimises itself on its second call.
    """
    pairs = [[timed(work) for work in (ours, theirs)] for _ in range(warm + turns)]
    fast, slow = (joined([seconds for seconds, _ in side]) for side in zip(*pairs[warm:], strict=True))
    return Measured(fast, slow, apart(*(answer for _, answer in pairs[-1])))


def timed(work: Callable[[], Answer]) -> tuple[Timed, Answer]:
    """Seconds, of the clock and of all cores, and answer of one call."""
    started, busy = time.perf_counter(), time.process_time()
    answer = work()
    return Timed([time.perf_counter() - started], cpu_seconds=(time.process_time() - busy,)), answer
