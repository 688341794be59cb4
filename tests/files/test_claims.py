"""Claims: each range is one process's, a lost one's is taken over once, clocks are never compared."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from owner_makers import Clock, elsewhere

from latte_eval.core.errors import StoreError
from latte_eval.files import shared_files
from latte_eval.files.claims import Claims, Merged, SharedWork
from latte_eval.files.owners import (
    BEAT_SECONDS,
    LOST_SECONDS,
    Owner,
    Watch,
    sign_path,
)
from latte_eval.files.run_folder import SHARD_CLIPS, shard_ranges
from latte_eval.files.shards import Range
from latte_eval.files.shared_files import DiskFiles

SPANS = [(start, start + 4) for start in range(0, 40, 4)]


def work_of(folder: Path, me: Owner, stored: set[Range], clock: Clock | None = None, **more) -> SharedWork:
    watch = Watch(folder / "alive", clock=clock or Clock())
    claims = Claims(folder / "key", me, DiskFiles())
    return SharedWork(claims, watch, SPANS, lambda spans: stored & set(spans), lambda span: span in stored, **more)


def test_each_range_is_given_out_once(tmp_path: Path) -> None:
    one, two = (work_of(tmp_path, elsewhere(rank), set(), place=rank, places=2) for rank in (0, 1))
    taken = [each.take() for _ in range(5) for each in (one, two)]
    assert sorted(span for span in taken if span) == SPANS and one.take() is two.take() is None
    assert len(one.mine) == len(two.mine) == 5


def test_of_many_processes_each_looks_seldom(tmp_path: Path) -> None:
    """A look reads the names of all shards, which are as many as all processes took; a claim costs one file."""
    spans, stored, looks = [(start, start + 1) for start in range(640)], set[Range](), 0

    def seen(asked: Sequence[Range]) -> set[Range]:
        nonlocal looks
        looks += 1
        return stored & set(asked)

    watch = Watch(tmp_path / "alive", clock=Clock())
    workers = [
        SharedWork(
            Claims(tmp_path / "key", elsewhere(rank), DiskFiles()), watch, spans, seen, stored.__contains__, rank, 64
        )
        for rank in range(64)
    ]
    taken = []
    while len(taken) < len(spans):
        for work in workers:
            if span := work.take():
                taken.append(span)
                stored.add(span)
                work.finish(span)
    assert sorted(taken) == spans and looks < len(spans) / 2


def test_many_threads_take_each_range_once(tmp_path: Path) -> None:
    """Ranges are stored and given back meanwhile: what somebody finished between two looks is not done again."""
    stored, done = set[Range](), list[Range]()

    def run(rank: int) -> None:
        work = work_of(tmp_path, elsewhere(rank), stored, place=rank, places=4)
        while (span := work.take()) is not None:
            done.append(span)
            stored.add(span)
            work.finish(span)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == SPANS and not list((tmp_path / "key").iterdir())


def test_what_another_stored_since_the_last_look_is_passed_over_and_no_claim_is_left(tmp_path: Path) -> None:
    stored, spans = set[Range](), [(start, start + 1) for start in range(64)]
    watch, claims = Watch(tmp_path / "alive", clock=Clock()), Claims(tmp_path / "key", elsewhere(), DiskFiles())
    work = SharedWork(claims, watch, spans, lambda asked: stored & set(asked), stored.__contains__, 0, 16)
    assert work.take() == (0, 1) and list(work.stripe) == [(16, 17)]
    stored.add((16, 17))
    assert work.take() == (1, 2) and claims.held() == [(0, 1), (1, 2)]


def test_claims_that_the_folder_does_not_show_yet_are_tried_once(tmp_path: Path) -> None:
    """NFS keeps what it knows of a folder for a while: there, who takes must not try the same again and again."""
    for span in SPANS:
        Claims(tmp_path / "key", elsewhere(), DiskFiles()).claim(span)
    tried = list[Path]()

    class Delayed(DiskFiles):
        def names(self, folder: Path) -> list[str]:
            return []

        def create(self, path: Path, data: bytes) -> bool:
            tried.append(path)
            assert len(tried) <= len(SPANS)
            return super().create(path, data)

    work = work_of(tmp_path, elsewhere(1), set())
    work.claims = Claims(tmp_path / "key", elsewhere(1), Delayed())
    assert work.take() is None and len(tried) == len(SPANS)


def test_processes_that_see_the_same_try_different_ranges(tmp_path: Path) -> None:
    spans = [(start, start + 1) for start in range(64)]
    watch, stripes = Watch(tmp_path / "alive", clock=Clock()), list[list[Range]]()
    for place in range(16):
        claims = Claims(tmp_path / "key", elsewhere(place), DiskFiles())
        work = SharedWork(claims, watch, spans, lambda asked: set(), lambda span: False, place, 16)
        first = work.next_range(())
        stripes.append([first, *work.stripe] if first else [])
    assert sorted(span for stripe in stripes for span in stripe) == spans[:32]


def test_larger_ranges_are_begun_before_smaller_ones(tmp_path: Path) -> None:
    watch, claims = Watch(tmp_path / "alive", clock=Clock()), Claims(tmp_path / "key", elsewhere(), DiskFiles())
    spans = [(0, 4), (4, 8), (8, 10), (10, 12)]
    work = SharedWork(claims, watch, spans, lambda asked: set(), lambda span: False, 0, 8)
    assert work.free() == spans[:2]
    assert (work.take(), work.take(), work.take()) == ((0, 4), (4, 8), (8, 10))


def test_what_another_finishes_during_a_look_is_not_free(tmp_path: Path) -> None:
    other, stored = Claims(tmp_path / "key", elsewhere(), DiskFiles()), set[Range]()
    other.claim(SPANS[0])

    def seen(asked: Sequence[Range]) -> set[Range]:
        found = stored & set(asked)
        stored.add(SPANS[0])  # just after the look
        other.release(SPANS[0])
        return found

    work = work_of(tmp_path, elsewhere(1), stored)
    work.stored = seen
    assert work.free() == SPANS[1:2]


def test_a_lost_claim_is_taken_over_after_silence_on_the_own_clock(tmp_path: Path) -> None:
    clock, dead = Clock(), elsewhere()
    assert Claims(tmp_path / "key", dead, DiskFiles()).claim((0, 4))
    DiskFiles().replace(sign_path(tmp_path / "alive", dead.id), b"beat 7")
    named: list[Owner] = []
    work = work_of(tmp_path, elsewhere(1), {*SPANS[1:]}, clock, on_lost=named.append)
    work.look()
    for clock.now in (0.0, BEAT_SECONDS, LOST_SECONDS):
        assert work.free_lost() == [] and work.take() is None
    clock.now = LOST_SECONDS + 1
    assert work.free_lost() == [dead] == named
    assert work.take() == (0, 4)


def test_a_process_that_beats_keeps_its_claims(tmp_path: Path) -> None:
    clock, alive = Clock(), elsewhere()
    Claims(tmp_path / "key", alive, DiskFiles()).claim((0, 4))
    work = work_of(tmp_path, elsewhere(1), set(), clock)
    for beat in range(100):
        DiskFiles().replace(sign_path(tmp_path / "alive", alive.id), f"beat {beat}".encode())
        clock.now += BEAT_SECONDS
        assert work.free_lost() == []


@pytest.mark.parametrize("offset", [-3600, 0, 3600])
def test_clocks_that_differ_by_an_hour_change_nothing(offset: int, tmp_path: Path) -> None:
    """Times of files and of other machines are never looked at."""
    clock, other = Clock(1000.0), elsewhere()
    Claims(tmp_path / "key", other, DiskFiles()).claim((0, 4))
    sign = sign_path(tmp_path / "alive", other.id)
    work = work_of(tmp_path, elsewhere(1), {*SPANS[1:]}, clock)
    for beat in range(3):
        DiskFiles().replace(sign, f"beat {beat}".encode())
        now = sign.stat().st_mtime + offset
        os.utime(sign, (now, now))
        assert work.free_lost() == []
        clock.now += LOST_SECONDS - 1
    clock.now += 2
    assert [owner.id for owner in work.free_lost()] == [other.id]


def test_one_of_many_takes_a_lost_claim_over(tmp_path: Path) -> None:
    dead = elsewhere()
    Claims(tmp_path / "key", dead, DiskFiles()).claim((0, 4))
    start, won = threading.Barrier(8), list[int]()

    def take_over(rank: int) -> None:
        claims = Claims(tmp_path / "key", elsewhere(rank), DiskFiles())
        start.wait()
        if claims.take_away((0, 4), dead) and claims.claim((0, 4)):
            won.append(rank)

    threads = [threading.Thread(target=take_over, args=(rank,)) for rank in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    held = Claims(tmp_path / "key", elsewhere(), DiskFiles()).owner((0, 4))
    assert held is not None and held.rank == won[0]


def test_a_claim_that_was_taken_over_meanwhile_is_put_back(tmp_path: Path) -> None:
    """Two see the same dead owner; the slower one moves the quicker one's new claim, and must not keep it."""
    dead, quick = elsewhere(), Claims(tmp_path / "key", elsewhere(1), DiskFiles())
    slow = Claims(tmp_path / "key", elsewhere(2), DiskFiles())
    Claims(tmp_path / "key", dead, DiskFiles()).claim((0, 4))
    assert quick.take_away((0, 4), dead) and quick.claim((0, 4))
    assert not slow.take_away((0, 4), dead)
    assert slow.owner((0, 4)) == quick.me and len(list((tmp_path / "key").iterdir())) == 1


