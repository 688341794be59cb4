"""Work that processes share: each claims what is free, stores it, and the first waits until all is there."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from latte_eval.files.claims import SharedWork
from latte_eval.files.shards import Range
from latte_eval.files.team import Team


@dataclass
class Sharing:
    """One process at shared work. Whoever stores the ranges asks for them; nothing here calls it back.

    Attributes:
        complete: whether everything is stored, once `rounds` has ended; False in a process that need not wait until
            then, for the first process of its run does.
    """

    work: SharedWork
    team: Team
    complete: bool = field(default=False, init=False)

    def rounds(self) -> Generator[Iterator[Range] | None]:
        """Ranges to be stored, as often as some are free; None at each look while there is nothing to do but wait.

        At an end of any kind, what this process holds is given back. Raises `StoreError` and `LostRank`.
        """
        try:
            while not self.work.look():
                yield self.claimed()
                for _ in self.team.looks():
                    if self.work.look() or self.work.free() or self.work.free_lost():
                        break
                    if self.need_not_wait():
                        return
                    yield None
            self.complete = self.team.rank == 0
        finally:
            self.work.give_all_back()

    def claimed(self) -> Iterator[Range]:
        """Ranges for this process, each claimed when it is asked for, until none is free."""
        while True:
            if self.team.rank == 0:
                self.team.check_all_there()
                if self.work.stripe:  # else `take` looks; its bar shows what others have stored
                    self.work.look()
                self.work.free_lost()
            if (span := self.work.take()) is None:
                return
            yield span

    def need_not_wait(self) -> bool:
        """Whether the first process waits for all who are at work.

        It does what is left of those that are lost. The others wait only for processes of other commands, which may
        have been killed long ago and left much.
        """
        return self.team.rank > 0 and all(self.team.has(owner) for _, owner in self.work.others())
