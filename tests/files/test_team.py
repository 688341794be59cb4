"""The processes of one run tell each other things by files: here several of them within one process."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from latte_eval.core.errors import CheckpointError, LostRank, RanksDiffer
from latte_eval.core.notices import Notice
from latte_eval.files import owners, team
from latte_eval.files.owners import Owner, SignOfLife, own_mark, sign_path
from latte_eval.files.team import Team, check_shared, check_versions, team_at


@pytest.fixture
def ranks(tmp_path: Path) -> list[Team]:
    return [Team(tmp_path, "token", rank, 3) for rank in range(3)]


def together(*works: Callable[[], object]) -> list[object]:
    """What works that run side by side return or raise."""
    found: list[object] = [None] * len(works)

    def run(number: int) -> None:
        try:
            found[number] = works[number]()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def decided(each: Team, name: str, decide: Callable[[], object]) -> object:
    with each.first(name) as said:
        if each.rank == 0:
            said["found"] = decide()
    return said["found"]


def test_the_first_process_decides(ranks: list[Team]) -> None:
    asked: list[int] = []

    def decide(rank: int) -> dict[str, int]:
        asked.append(rank)
        return {"clips": 32}

    with SignOfLife(ranks[0].watch.folder, ranks[0].me):
        found = together(*(lambda each=each: decided(each, "go on?", lambda: decide(each.rank)) for each in ranks))
    assert found == [{"clips": 32}] * 3 and asked == [0]


def test_an_error_of_the_first_process_ends_those_who_wait(ranks: list[Team]) -> None:
    def fail() -> None:
        raise CheckpointError("x.pt is damaged")

    with SignOfLife(ranks[0].watch.folder, ranks[0].me):
        found = together(*(lambda each=each: decided(each, "points", fail) for each in ranks))
    assert isinstance(found[0], CheckpointError)
    for error in found[1:]:
        assert isinstance(error, LostRank) and error.told_by_another and "rank 0 gave up: x.pt" in str(error)


def test_a_first_process_that_is_silent_is_named(ranks: list[Team], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(team, "LOST_SECONDS", 0.3)
    ranks[0].watch.files.replace(owners.sign_path(ranks[0].watch.folder, ranks[0].me.id), ranks[0].me.to_bytes())
    with pytest.raises(LostRank, match=rf"^rank 0 on .* \(process {ranks[0].me.pid}\) was not heard of for 0 s"):
        decided(ranks[1], "go on?", int)


def test_a_first_process_that_has_ended_is_not_waited_for(ranks: list[Team]) -> None:
    started = time.monotonic()
    with pytest.raises(LostRank, match="has ended"):
        decided(ranks[1], "go on?", int)
    assert time.monotonic() - started < 5


def test_a_first_process_that_comes_later_to_a_folder_is_waited_for(ranks: list[Team], tmp_path: Path) -> None:
    """It still measures what was sampled in the folder before."""
    late, early = (Team(tmp_path / "second", "token", rank, 3, home=tmp_path) for rank in (0, 1))
    with SignOfLife(ranks[0].watch.folder, ranks[0].me):
        found = together(
            lambda: (time.sleep(0.3), decided(late, "go on?", lambda: 7)), lambda: decided(early, "go on?", int)
        )
    assert found == [(None, 7), 7]


def test_one_process_opens_first_and_the_others_after_it(ranks: list[Team], monkeypatch: pytest.MonkeyPatch) -> None:
    """One of all, then one of each machine, then the rest: a download happens once, whoever has a cache of its own."""
    here = threading.local()
    monkeypatch.setattr(team, "host", lambda: here.host)
    at_work, most, order = 0, 0, list[int]()
    lock = threading.Lock()

    def work(rank: int) -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            order.append(rank)
            most = max(most, at_work)
        time.sleep(0.1)
        with lock:
            at_work -= 1
        return rank

    def run(each: Team) -> int:
        here.host = "one machine"
        with SignOfLife(each.watch.folder, each.me), each.in_turn("weights"):
            return work(each.rank)

    assert together(*(lambda each=each: run(each) for each in ranks)) == [0, 1, 2]
    assert sorted(order) == [0, 1, 2] and most == 1


def test_who_opens_first_and_dies_is_not_waited_for(ranks: list[Team]) -> None:
    ranks[1].tell("weights begun", {"owner": ranks[1].me.id})
    with ranks[2].in_turn("weights"):
        assert ranks[2].told("weights ended") is None


def test_who_opens_first_and_dies_ends_a_run_that_is_to_end(ranks: list[Team]) -> None:
    ranks[1].tell("weights begun", {"owner": ranks[1].me.id})
    ranks[2].on_lost = "end"
    with pytest.raises(LostRank, match="has ended"), ranks[2].in_turn("weights"):
        raise AssertionError


def test_who_opens_first_and_fails_lets_the_others_try(ranks: list[Team]) -> None:
    with pytest.raises(CheckpointError), ranks[1].in_turn("weights"):
        raise CheckpointError("no network")
    assert ranks[2].told("weights ended") is not None


def test_what_is_said_last_is_heard(ranks: list[Team], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that speaks and ends does both between two looks of another."""

    def leaves(owner: str) -> bool:
        ranks[0].tell("points", {"found": 7})
        return True

    monkeypatch.setattr(ranks[1].members, "has_left", leaves)
    assert ranks[1].wait_for("points", ranks[0].me)["found"] == 7