def test_who_lost_a_claim_does_not_release_that_of_another(tmp_path: Path) -> None:
    """A process that was suspended finishes its range later."""
    sleeper, other = (
        Claims(tmp_path / "key", elsewhere(), DiskFiles()),
        Claims(tmp_path / "key", elsewhere(1), DiskFiles()),
    )
    sleeper.claim((0, 4))
    other.take_away((0, 4), sleeper.me)
    other.claim((0, 4))
    sleeper.release((0, 4))
    assert other.held() == [(0, 4)]


def test_a_cut_claim_belongs_to_nobody_and_is_lost_in_time(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "000000-000004.json").write_bytes(b'{"id": "oth')
    clock = Clock()
    work = work_of(tmp_path, elsewhere(1), {*SPANS[1:]}, clock)
    work.look()
    assert work.free_lost() == [] and work.take() is None
    clock.now += LOST_SECONDS + 1
    assert len(work.free_lost()) == 1 and work.take() == (0, 4)


def test_ranges_that_others_cut_differently_are_left_to_them(tmp_path: Path) -> None:
    Claims(tmp_path / "key", elsewhere(), DiskFiles()).claim((2, 9))
    assert work_of(tmp_path, elsewhere(1), set()).free() == SPANS[3:4]
    held = Merged([(10, 20), (0, 5), (18, 25)])
    spans = [(4, 6), (5, 10), (9, 11), (25, 30), (0, 1), (24, 25), (0, 99)]
    assert [held.overlaps(span) for span in spans] == [True, False, True, False, True, True, True]


