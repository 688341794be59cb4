"""Two ways in turns, within this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

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
    answers, seconds = None, []
    for turn in range(warm + turns):
        pair = [timed(work) for work in (ours, theirs)]
        answers = [answer for _, answer in pair]
        if turn >= warm:
            seconds.append([second for second, _ in pair])
    assert answers is not None
    fast, slow = (Timed(list(side)) for side in zip(*seconds, strict=True))
    return Measured(fast, slow, apart(*answers))


def timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    """Seconds and answer of one call."""
    started = time.perf_counter()
    answer = work()
    return time.perf_counter() - started, answer
