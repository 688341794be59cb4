"""Batches of clips through the stages of a source, one batch beside the other.

While a card samples batch k, batch k-1 is decoded, batch k-2 is stored and batch k-3 looked at by the detectors. The
number of batches on their way is bounded, and they come out in the order in which they went in.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from latte_eval.core.stages import Batch, Stage, Workers
from latte_eval.core.stops import Stopped, check_stop, stopped_by
from latte_eval.evaluation.streams import Handed, Stream


class Errand(Protocol):
    """What is wanted: the clips of these indices. Without indices nothing is made, and `None` comes out in its turn."""

    @property
    def indices(self) -> Sequence[int]: ...


E = TypeVar("E", bound=Errand)
Pairs = Generator[tuple[E, Batch | None], None, None]


def run_stages(stages: Sequence[Stage], errands: Iterable[E], workers: int) -> Pairs[E]:
    """Each errand with its batch, in order.

    Errands are asked for in the caller's thread, when the first stage has begun with all earlier ones. An error comes
    out in the turn of its batch, after the batches before it, as it was raised; then and when the iterator is closed,
    all that is on its way is stopped, and no thread is left.

    Args:
        workers: threads that share pieces of batches. 0: no thread at all, every batch goes through all stages before
            the next one begins.
    """
    if not workers:
        return ((errand, in_line(stages, errand.indices)) for errand in errands)
    return beside(stages, errands, workers)


def in_line(stages: Sequence[Stage], indices: Sequence[int]) -> Batch | None:
    """One batch through all stages, in the caller's thread."""
    given = None
    for stage in stages if indices else ():
        given = stage.work(indices, given, None)
    return given


def beside(stages: Sequence[Stage], errands: Iterable[E], workers: int) -> Pairs[E]:
    flow, waiting, on_their_way = Flow(stages, workers), Waiting(errands), deque[tuple[E, Future[Handed]]]()
    try:
        while True:
            while waiting.more and flow.takes_another(len(on_their_way)):
                for errand in waiting.next():
                    on_their_way.append((errand, flow.start(errand.indices)))
            if not on_their_way:
                return waiting.end()
            if flow.wait_for(on_their_way[0][1], waiting.more and len(on_their_way) < flow.most):
                errand, outcome = on_their_way.popleft()
                batch = outcome.result().value
                del outcome
                yield errand, batch
    finally:
        flow.close()


class Waiting(Generic[E]):
    """Errands that have not been asked for.

    Attributes:
        more: whether there may be another one.
        error: what was raised instead of the next one; it comes out after all batches before it.
    """

    def __init__(self, errands: Iterable[E]):
        self.errands, self.more = iter(errands), True
        self.error: Exception | None = None

    def next(self) -> list[E]:
        """The next errand, if there is one."""
        try:
            return [next(self.errands)]
        except StopIteration:
            self.more = False
        except Exception as error:
            self.more, self.error = False, error
        return []

    def end(self) -> None:
        if self.error is not None:
            raise self.error


class Flow:
    """The threads of the stages, and the batches that are in them.

    Attributes:
        most: batches that are on their way at once.
        waiting: batches with which no thread has begun.
        failed: the number of the first batch that failed; none after it is worked on any more.
    """

    def __init__(self, stages: Sequence[Stage], workers: int):
        self.here = [stage for stage in stages if not stage.beside]
        self.stages = [stage for stage in stages if stage.beside]
        self.threads = [ThreadPoolExecutor(max(1, each.at_once), "stage") for each in self.stages]
        self.streams = [Stream(each.cuda) for each in self.stages]
        self.workers = Workers(workers, "worker")
        self.most = 1 + sum(each.at_once for each in self.stages)
        self.changed, self.stop = threading.Condition(), threading.Event()
        self.started, self.waiting, self.failed = 0, 0, math.inf

    def takes_another(self, on_their_way: int) -> bool:
        """Whether another batch may be started."""
        with self.changed:
            return on_their_way < self.most and not self.waiting and self.failed == math.inf

    def start(self, indices: Sequence[int]) -> Future[Handed]:
        """Send a batch on its way: through the caller's stages at once, through the others when their turn comes."""
        number, self.started = self.started, self.started + 1
        outcome = self.made_here(number, indices)
        for place, (stage, threads) in enumerate(zip(self.stages, self.threads, strict=True) if indices else ()):
            if not place:
                with self.changed:
                    self.waiting += 1
            outcome = threads.submit(self.step, number, place, stage, indices, outcome)
        outcome.add_done_callback(lambda done: self.tell())
        return outcome

    def made_here(self, number: int, indices: Sequence[int]) -> Future[Handed]:
        """What the caller's stages give, or their error."""
        outcome: Future[Handed] = Future()
        try:
            outcome.set_result(Handed(in_line(self.here, indices)))
        except Exception as error:
            self.fail(number)
            outcome.set_exception(error)
        return outcome

    def step(self, number: int, place: int, stage: Stage, indices: Sequence[int], before: Future[Handed]) -> Handed:
        """One batch in one stage; in a thread of that stage."""
        if not place:
            with self.changed:
                self.waiting -= 1
                self.changed.notify_all()
        given = before.result()
        if number > self.failed:
            raise Stopped
        try:
            with stopped_by(self.stop):
                check_stop()
                return self.streams[place].run(lambda value: stage.work(indices, value, self.workers), given)
        except BaseException:
            self.fail(number)
            raise

    def fail(self, number: int) -> None:
        with self.changed:
            self.failed = min(self.failed, number)

    def tell(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, outcome: Future[Any], or_room: bool) -> bool:
        """Wait until a batch is done, or, if `or_room`, another one may be started; whether it is done."""
        with self.changed:
            self.changed.wait_for(lambda: outcome.done() or (or_room and not self.waiting and self.failed == math.inf))
        return outcome.done()

    def close(self) -> None:
        """Stop whatever is on its way, and wait for the threads to end."""
        self.stop.set()
        threads = [*self.threads, self.workers]
        for each in threads:
            each.shutdown(wait=False, cancel_futures=True)
        for each in threads:
            each.shutdown(wait=True)
