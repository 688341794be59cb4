"""Work in other threads that nobody waits for any more: it ends where it asks next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class Stopped(BaseException):
    """Raised inside work that is not wanted any more; the thread that stopped it does not wait for its result."""


@contextmanager
def stopped_by(event: threading.Event) -> Iterator[None]:
    """Inside, `check_stop` raises once the event is set."""
    token = STOP.set(event)
    try:
        yield
    finally:
        STOP.reset(token)


def check_stop() -> None:
    """Raise `Stopped` where the work that this thread does is not wanted any more; long loops call it every round."""
    event = STOP.get()
    if event is not None and event.is_set():
        raise Stopped