def test_progress_of_others_is_told_once(tmp_path: Path) -> None:
    stored = {SPANS[0]}
    work = work_of(tmp_path, elsewhere(), stored)
    span = work.take()
    assert span == SPANS[1] and work.news() == [SPANS[0]] and work.news() == []
    stored |= {SPANS[1], SPANS[2]}
    work.look()
    work.finish(span)
    assert work.news() == [SPANS[2]] and work.look() is False


def test_what_this_process_stored_is_no_progress_of_others(tmp_path: Path) -> None:
    stored = set[Range]()
    work = work_of(tmp_path, elsewhere(), stored)
    span = work.take()
    assert span
    stored.add(span)
    work.finish(span)
    assert not work.look() and work.news() == []


def test_many_claims_are_read_seldom_and_at_every_sign_of_life(tmp_path: Path) -> None:
    clock, reads = Clock(), list[Path]()

    class Counted(DiskFiles):
        def read(self, path: Path) -> bytes | None:
            reads.append(path)
            return super().read(path)

    work = work_of(tmp_path, elsewhere(1), set(), clock)
    work.claims = Claims(tmp_path / "key", elsewhere(1), Counted())
    work.todo = [(start, start + 1) for start in range(250)]  # at 0.05 s each: 12.5 s
    for span in work.todo:
        Claims(tmp_path / "key", elsewhere(), DiskFiles()).claim(span)
    for clock.now in (0, 1, BEAT_SECONDS - 1, BEAT_SECONDS):
        assert work.free_lost() == []
    assert len(reads) == 2 * 250


