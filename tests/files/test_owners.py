"""Owners of claims: which process lives, which one is lost, by signs of life and by what the system tells."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from owner_makers import Clock, elsewhere

from latte_eval.core.errors import StoreError
from latte_eval.files.owners import (
    BEAT_SECONDS,
    LOST_SECONDS,
    Owner,
    SignOfLife,
    Watch,
    forget_old_files,
    own_mark,
    sign_path,
)
from latte_eval.files.shared_files import DiskFiles


@pytest.mark.skipif(not own_mark(), reason="the system has no /proc")
def test_a_process_of_this_machine_that_ended_is_lost_at_once() -> None:
    code = (
        "from latte_eval.files.owners import Owner; print(Owner.here('t', 3).to_bytes().decode(), flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdin
        owner = Owner.from_bytes(child.stdout.readline())
        assert owner and owner.rank == 3 and not owner.ended_here
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert owner.ended_here  # a zombie has ended, too
    assert owner.ended_here
    assert not dataclasses.replace(owner, mark=("another boot", *owner.mark[1:])).ended_here
    # Containers on one machine number their processes apart, and see nothing of each other's.
    assert not dataclasses.replace(owner, mark=(owner.mark[0], "pid:[1]", *owner.mark[2:])).ended_here
    mine = Owner.here("t", 0)
    assert not mine.ended_here and dataclasses.replace(mine, mark=(*mine.mark[:3], "1")).ended_here


def test_where_the_system_tells_nothing_of_processes_none_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.files.owners.own_mark", lambda: ())
    assert not Owner.here("t", 0).ended_here


@pytest.mark.skipif(not own_mark(), reason="the system has no /proc")
def test_a_process_may_have_any_name() -> None:
    place, started = Path("/proc/self/comm"), own_mark()[3]
    name = place.read_text()
    try:
        place.write_text("a) Z (b")
        assert own_mark()[3] == started
    finally:
        place.write_text(name)


def test_a_claim_of_other_json_names_nobody() -> None:
    record = json.loads(elsewhere().to_bytes())
    for other in (None, [], 7, {**record, "rank": None}, {**record, "mark": 7}, {"id": "x"}):
        assert Owner.from_bytes(json.dumps(other).encode()) is None


def test_a_sign_that_nfs_shows_a_minute_late_is_a_sign_of_life(tmp_path: Path) -> None:
    clock, alive = Clock(), elsewhere()
    watch = Watch(tmp_path, clock=clock)
    for beat in (1, 2):
        DiskFiles().replace(sign_path(tmp_path, alive.id), f"beat {beat}".encode())
        for _ in range(7):  # 60 seconds, and one beat
            assert not watch.is_lost(alive)
            clock.now += BEAT_SECONDS


def test_a_beat_that_comes_late_counts_from_when_it_is_seen(tmp_path: Path) -> None:
    clock, late = Clock(), elsewhere()
    watch = Watch(tmp_path, clock=clock)
    DiskFiles().replace(sign_path(tmp_path, late.id), b"beat 1")
    assert not watch.is_lost(late)
    clock.now = LOST_SECONDS
    assert not watch.is_lost(late)
    clock.now += 1
    assert watch.is_lost(late)
    clock.now += BEAT_SECONDS
    DiskFiles().replace(sign_path(tmp_path, late.id), b"beat 2")
    assert watch.silence(late.id) == 0
    clock.now += LOST_SECONDS
    assert not watch.is_lost(late)


def test_a_file_server_is_asked_for_a_sign_at_most_twice_a_beat(tmp_path: Path) -> None:
    clock, asked = Clock(), list[float]()

    class Counted(DiskFiles):
        def read(self, path: Path) -> bytes | None:
            asked.append(clock.now)
            return super().read(path)

    watch = Watch(tmp_path, Counted(), clock)
    for _ in range(100):
        watch.silence("other-00001")
        clock.now += BEAT_SECONDS / 10
    assert asked == [BEAT_SECONDS / 2 * number for number in range(20)]


def test_a_file_server_that_is_away_for_a_while_ends_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte_eval.files.owners.BEAT_SECONDS", 0.01)
    back, tried = threading.Event(), list[bytes]()

    class Away(DiskFiles):
        def replace(self, path: Path, data: bytes) -> None:
            tried.append(data)
            if 1 < len(tried) < 4:
                raise StoreError("away")
            if len(tried) >= 4:
                back.set()

        def remove(self, path: Path) -> None:
            raise StoreError("away for good")

    with SignOfLife(tmp_path, Owner.here("t", 0), Away()):
        assert back.wait(5)


def test_a_sign_of_life_changes_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.files.owners.BEAT_SECONDS", 0.01)
    me, seen = Owner.here("t", 0), set[bytes]()
    with SignOfLife(tmp_path, me):
        while len(seen) < 3:
            seen.add(sign_path(tmp_path, me.id).read_bytes())
    assert not list(tmp_path.iterdir())


def test_signs_of_long_ago_are_forgotten_by_the_time_of_the_file_server(tmp_path: Path) -> None:
    for name in ("old", "new", "mine"):
        (tmp_path / f"{name}.json").touch()
    late = (tmp_path / "mine.json").stat().st_mtime
    os.utime(tmp_path / "old.json", (late - 40 * 86400,) * 2)
    forget_old_files(tmp_path, tmp_path / "mine.json")
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["mine", "new"]
