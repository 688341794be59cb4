"""Noise that is drawn on the CPU while a GPU works on the step before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Draws that wait for the step that takes them.
AHEAD = 2


def drawn_ahead(draw: Callable[[], T]) -> Iterator[T]:
    """What `draw` returns, call after call, made by one thread that is at most `AHEAD` calls ahead.

    The thread starts when the first draw is asked for, and ends with the iterator.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="noise") as pool:
        waiting: deque[Future[T]] = deque(pool.submit(draw) for _ in range(AHEAD))
        try:
            while True:
                waiting.append(pool.submit(draw))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
