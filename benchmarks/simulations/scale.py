"""How well 1 to 1,024 processes share the work, by the claiming code that the commands run.

    python benchmarks/simulations/scale.py

prints the Markdown table of docs/scale.md. `SharedWork`, `Claims` and `Watch` are those of `latte_eval.files`; the
clock, the file server and the clips are simulated. A file operation takes `--latency` seconds, and the file server does
`--operations` of them a second for all. A clip takes 5 seconds; one of a hundred processes is three times as slow
(at least one, where there are several). Efficiency is the time that all processes together would need if they ended at
the same moment, over the time until the last clip is stored. Starting the programs and measuring are not in it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from latte_eval.files.claims import Claims, SharedWork
from latte_eval.files.owners import BEAT_SECONDS, Owner, Watch
from latte_eval.files.run_folder import shard_ranges
from latte_eval.files.shards import SHARD_CLIPS, Range
from latte_eval.files.team import pauses

CLIP_SECONDS = 5.0
SLOWNESS = 3.0
NAMES_PER_OPERATION = 100
ALIVE = Path("alive")


@dataclass(frozen=True)
class Case:
    """What is simulated.

    Attributes:
        clips: of one evaluation.
        evaluations: one after the other in the same processes, as in a curve.
        slow: share of the processes that are `SLOWNESS` times as slow.
        dying: share of the processes that are killed on the way; never the first.
    """

    name: str
    clips: int
    evaluations: int = 1
    slow: float = 0.01
    dying: float = 0.0
    latency: float = 0.002


CASES = (
    Case("2,048 clips, no straggler", 2048, slow=0.0),
    Case("2,048 clips", 2048),
    Case("curve of 24 times 2,048 clips", 2048, 24),
    Case("curve of 48 times 2,048 clips", 2048, 48),
    Case("50,000 clips", 50_000),
    Case("50,000 clips, 1 % die", 50_000, dying=0.01),
    Case("50,000 clips, storage of 50 ms", 50_000, latency=0.05),
)


@dataclass
class Files:
    """A file server: names to bytes, and how long it takes. Signs of life are computed when they are read."""

    world: World
    folders: dict[Path, dict[str, bytes]] = field(default_factory=dict)
    waited: float = 0.0

    def work(self, operations: float) -> None:
        """Operations of one process: its own way to the server, and its place in the queue there."""
        world = self.world
        world.server_free = max(world.server_free, world.now) + operations / world.operations
        self.waited += operations * world.case.latency
        self.waited = max(self.waited, world.server_free - world.now)
        world.counted += operations

    def create(self, path: Path, data: bytes) -> bool:
        self.work(3)  # a file under another name, a link, and the other name deleted
        folder = self.folders.setdefault(path.parent, {})
        return folder.setdefault(path.name, data) is data

    def read(self, path: Path) -> bytes | None:
        self.work(1)
        if path.parent == ALIVE:
            return self.world.sign(path.stem)
        return self.folders.get(path.parent, {}).get(path.name)

    def replace(self, path: Path, data: bytes) -> None:
        self.work(2)
        self.folders.setdefault(path.parent, {})[path.name] = data

    def move(self, path: Path, to: Path) -> bool:
        self.work(1)
        data = self.folders.get(path.parent, {}).pop(path.name, None)
        if data is None:
            return False
        self.folders.setdefault(to.parent, {})[to.name] = data
        return True

    def remove(self, path: Path) -> None:
        self.work(1)
        self.folders.get(path.parent, {}).pop(path.name, None)

    def names(self, folder: Path) -> list[str]:
        found = list(self.folders.get(folder, ()))
        self.work(1 + len(found) / NAMES_PER_OPERATION)
        return found


@dataclass
class World:
    """Processes, their clock and what they stored."""

    case: Case
    workers: int
    operations: float
    seed: int = 0
    now: float = 0.0
    server_free: float = 0.0
    counted: float = 0.0
    lost: float = 0.0

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        ranks = list(range(self.workers))
        many = self.workers > 1
        self.slow = set(chance.sample(ranks, math.ceil(self.case.slow * self.workers) if many else 0))
        dying = chance.sample(ranks[1:], math.ceil(self.case.dying * self.workers) if many else 0)
        self.ends = {rank: chance.random() * self.ideal for rank in dying}
        self.files = Files(self)
        self.stored: list[set[Range]] = [set() for _ in range(self.case.evaluations)]
        self.spans = shard_ranges((0, self.case.clips), self.workers)

    @property
    def ideal(self) -> float:
        """Seconds in which all processes together make all clips, none of them ever idle."""
        speed = self.workers - len(self.slow) * (1 - 1 / SLOWNESS)
        return self.case.clips * self.case.evaluations * CLIP_SECONDS / speed

    def sign(self, owner: str) -> bytes:
        """The sign of life of a process: it changes until the process dies."""
        end = self.ends.get(int(owner.rpartition("-")[2]), math.inf)
        return str(int(min(self.now, end) / BEAT_SECONDS)).encode()

    def stored_in(self, evaluation: int) -> Callable[[Sequence[Range]], set[Range]]:
        there = self.stored[evaluation]

        def stored(spans: Sequence[Range]) -> set[Range]:
            self.files.work(1 + len(there) / NAMES_PER_OPERATION)
            return there.intersection(spans)

        return stored

    def stored_now_in(self, evaluation: int) -> Callable[[Range], bool]:
        def stored_now(span: Range) -> bool:
            self.files.work(1)
            return span in self.stored[evaluation]

        return stored_now

    def work_of(self, rank: int, evaluation: int) -> SharedWork:
        """The work of one process in one evaluation: the code that commands run."""
        owner = Owner(f"run-{rank:05d}", rank, f"host {rank // 8}", 1)
        claims = Claims(Path(str(evaluation)), owner, self.files)
        watch = Watch(ALIVE, self.files, lambda: self.now)
        seen, now = self.stored_in(evaluation), self.stored_now_in(evaluation)
        return SharedWork(claims, watch, self.spans, seen, now, rank, self.workers)

    def spent(self) -> float:
        """Seconds that the operations since the last call took this process."""
        seconds, self.files.waited = self.files.waited, 0.0
        return seconds

    def life(self, rank: int) -> Iterator[float]:
        """What a process does, as the seconds of each step; in the order of `latte_eval.files.sharing`."""
        for evaluation in range(self.case.evaluations):
            work = self.work_of(rank, evaluation)
            waits = pauses()
            while True:
                if rank == 0:
                    if work.stripe:
                        work.look()
                    work.free_lost()
                span = work.take()
                yield self.spent()
                if span is not None:
                    yield from self.store(rank, evaluation, work, span)
                    waits = pauses()
                elif rank or work.look():
                    break
                else:
                    yield self.spent() + next(waits)

    def store(self, rank: int, evaluation: int, work: SharedWork, span: Range) -> Iterator[float]:
        seconds = (span[1] - span[0]) * CLIP_SECONDS * (SLOWNESS if rank in self.slow else 1)
        end = self.ends.get(rank, math.inf)
        self.lost += max(0.0, end - self.now) if self.now + seconds > end else 0.0
        yield seconds
        self.stored[evaluation].add(span)
        work.finish(span)
        yield self.spent()

    def run(self) -> float:
        """Seconds until everything is stored and the first process knows it."""
        lives = [self.life(rank) for rank in range(self.workers)]
        due = [(0.0, rank) for rank in range(self.workers)]
        while due:
            self.now, rank = heapq.heappop(due)
            if self.now > self.ends.get(rank, math.inf):
                continue
            pause = next(lives[rank], None)
            if pause is not None:
                heapq.heappush(due, (self.now + pause, rank))
            elif rank == 0:
                return self.now
        raise AssertionError


def dealt(case: Case, world: World) -> float:
    """Seconds if shards of 32 clips were dealt out beforehand, and all waited for each other after an evaluation."""
    sizes = [stop - start for start, stop in shard_ranges((0, case.clips))]
    slowest = max(
        sum(sizes[rank :: world.workers]) * (SLOWNESS if rank in world.slow else 1) for rank in range(world.workers)
    )
    return slowest * CLIP_SECONDS * case.evaluations


def row(case: Case, workers: int, operations: float) -> str:
    """One line of the table."""
    world = World(case, workers, operations)
    seconds, before = world.run(), dealt(case, world)
    total = case.clips * case.evaluations * CLIP_SECONDS
    shown = "-" if case.dying else f"{world.ideal / before:.0%}"
    cells = (case.name, f"{workers:,}", f"{seconds / 60:,.1f}", f"{world.ideal / seconds:.1%}", shown,
             f"{world.lost / total:.2%}", f"{world.counted / seconds:,.0f}")  # fmt: skip
    return f"| {' | '.join(cells)} |"


@click.command()
@click.option("--workers", default="1,8,64,256,1024", show_default=True, help="Numbers of processes, with commas.")
@click.option("--only", default="", help="Cases whose name holds this text.")
@click.option("--operations", default=20_000.0, show_default=True, help="Of the file server a second, for all.")
def main(workers: str, only: str, operations: float) -> None:
    """Print how well processes share the work."""
    click.echo(f"A clip takes {CLIP_SECONDS:g} s, shards have at most {SHARD_CLIPS} clips.\n")
    click.echo("| work | processes | minutes | efficiency | dealt out | lost work | operations/s |")
    click.echo("| --- | --: | --: | --: | --: | --: | --: |")
    for case in (each for each in CASES if only in each.name):
        for count in map(int, workers.split(",")):
            click.echo(row(case, count, operations))


if __name__ == "__main__":
    main()
