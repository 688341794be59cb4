"""Work that nobody waits for ends where it asks next, in whatever thread does a piece of it."""

from __future__ import annotations

import contextlib
import threading

import pytest

from latte_eval.core.stages import Workers
from latte_eval.core.stops import Stopped, check_stop, stopped_by


def test_work_is_stopped_inside_and_nowhere_else() -> None:
    event = threading.Event()
    with stopped_by(event):
        check_stop()
        event.set()
        with pytest.raises(Stopped):
            check_stop()
        with stopped_by(threading.Event()):
            check_stop()
        with pytest.raises(Stopped):
            check_stop()
    check_stop()


def test_a_thread_that_was_stopped_can_be_used_again() -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(Stopped), stopped_by(event):
        check_stop()
    check_stop()


def test_who_takes_any_error_for_one_of_a_file_does_not_take_this_one() -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(Stopped), stopped_by(event), contextlib.suppress(Exception):
        check_stop()


def test_pieces_of_a_batch_end_where_the_batch_does() -> None:
    event = threading.Event()
    with Workers(1) as workers:
        with stopped_by(event):
            workers.submit(check_stop).result()
            event.set()
            with pytest.raises(Stopped):
                workers.submit(check_stop).result()
        workers.submit(check_stop).result()  # the same thread, for another batch
