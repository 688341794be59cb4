"""Claims: which process works on which clips, so that several of them share the work and none does it twice.

    RUN/.claims/<key>/000064-000096.json   the owner of clips 64 to 95 of a source

A claim is a file that one process only can make. It goes when its clips are stored. That of a process which is lost is
moved aside by whoever sees it first; then the clips are free again, and one shard is all that was lost. Claims are
about time, never about values: should two processes work on the same clips, the later shard replaces an equal one.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path

from latte_eval.files.owners import BEAT_SECONDS, Owner, Watch
from latte_eval.files.shards import Range
from latte_eval.files.shared_files import SharedFiles
from latte_eval.files.whole_files import unfinished_path

# Time that a process gives to other work for each claim that it reads.
READING_SECONDS = 0.05

# So many processes read the folder again for every claim; with more, each claims several ranges between two readings.
MANY_PROCESSES = 8

# Which of some ranges are stored whole.
Stored = Callable[[Sequence[Range]], set[Range]]


@dataclass(frozen=True)
class Claims:
    """The claims on the clips of one source."""

    folder: Path
    me: Owner
    files: SharedFiles

    def path(self, span: Range) -> Path:
        return self.folder / f"{span[0]:06d}-{span[1]:06d}.json"

    def claim(self, span: Range) -> bool:
        """Whether a range is this process's own from now on. Raises `StoreError`."""
        return self.files.create(self.path(span), self.me.to_bytes())

    def release(self, span: Range) -> None:
        """Give a range back; a claim that was lost to another process stays as it is. Raises `StoreError`."""
        if self.files.read(self.path(span)) == self.me.to_bytes():
            self.files.remove(self.path(span))

    def held(self) -> list[Range]:
        """The ranges that are claimed by anybody, in order. Raises `StoreError`."""
        return sorted(span for name in self.files.names(self.folder) if (span := claimed_span(name)))

    def owner(self, span: Range) -> Owner | None:
        """Who holds a range; None where nobody does."""
        data = self.files.read(self.path(span))
        return None if data is None else owner_in(data)

    def take_away(self, span: Range, lost: Owner) -> bool:
        """Free a range whose owner is lost; False where another process did so, or holds it by now."""
        return take_away(self.files, self.path(span), lost)


def claimed_span(name: str) -> Range | None:
    """The range that a claim of this name is for; None for another file."""
    start, _, stop = name.removesuffix(".json").partition("-")
    return (int(start), int(stop)) if start.isdecimal() and stop.isdecimal() else None


def owner_in(data: bytes) -> Owner:
    """Who made a claim of these bytes; of one that was cut, somebody who never gives a sign of life."""
    return Owner.from_bytes(data) or Owner(f"cut-{hashlib.sha256(data).hexdigest()[:12]}", 0, "an unknown host", 0)


def take_away(files: SharedFiles, path: Path, lost: Owner) -> bool:
    """Delete the claim of an owner who is lost; False where another process did so, or holds it by now.

    It is moved aside before it is looked at once more: another process may have taken it over meanwhile.
    """
    aside = unfinished_path(path)
    if not files.move(path, aside):
        return False
    data = files.read(aside)
    if mistaken := data is not None and owner_in(data).id != lost.id:
        files.create(path, data or b"")
    files.remove(aside)
    return not mistaken


