"""The processes of one run: they see the same run folder, wait for the first of them by files, and name who is lost.

    RUN/.claims/told/<token>/<name>.json   what one process tells the others

There are no collective calls: who dies holds up nobody but those who wait for it, and these see that it is lost.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import latte_eval
from latte_eval.core.errors import LatteEvalError, LostRank, RanksDiffer, StoreError
from latte_eval.core.notices import notice
from latte_eval.core.processes import gathered, host, rank, run_token, world_size
from latte_eval.files.claims import Claims
from latte_eval.files.owners import ALIVE, CLAIMS, LOST_SECONDS, Owner, SignOfLife, Watch, forget_old_files, sign_path
from latte_eval.files.shared_files import DiskFiles

OnLost = Literal["survive", "end"]

# What becomes of a run that loses one of its processes; the first is the default.
ON_LOST: tuple[OnLost, ...] = ("survive", "end")

# How long a file may take until all see it; NFS looks into a folder again after 60 seconds at most.
SHARED_SECONDS = 75.0
SLOWEST_LOOK = 2.0


@dataclass
class Team:
    """The processes of one run in one folder; a single process is a team of one.

    Attributes:
        on_lost: whether the others go on without a process that is lost, or end.
        home: the folder in which all of them were seen at the start; one that is slow comes later to another.
        watch: of all who work in this folder.
        members: of those of this run, in their home.
    """

    run: Path
    token: str
    rank: int = 0
    size: int = 1
    on_lost: OnLost = "survive"
    home: Path | None = None
    me: Owner = field(init=False)
    watch: Watch = field(init=False)
    members: Watch = field(init=False)
    named: set[str] = field(default_factory=set, init=False)
    counts: dict[str, int] = field(default_factory=dict, init=False)
    checked: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.me, self.watch = Owner.here(self.token, self.rank), Watch(self.run / CLAIMS / ALIVE)
        self.members = Watch(self.home / CLAIMS / ALIVE) if self.home else self.watch

    @contextmanager
    def present(self) -> Iterator[None]:
        """Show a sign of life to other commands in this folder; the processes of a launcher do so to their end."""
        if self.size > 1:
            yield
            return
        with SignOfLife(self.watch.folder, self.me):
            yield

    def claims(self, key: str) -> Claims:
        """The claims on the clips of one source."""
        return Claims(self.run / CLAIMS / key, self.me, DiskFiles())

    def has(self, owner: Owner) -> bool:
        """Whether a process belongs to this run."""
        return owner.id.rpartition("-")[0] == self.token

    def number(self, name: str) -> str:
        """A name with how often this process asked for it: the same in all processes, for they do the same in turn."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return f"{name} {self.counts[name]}"

    def told_path(self, name: str) -> Path:
        return self.run / CLAIMS / "told" / self.token / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"

    def tell(self, name: str, message: Mapping[str, Any]) -> bool:
        """Say something under a name; False where it was said already. Raises `StoreError`."""
        return DiskFiles().create(self.told_path(name), json.dumps({"name": name, **message}).encode())

    def told(self, name: str) -> dict[str, Any] | None:
        """What was said under a name; None where nothing was, or is being said right now. Raises `StoreError`."""
        try:
            found: dict[str, Any] | None = json.loads(DiskFiles().read(self.told_path(name)) or b"null")
        except ValueError:
            return None
        return found

    @contextmanager
    def first(self, name: str) -> Iterator[dict[str, Any]]:
        """What the first process finds out, in JSON types: it puts that into the record, the others find it there.

            with team.first("points") as said:
                if team.rank == 0:
                    said["points"] = find_points()

        Args:
            name: not used before in this run.

        Raises:
            LostRank: the first process is lost, or could not do it; it says why itself.
        """
        if self.rank:
            said = self.wait_for(name, self.member(0))
            if "error" in said:
                raise LostRank(f"rank 0 gave up: {said['error']}", told_by_another=True)
            yield said
            return
        found: dict[str, Any] = {}
        try:
            yield found
        except LatteEvalError as error:
            found = {"error": str(error)}
            raise
        finally:
            if self.size > 1 and found:
                self.tell(name, found)

    @contextmanager
    def in_turn(self, name: str) -> Iterator[None]:
        """Around what each process does for itself, such as opening weights that are downloaded on first use.

        One process does it first, then one of every machine, which may have a cache of its own, then all others. Who
        comes first is first: nobody waits for one that is at work on something else.
        """
        for stage in (name, f"{name} on {host()}") if self.size > 1 else ():
            if self.tell(f"{stage} begun", {"owner": self.me.id}):
                try:
                    yield
                finally:
                    self.tell(f"{stage} ended", {})
                return
            self.wait_until_ended(stage)
        yield

    def wait_until_ended(self, stage: str) -> None:
        """Wait for the process that began something; one that is lost is not waited for."""
        while (begun := self.told(f"{stage} begun")) is None:
            time.sleep(0.05)
        try:
            self.wait_for(f"{stage} ended", self.member(int(begun["owner"].rpartition("-")[2])))
        except LostRank:
            if self.on_lost == "end":
                raise

    def wait_for(self, name: str, by: Owner) -> dict[str, Any]:
        """What a process says under a name, once it does. Raises `LostRank` where it is lost."""
        for _ in self.looks():
            if (said := self.told(name)) is not None:
                return said
            if by.ended_here:
                raise LostRank(f"{by.name} was killed; the same command continues")
            if self.members.silence(by.id) > LOST_SECONDS:
                raise LostRank(f"{by.name} was not heard of for {LOST_SECONDS:.0f} s; the same command continues")
            if self.members.has_left(by.id) and self.told(name) is None:
                raise LostRank(f"{by.name} has ended; the same command continues", told_by_another=True)
        raise AssertionError

    def looks(self) -> Iterator[None]:
        """Something to be looked at again and again, ever more slowly."""
        for pause in pauses():
            yield
            self.check_all_there()
            time.sleep(pause)

    def member(self, number: int) -> Owner:
        """A process of this run, as far as its sign of life says who it is."""
        id_ = f"{self.token}-{number:05d}"
        data = DiskFiles().read(sign_path(self.members.folder, id_)) or b""
        return Owner.from_bytes(data.partition(b"\n")[0]) or Owner(id_, number, "an unknown host", 0)

    def name_lost(self, owner: Owner) -> None:
        """Tell once that a process is lost. Raises `LostRank` where it was one of this run, which is to end then."""
        text = f"{owner.name} is lost"
        if self.has(owner) and self.on_lost == "end":
            raise LostRank(f"{text}, which ends the run (--on-lost end); the same command continues")
        if owner.id not in self.named:
            self.named.add(owner.id)
            notice(f"{text}: its clips are taken over")

    def check_all_there(self) -> None:
        """Raise `LostRank` where one of this run is lost which is to end then; the first process looks."""
        if self.on_lost != "end" or self.rank or self.size == 1 or self.watch.clock() - self.checked < LOST_SECONDS / 4:
            return
        self.checked = self.watch.clock()
        for number in range(1, self.size):
            if not self.members.has_left(f"{self.token}-{number:05d}"):
                owner = self.member(number)
                if self.members.is_lost(owner):
                    self.name_lost(owner)

    def check_same(self, name: str, facts: Mapping[str, Any]) -> None:
        """Raise `RanksDiffer` where another process of this run says otherwise under the same name.

        Nobody waits: the first to come says what the others compare with.
        """
        if self.size == 1 or self.tell(name, {"owner": self.me.id, "facts": facts}):
            return
        while (said := self.told(name)) is None:
            time.sleep(0.05)
        other = self.member(int(said["owner"].rpartition("-")[2]))
        ours = json.loads(json.dumps(facts))
        if wrong := [key for key in ours if ours[key] != said["facts"].get(key)]:
            key = wrong[0]
            raise RanksDiffer(
                f"{key} is {ours[key]} on {self.me.name} and {said['facts'].get(key)} on {other.name}: "
                "give every rank the same files and the same command"
            )


