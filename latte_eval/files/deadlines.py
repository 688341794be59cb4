"""Limits for the time of a whole answer: the timeout of a socket begins anew with every byte that comes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` gives, or its exception. Raises `TimeoutError` after so many seconds, and leaves it to itself."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # raised again where it is waited for
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError(f"no end after {seconds:g} seconds")
    return outcome[0]


def cut_off(response: Any) -> None:
    """End the connection of an answer that another thread still reads: that reads its end then."""
    with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(response.fileno())) as connection:
        connection.shutdown(socket.SHUT_RDWR)