@dataclass
class SharedWork:
    """Ranges of clips that several processes store, each as it comes.

    Nothing here waits: who has nothing to do asks again later.

    Attributes:
        spans: the ranges, in the order in which they are to be claimed.
        stored: which of some ranges are stored, whoever did it.
        stored_now: whether a range is stored, as one of its own size; asked after every claim, and quick.
        place, places: which of how many processes this one is; at the start each looks at another range first.
        todo: ranges that are not known to be stored.
        mine: ranges that this process holds.
        by_others: ranges that others have stored, until somebody asks for them.
        stripe: ranges that this process tries before it looks again: a part of the free ones of the last look, no
            range of which is in the part of another process that saw the same.
    """

    claims: Claims
    watch: Watch
    spans: Sequence[Range]
    stored: Stored
    stored_now: Callable[[Range], bool]
    place: int = 0
    places: int = 1
    on_lost: Callable[[Owner], None] = lambda owner: None
    todo: list[Range] = field(init=False)
    mine: set[Range] = field(default_factory=set, init=False)
    by_others: list[Range] = field(default_factory=list, init=False)
    stripe: deque[Range] = field(default_factory=deque, init=False)
    watched_until: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        self.todo = list(self.spans)

    def take(self) -> Range | None:
        """Claim a free range; None where there is none at the moment. Raises `StoreError`."""
        refused = set[Range]()  # a claim of another need not be seen in the folder yet
        while (span := self.next_range(refused)) is not None:
            if self.claims.claim(span):
                self.mine.add(span)
                if not self.stored_now(span):
                    return span
                self.give_back(span)  # another process stored it since the last look
            refused.add(span)
        return None

    def next_range(self, refused: Iterable[Range]) -> Range | None:
        """What to try next: of the stripe, or after a look, which costs more the more processes there are."""
        if not self.stripe and (free := self.free(refused)):
            self.stripe.extend(free[self.place % len(free) :: self.places])
        return self.stripe.popleft() if self.stripe else None

    def free(self, refused: Iterable[Range] = ()) -> list[Range]:
        """The first ranges that nobody holds and nobody has stored; one per process, or several where there are many.

        Raises `StoreError`. They are of one size: larger ones are begun before smaller ones, whoever takes which.
        """
        held = self.claims.held()  # before the look at what is stored: what is in neither is free
        self.look()
        taken, merged = {*held, *self.mine, *refused}, Merged(held)
        free = (span for span in self.todo if span not in taken and not merged.overlaps(span))
        for _, alike in groupby(free, key=lambda span: span[1] - span[0]):
            return list(islice(alike, self.places * max(1, self.places // MANY_PROCESSES)))
        return []

    def look(self) -> bool:
        """Note what is stored by now; whether all is."""
        there = self.stored(self.todo)
        self.by_others += there - self.mine
        self.todo = [span for span in self.todo if span not in there]
        return not self.todo

    def news(self) -> list[Range]:
        """Ranges that others have stored, each once."""
        found, self.by_others = self.by_others, []
        return found

    def finish(self, span: Range) -> None:
        """A range of this process is stored."""
        self.give_back(span)
        if span in self.todo:
            self.todo.remove(span)

    def give_back(self, span: Range) -> None:
        if span in self.mine:
            self.claims.release(span)
            self.mine.discard(span)

    def give_all_back(self) -> None:
        """At an end of any kind: what is not stored is free for others."""
        for span in sorted(self.mine):
            self.give_back(span)

    def others(self) -> Iterator[tuple[Range, Owner]]:
        """Claims of others that are in the way of what is to be done, with their owners."""
        wanted = Merged(self.todo)
        for span in self.claims.held():
            if span not in self.mine and wanted.overlaps(span) and (owner := self.claims.owner(span)):
                yield span, owner

    def free_lost(self) -> list[Owner]:
        """Take claims away from processes that are lost, and name these; the others go on being watched.

        Where there are many claims, they are not read each time.
        """
        now, lost, many = self.watch.clock(), dict[str, Owner](), 0
        if now < self.watched_until:
            return []
        for many, (span, owner) in enumerate(self.others(), start=1):  # noqa: B007
            if self.watch.is_lost(owner) and self.claims.take_away(span, owner):
                lost[owner.id] = owner
        self.watched_until = now + min(BEAT_SECONDS, many * READING_SECONDS)
        for owner in lost.values():
            self.on_lost(owner)
        return list(lost.values())


class Merged:
    """Ranges, joined where they overlap or touch, which are asked quickly whether they overlap another."""

    def __init__(self, spans: Iterable[Range]):
        self.starts: list[int] = []
        self.stops: list[int] = []
        for start, stop in sorted(spans):
            if self.stops and start <= self.stops[-1]:
                self.stops[-1] = max(self.stops[-1], stop)
            else:
                self.starts.append(start)
                self.stops.append(stop)

    def overlaps(self, span: Range) -> bool:
        return bisect_left(self.starts, span[1]) > bisect_right(self.stops, span[0])