def test_only_claims_of_others_that_are_in_the_way_are_watched(tmp_path: Path) -> None:
    clock, other = Clock(), Claims(tmp_path / "key", elsewhere(), DiskFiles())
    work = work_of(tmp_path, elsewhere(1), {SPANS[0]}, clock)
    other.claim(SPANS[0])  # it is stored: the other was killed before it gave the claim back
    other.claim(SPANS[2])
    assert work.take() == SPANS[1]  # this process shows no sign of life, and is not lost for itself
    assert list(work.others()) == [(SPANS[2], other.me)]
    for clock.now in (0, LOST_SECONDS + 1):
        lost = work.free_lost()
    assert lost == [other.me] and other.held() == SPANS[:2]


def test_what_this_process_holds_is_not_free_where_the_folder_does_not_show_it_yet(tmp_path: Path) -> None:
    work = work_of(tmp_path, elsewhere(), set())
    span = work.take()
    (tmp_path / "key").rename(tmp_path / "unseen")
    assert span == SPANS[0] and work.free() == SPANS[1:2]


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(shared_files.os, "link", refuse)
    files = DiskFiles()
    assert files.create(tmp_path / "a", b"1") and not files.create(tmp_path / "a", b"2")
    assert files.read(tmp_path / "a") == b"1" and files.names(tmp_path) == ["a"]


def test_a_file_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    """Of several that move or delete it, one is first."""
    files, absent = DiskFiles(), tmp_path / "absent" / "a"
    files.remove(absent)
    assert files.read(absent) is None and files.names(absent.parent) == [] and not files.move(absent, tmp_path / "b")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot share work by"):
        DiskFiles().create(tmp_path / "file" / "a", b"1")
    with pytest.raises(StoreError, match="cannot share work by"):
        DiskFiles().names(tmp_path / "file")


def covers(ranges: Sequence[Range], span: Range) -> bool:
    return [i for start, stop in ranges for i in range(start, stop)] == list(range(*span))


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 64, 1000])
@pytest.mark.parametrize("span", [(0, 1), (0, 10), (7, 10), (0, 2048), (2048, 2051), (5, 777)])
@pytest.mark.parametrize("least", [1, 3, 4])
def test_ranges_cover_all_and_become_smaller(workers: int, span: Range, least: int) -> None:
    ranges = shard_ranges(span, workers, least)
    sizes = [stop - start for start, stop in ranges]
    assert covers(ranges, span) and max(sizes) <= SHARD_CLIPS
    if workers > 1 and span[0] == 0 and least == 1:
        assert sizes == sorted(sizes, reverse=True)
    # Shards end at multiples of 32, wherever they are cut otherwise.
    assert not any(start // SHARD_CLIPS < (stop - 1) // SHARD_CLIPS for start, stop in ranges if least != 3)