@pytest.mark.skipif(not own_mark(), reason="the system has no /proc")
def test_a_first_process_that_was_killed_here_is_not_waited_for(ranks: list[Team]) -> None:
    killed = dataclasses.replace(ranks[0].me, mark=(*own_mark()[:3], "1"))
    with SignOfLife(ranks[0].watch.folder, killed), pytest.raises(LostRank, match="was killed"):
        ranks[1].wait_for("points", ranks[1].member(0))


def test_what_is_being_said_right_now_is_not_said_yet(ranks: list[Team]) -> None:
    ranks[0].tell("points", {"found": 7})
    assert Team(ranks[0].run, "another run", 1, 3).told("points") is None
    for cut in (b"", b'{"name": "poi'):
        ranks[0].told_path("points").write_bytes(cut)
        assert ranks[1].told("points") is None


def test_a_process_alone_shows_a_sign_of_life_to_other_commands(ranks: list[Team], tmp_path: Path) -> None:
    """Those of a launcher do so to their end, whatever they work on: without a sign they would be taken for ended."""
    alone, folder = Team(tmp_path, "alone"), ranks[0].watch.folder
    with alone.present():
        assert sign_path(folder, alone.me.id).is_file()
    assert not list(folder.iterdir())
    with SignOfLife(folder, ranks[1].me):
        with ranks[1].present():
            pass
        assert not ranks[0].members.has_left(ranks[1].me.id)


def test_commands_that_run_at_once_are_not_one_run(tmp_path: Path) -> None:
    one, other = team_at(tmp_path), team_at(tmp_path, "end")
    assert one.has(one.me) and not one.has(other.me) and (one.on_lost, other.on_lost) == ("survive", "end")
    assert Team(tmp_path, "a-b", 12, 100).has(Team(tmp_path, "a-b", 3, 100).me)


def test_what_to_do_about_a_loss_stays_as_it_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "world_size", lambda: 2)
    monkeypatch.setattr(team, "TEAMS", {(str(tmp_path), os.getpid()): Team(tmp_path, "token", 0, 2)})
    assert [team_at(tmp_path, *said).on_lost for said in ((), ("end",), ())] == ["survive", "end", "end"]


