"""One writer at a time, with locks of the system and without."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latte_eval.core.notices import Notice
from latte_eval.files import locks
from latte_eval.files.jsonl import append_lines, read_lines
from latte_eval.files.locks import claimed, locked
from latte_eval.files.owners import LOST_SECONDS, Owner, own_mark


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS and Lustre may answer."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_claim_lets_one_write_at_a_time(tmp_path: Path) -> None:
    def append(number: int) -> None:
        for _ in range(5):
            append_lines(tmp_path / "results.jsonl", [f"{number}" * 100])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for _, line in read_lines(tmp_path / "results.jsonl", "lines")]
    assert sorted(lines) == sorted(f"{number}" * 100 for number in range(4) for _ in range(5))
    assert not (tmp_path / ".results.jsonl.claim").exists()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_and_claims_a_notice_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results.jsonl").touch()
    monkeypatch.setattr(locks, "claimed", lambda place: claimed(tmp_path / "results.jsonl" / "x"))
    with pytest.warns(Notice, match="results.jsonl was written without a lock"):
        append_lines(tmp_path / "results.jsonl", ["{}"])
    with pytest.warns(Notice, match="results.jsonl was written without a lock"):
        append_lines(tmp_path / "results.jsonl", ["{}"])
    assert read_lines(tmp_path / "results.jsonl", "lines") == [(1, "{}"), (2, "{}")]


def test_the_claim_of_a_dead_process_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOST_SECONDS", 0.1)
    place = tmp_path / ".x.claim"
    for left in (Owner("far-00000", 0, "faraway", 1).to_bytes(), b'{"id": "cu'):
        place.write_bytes(left)
        with claimed(place):
            assert Owner.from_bytes(place.read_bytes()) != Owner.from_bytes(left)
        assert not place.exists()


def with_time(monkeypatch: pytest.MonkeyPatch, pause: Callable[[float], None]) -> None:
    """Between two looks at a claim a minute passes, in which `pause` is called with the seconds since the start."""
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 60
        pause(now[0])

    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))


def test_a_lock_that_goes_from_one_to_the_next_is_taken_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ".x.claim"

    def next_one(now: float) -> None:
        assert place.exists()
        if now > 5 * LOST_SECONDS:
            place.unlink()
        else:
            place.write_bytes(Owner(f"far-{now:05.0f}", 0, "faraway", 1).to_bytes())

    place.write_bytes(Owner("far-00000", 0, "faraway", 1).to_bytes())
    with_time(monkeypatch, next_one)
    with claimed(place):
        assert place.exists()


@pytest.mark.skipif(not own_mark(), reason="the system has no /proc")
def test_the_claim_of_a_process_that_was_killed_here_goes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, looks = tmp_path / ".x.claim", list[float]()
    place.write_bytes(dataclasses.replace(Owner.here("t", 0), mark=(*own_mark()[:3], "1")).to_bytes())
    with_time(monkeypatch, looks.append)
    with claimed(place):
        assert len(looks) == 1


def test_a_system_that_has_no_locks_at_all_has_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        def __init__(self, path: Path):
            pass

        def __enter__(self) -> None:
            raise NotImplementedError

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(locks, "FileLock", Absent)
    with locked(tmp_path / "x"):
        assert (tmp_path / ".x.claim").exists()
    assert not (tmp_path / ".x.claim").exists()


def test_what_fails_under_a_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="own"), locked(tmp_path / "x"):
        raise OSError("own")
