"""One process at shared work: it takes what is free, waits for whom it must, and gives back what it did not store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latte_eval.core.errors import LostRank
from latte_eval.core.notices import Notice
from latte_eval.files.claims import Claims, SharedWork
from latte_eval.files.owners import LOST_SECONDS, Owner, sign_path
from latte_eval.files.shards import Range
from latte_eval.files.shared_files import DiskFiles
from latte_eval.files.sharing import Sharing
from latte_eval.files.team import Team

SPANS = [(0, 4), (4, 8), (8, 12)]
MINE, ANOTHER_COMMAND = "token", "other"


class Shared:
    """Ranges of which another process holds the first one, and the process that a test follows."""

    def __init__(self, run: Path, rank: int, other: Owner, **more: Any):
        self.team, self.now, self.stored = Team(run, MINE, rank, 2, **more), 0.0, set[Range]()
        self.team.watch.clock = lambda: self.now
        self.other = Claims(run / ".claims" / "key", other, DiskFiles())
        self.other.claim(SPANS[0])
        DiskFiles().replace(sign_path(self.team.watch.folder, other.id), other.to_bytes() + b"\n1")
        self.work = SharedWork(
            self.team.claims("key"), self.team.watch, SPANS, lambda asked: self.stored & set(asked),
            self.stored.__contains__, on_lost=self.team.name_lost,
        )  # fmt: skip
        self.sharing = Sharing(self.work, self.team)
        self.rounds = self.sharing.rounds()

    def store(self, spans: Iterator[Range] | None) -> list[Range]:
        """Store all that is given."""
        assert spans is not None
        found = []
        for span in spans:
            found.append(span)
            self.stored.add(span)
            self.work.finish(span)
        return found

    def ended(self) -> bool:
        return next(self.rounds, "ended") == "ended"


def far(rank: int, token: str = MINE) -> Owner:
    """A process of another machine: nothing but its sign of life tells whether it lives."""
    return Owner(f"{token}-{rank:05d}", rank, "faraway", 4711)


def test_the_first_process_waits_until_all_is_stored(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 0, far(1))
    assert shared.store(next(shared.rounds)) == SPANS[1:]
    assert next(shared.rounds) is None and next(shared.rounds) is None
    shared.stored.add(SPANS[0])
    assert shared.ended() and shared.sharing.complete and shared.work.news() == [SPANS[0]]


def test_another_process_does_not_wait_for_those_of_its_run(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 1, far(0))
    assert shared.store(next(shared.rounds)) == SPANS[1:]
    assert shared.ended() and not shared.sharing.complete


def test_another_process_is_never_the_one_that_says_that_all_is_there(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 1, far(0))
    shared.stored |= {*SPANS}
    assert shared.ended() and not shared.sharing.complete


def test_every_process_waits_for_those_of_other_commands(tmp_path: Path) -> None:
    """They may have been killed long ago."""
    shared = Shared(tmp_path, 1, far(0, ANOTHER_COMMAND))
    assert shared.store(next(shared.rounds)) == SPANS[1:] and next(shared.rounds) is None
    shared.now = LOST_SECONDS + 1
    with pytest.warns(Notice, match="rank 0 on faraway .* is lost: its clips are taken over"):
        assert shared.store(next(shared.rounds)) == SPANS[:1]
    assert shared.ended()


def test_what_another_gives_back_is_done_by_who_waits(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 0, far(1))
    assert shared.store(next(shared.rounds)) == SPANS[1:] and next(shared.rounds) is None
    shared.other.release(SPANS[0])
    assert shared.store(next(shared.rounds)) == SPANS[:1]
    assert shared.ended() and shared.sharing.complete


def test_the_first_process_takes_over_and_sees_what_others_stored_while_it_works(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 0, far(1))
    spans = next(shared.rounds)
    assert spans and next(spans) == SPANS[1]
    shared.stored.add(SPANS[2])
    shared.now = LOST_SECONDS + 1
    with pytest.warns(Notice, match="rank 1 on faraway"):
        assert next(spans) == SPANS[0]
    assert shared.work.news() == [SPANS[2]]


def test_the_first_process_of_many_looks_at_every_range(tmp_path: Path) -> None:
    """Its bar moves with what the others store."""
    shared = Shared(tmp_path, 0, far(1))
    shared.work.todo, shared.work.places = [(start, start + 1) for start in range(64)], 16
    spans = next(shared.rounds)
    assert spans and next(spans) == (4, 5) and list(shared.work.stripe) == [(20, 21)]
    shared.stored.add((9, 10))
    assert next(spans) == (20, 21) and shared.work.news() == [(9, 10)]


def test_the_first_process_ends_the_run_at_work_if_it_is_to_end(tmp_path: Path) -> None:
    """A process that holds nothing is missed as well."""
    shared = Shared(tmp_path, 0, far(1), on_lost="end")
    shared.other.release(SPANS[0])
    spans = next(shared.rounds)
    assert spans and next(spans) == SPANS[0]
    shared.now = LOST_SECONDS / 2
    assert next(spans) == SPANS[1]
    shared.now += LOST_SECONDS + 1
    with pytest.raises(LostRank, match=r"^rank 1 on faraway \(process 4711\) is lost, which ends the run"):
        next(spans)


def test_a_process_that_has_left_is_not_missed(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 0, far(1), on_lost="end")
    shared.other.release(SPANS[0])
    DiskFiles().remove(sign_path(shared.team.watch.folder, far(1).id))
    spans = next(shared.rounds)
    assert spans
    for span in SPANS:
        assert next(spans) == span
        shared.now += LOST_SECONDS + 1


def test_who_ends_in_the_midst_gives_back_what_it_holds(tmp_path: Path) -> None:
    shared = Shared(tmp_path, 0, far(1))
    spans = next(shared.rounds)
    assert spans and [next(spans), next(spans)] == SPANS[1:]
    shared.rounds.close()
    assert shared.other.held() == SPANS[:1]