def pauses() -> Iterator[float]:
    """Seconds between looks at something: a quarter of the time since the first one, roughly, and at most two."""
    pause = 0.02
    while True:
        yield pause
        pause = min(SLOWEST_LOOK, pause * 1.3)


# Teams of the processes of a launcher, which stay until their end.
TEAMS: dict[tuple[str, int], Team] = {}


def team_at(run: Path, on_lost: OnLost | None = None) -> Team:
    """The processes of this run, in a folder that all of them see.

    Args:
        on_lost: what to do if a process is lost; None leaves it as it was said before.

    Raises:
        RanksDiffer: they have other versions of latte-eval, or other folders under one name.
        StoreError: the folder cannot be written.
    """
    if world_size() == 1:
        return Team(run, uuid.uuid4().hex[:16], on_lost=on_lost or ON_LOST[0])
    key = str(run.absolute()), os.getpid()
    if key not in TEAMS:
        TEAMS[key] = join(run, on_lost or ON_LOST[0])
    if on_lost:
        TEAMS[key].on_lost = on_lost
    return TEAMS[key]


def join(run: Path, on_lost: OnLost) -> Team:
    """Show a sign of life in a folder and see those of all others; each process of a launcher does so once."""
    home = next(iter(TEAMS.values())).run if TEAMS else None
    team = Team(run, run_token(), rank(), world_size(), on_lost, home)
    sign = SignOfLife(team.watch.folder, team.me)
    sign.__enter__()
    atexit.register(sign.__exit__)
    if TEAMS:
        known = next(iter(TEAMS.values()))
        known.check_same(known.number("folder"), {f"the inode of the run folder {run}": run.stat().st_ino})
    else:
        check_versions()
        check_shared(team)
    if team.rank == 0:
        forget_old_files(run / CLAIMS, sign_path(team.watch.folder, team.me.id))
    return team


