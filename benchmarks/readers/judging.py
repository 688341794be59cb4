"""Whether the bytes of a video are to blame for an error: it is read once more before it is rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from latte_eval.benchmarks.readers.decord_frames import DecordRefused
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.faults import faults_refused, refuse_fault
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.windows import TooShort
from latte_eval.core.errors import ClipError, MachineFault, first_line

T = TypeVar("T")

# Bytes that are read at a time.
READ_BYTES = 2**22


def judged(place: Place, entry: Entry, read: Callable[[], T]) -> T | ClipError:
    """What `read` makes of an entry, or the `ClipError` that its bytes are to blame for.

    Before a file is rejected, all of it is read once more: FFmpeg takes a disk that fails for the end of the file. Then
    `read` must say the same again.

    Raises `MachineFault`.
    """
    first = outcome(entry, read)
    if not isinstance(first, ClipError) or isinstance(first, (TooShort, DecordRefused)):
        return first
    if entry.kind != "frames":  # Pillow reads through Python, which hides nothing
        read_through(place, entry)
    check_same(entry, first, outcome(entry, read))
    return first


def outcome(entry: Entry, read: Callable[[], T]) -> T | ClipError:
    """What `read` gives, or its `ClipError`. Raises `MachineFault`."""
    try:
        with faults_refused(entry.path):
            return read()
    except ClipError as error:
        return error
    except OSError as error:
        return ClipError(f"cannot be read: {first_line(error)}")


def check_same(entry: Entry, first: ClipError, second: object) -> None:
    """Raise `MachineFault` where one file, read twice, was found damaged once, or in two ways."""
    if str(first) != str(second):
        now = f"then: {second}" if isinstance(second, ClipError) else "then without fault"
        raise MachineFault(
            f"{entry.path} was read twice: first {first}; {now}. The disk or network does not give the same bytes each "
            "time: run the same command again"
        )


def read_through(place: Place, entry: Entry) -> None:
    """Read every byte of an entry. Raises `MachineFault` if the machine cannot."""
    for name in entry.files:
        with faults_refused(entry.path):
            try:
                with place.local(name) as path, path.open("rb") as file:
                    while file.read(READ_BYTES):
                        pass
            except ClipError as error:  # a member that cannot be unpacked: `read` says so too
                refuse_fault(error, entry.path)
