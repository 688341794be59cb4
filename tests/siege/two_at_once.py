"""Two at once: two to four commands share a run folder and an accepted file; none loses, doubles or tears anything."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from latte_eval.files.run_folder import FEATURES, PREVIEWS
from siege.damage import damage
from siege.kills import check_accepted
from siege.siege import Siege, Wrong, main
from siege.toy_runs import (
    ACCEPT,
    EVALUATE,
    Ended,
    Toys,
    begin,
    check_said,
    check_same,
    copy,
    finish,
    prepare,
    results_of,
)


def trial(toys: Toys, chance: random.Random, folder: Path) -> str:
    toys.begin_in(folder)
    return chance.choice((measuring, measuring, measuring_seeds, accepting))(toys, chance, folder)


def together(chance: random.Random, folder: Path, commands: list[tuple[str, ...]]) -> list[Ended]:
    """Run commands beside each other, each begun up to a moment later, some with one number of process for all."""
    children = []
    for number, words in enumerate(commands):
        pause, same = chance.choice((0.0, 0.0, chance.random() * 0.3)), chance.random() < 0.5
        children.append(begin(folder, words, f"said{number}", before=later(pause, same)))
    return [finish(child, folder, f"said{number}") for number, child in enumerate(children)]


def later(pause: float, same: bool) -> Callable[[], object]:
    """As in containers, where every first process has the number 1."""

    def wait() -> None:
        if same:
            os.getpid = lambda: 1
        time.sleep(pause)

    return wait


def measuring(toys: Toys, chance: random.Random, folder: Path) -> str:
    """The same request from several processes, some of it there already, perhaps damaged."""
    if chance.random() < 0.5:
        for kind in (FEATURES, PREVIEWS):
            copy(toys.folder / "run" / kind, folder / "run" / kind)
        paths = sorted((folder / "run" / "features").rglob("*.safetensors"))
        for path in chance.sample(paths, chance.randint(0, len(paths))):
            damage(path, chance)
    return compared(toys, folder, together(chance, folder, [EVALUATE] * chance.choice((2, 2, 4))))


def compared(toys: Toys, folder: Path, ends: list[Ended]) -> str:
    asked = [ended for ended in ends if ended.status == 5 and "run the same command again" in ended.err]
    for ended in ends:
        check_said(ended, [5] if ended in asked else [0])
    if len(asked) == len(ends):
        raise Wrong(f"none came to its end: {ends[0].err[-300:]}")
    check_same(folder / "run", toys.folder / "run")
    return "one asked for a second run" if asked else "all the same"


def measuring_seeds(toys: Toys, chance: random.Random, folder: Path) -> str:
    """Requests of different seeds: a line each."""
    seeds = [str(seed) for seed in range(chance.choice((2, 3)))]
    for ended in together(chance, folder, [(*EVALUATE, "--seed", seed) for seed in seeds]):
        check_said(ended, [0])
    found, (reference,) = results_of(folder / "run"), results_of(toys.folder / "run")
    if len(found) != len(seeds) or len({each["value"] for each in found}) != len(seeds) or reference not in found:
        raise Wrong(f"{len(found)} results of {len(seeds)} requests")
    return "all the same"


def accepting(toys: Toys, chance: random.Random, folder: Path) -> str:
    """A run is accepted into one file by several people: a line each."""
    copy(toys.folder / "run", folder / "run")
    count = chance.choice((2, 4))
    for ended in together(chance, folder, [ACCEPT] * count):
        check_said(ended, [0])
    if (lines := len((folder / "accepted.jsonl").read_text().splitlines())) != count:
        raise Wrong(f"{lines} accepted lines of {count}")
    check_accepted(toys.folder, folder)
    return "all the same"


SIEGE = Siege("two at once", trial, ("all the same", "one asked for a second run"), prepare, trials=300, seconds=180)

if __name__ == "__main__":
    main(SIEGE)