def test_other_versions_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "gathered", lambda name, value: [["1.0", "a"], ["1.0", "b"], ["1.1", "c"]])
    with pytest.raises(RanksDiffer, match=r"^latte-eval is 1\.1 on rank 2 \(c\) and 1\.0 on rank 0 \(a\)"):
        check_versions()


def test_processes_with_other_files_are_told_apart(ranks: list[Team]) -> None:
    for each in (ranks[2], ranks[0]):
        each.check_same("evaluation 1", {"the protocol": "a", "the sha256 of the checkpoint": "1" * 8})
    with pytest.raises(
        RanksDiffer, match="the sha256 of the checkpoint is 22222222 on rank 1 .* and 11111111 on rank 2"
    ):
        ranks[1].check_same("evaluation 1", {"the protocol": "a", "the sha256 of the checkpoint": "2" * 8})
    ranks[1].check_same("sides", {"frames": (1, 2)})
    ranks[2].check_same("sides", {"frames": (1, 2)})
    assert [ranks[1].number("evaluation") for _ in range(2)] == ["evaluation 1", "evaluation 2"]


def gathering(parties: int) -> Callable[[Team], Callable[[str, object], list[object]]]:
    """As `core.processes.gathered`, among threads."""
    said: dict[str, dict[int, object]] = {}
    barriers: dict[str, threading.Barrier] = {}
    lock = threading.Lock()

    def of(each: Team) -> Callable[[str, object], list[object]]:
        def gathered(name: str, value: object) -> list[object]:
            with lock:
                said.setdefault(name, {})[each.rank] = value
                barrier = barriers.setdefault(name, threading.Barrier(parties))
            barrier.wait(30)
            return [said[name][rank] for rank in range(parties)]

        return gathered

    return of


def test_a_run_folder_that_is_not_shared_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 2 has a folder of its own under the same name."""
    monkeypatch.setattr(team, "SHARED_SECONDS", 0.3)
    ranks = [Team(tmp_path / ("far" if rank == 2 else "near"), "token", rank, 3) for rank in range(3)]
    here, of = threading.local(), gathering(3)
    monkeypatch.setattr(team, "gathered", lambda name, value: here.gathered(name, value))

    def run(each: Team) -> None:
        here.gathered = of(each)
        with SignOfLife(each.watch.folder, each.me):
            check_shared(each)

    found = together(*(lambda each=each: run(each) for each in ranks))
    assert all(isinstance(each, RanksDiffer) for each in found)
    assert [each.told_by_another for each in found] == [False, True, True]  # type: ignore[attr-defined]
    assert f"the run folder is not shared: {tmp_path / 'far'} of rank 2" in str(found[0])
    assert str(tmp_path / "near") in str(found[0]) and "--out RUN" in str(found[0])


def test_a_shared_run_folder_is_seen_by_all(ranks: list[Team], monkeypatch: pytest.MonkeyPatch) -> None:
    here, of = threading.local(), gathering(3)
    monkeypatch.setattr(team, "gathered", lambda name, value: here.gathered(name, value))

    def run(each: Team) -> str:
        here.gathered = of(each)
        with SignOfLife(each.watch.folder, each.me):
            check_shared(each)
            return "seen"

    assert together(*(lambda each=each: run(each) for each in ranks)) == ["seen"] * 3


def test_a_lost_process_ends_the_run_or_is_survived(ranks: list[Team]) -> None:
    with pytest.warns(Notice, match="rank 1 on .* is lost: its clips are taken over") as notices:
        ranks[0].name_lost(ranks[1].me)
        ranks[0].name_lost(ranks[1].me)
    assert len(notices) == 1
    ranks[0].on_lost = "end"
    with pytest.raises(LostRank, match=r"rank 1 on .* is lost, which ends the run \(--on-lost end\)"):
        ranks[0].name_lost(ranks[1].me)
    with pytest.warns(Notice, match="rank 1 on faraway"):  # of another command: no reason to end this one
        ranks[0].name_lost(Owner("other-00001", 1, "faraway", 4711))