def check_versions() -> None:
    """Raise `RanksDiffer`, in every process, where they run different versions of latte-eval."""
    said = gathered("versions", [latte_eval.__version__, host()])
    for number, (version, place) in enumerate(said):
        if version != said[0][0]:
            raise RanksDiffer(
                f"latte-eval is {version} on rank {number} ({place}) and {said[0][0]} on rank 0 ({said[0][1]}): "
                "install one version everywhere", told_by_another=rank() > 0,
            )  # fmt: skip


def check_shared(team: Team) -> None:
    """Raise `RanksDiffer`, in every process, unless each sees what the first one wrote, and the first what each did."""
    places = gathered("places", [host(), str(team.run.absolute())])
    wanted = [0] if team.rank else list(range(team.size))
    said = gathered("unseen", unseen(team, wanted))
    lost = sorted({*said[0], *(number for number, each in enumerate(said) if number and each)})
    if lost:
        place, path = places[lost[0]]
        raise RanksDiffer(
            f"the run folder is not shared: {path} of rank {lost[0]} on {place} is not {places[0][1]} of rank 0 on "
            f"{places[0][0]}. Give --out RUN, or set LATTE_EVAL_CACHE, in a file system that all ranks see",
            told_by_another=team.rank > 0,
        )


def unseen(team: Team, numbers: list[int]) -> list[int]:
    """Processes whose sign of life does not appear in the run folder."""
    deadline, left = time.monotonic() + SHARED_SECONDS, numbers
    while left and time.monotonic() < deadline:
        try:
            there = set(DiskFiles().names(team.watch.folder))
        except StoreError:
            there = set()
        if left := [each for each in left if f"{team.token}-{each:05d}.json" not in there]:
            time.sleep(0.2)
    return left


def ranks_on_this_machine() -> int:
    """How many processes of this run are here."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


os.register_at_fork(after_in_child=TEAMS.clear) if hasattr(os, "register_at_fork") else None
