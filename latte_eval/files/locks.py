"""One process at a time: a lock of the system, and a claim where the file system has no locks."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from latte_eval.core.errors import StoreError, first_line
from latte_eval.core.notices import notice
from latte_eval.core.processes import rank
from latte_eval.files.claims import owner_in, take_away
from latte_eval.files.owners import LOST_SECONDS, Owner
from latte_eval.files.shared_files import DiskFiles


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file: an empty file `.NAME.lock` beside it, which stays.

    Some network file systems have no locks: there a claim is made, `.NAME.claim`. Some folders cannot be written: then
    the work goes on without, which is safe for one writer at a time, and a notice says so.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with contextlib.ExitStack() as held:
        refused: Exception | None = None
        try:
            held.enter_context(lock)
        except (OSError, NotImplementedError):
            try:
                held.enter_context(claimed(path.with_name(f".{path.name}.claim")))
            except StoreError as error:
                refused = error
        yield
    if refused:
        notice(f"{path} was written without a lock ({first_line(refused)}): one job at a time may write it")


@contextlib.contextmanager
def claimed(place: Path) -> Iterator[None]:
    """Hold a claim, once nobody else does. Raises `StoreError` where none can be made."""
    files, me = DiskFiles(), Owner.here(uuid.uuid4().hex[:16], rank())
    seen, since = None, time.monotonic()
    while not files.create(place, me.to_bytes()):
        data = files.read(place)
        if data != seen:
            seen, since = data, time.monotonic()
        owner = owner_in(data) if data is not None else None
        # Nobody holds a lock for long: no sign of life is needed.
        if owner and (owner.ended_here or time.monotonic() - since > LOST_SECONDS):
            take_away(files, place, owner)
        time.sleep(0.02)
    try:
        yield
    finally:
        files.remove(place)
