"""Disk: it is full, or fails, at a byte or a call of a command; nothing is torn or lost, and the command continues."""

from __future__ import annotations

import errno
import io
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from siege.kills import CHECKS, COMMANDS
from siege.siege import Siege, Wrong, main
from siege.toy_runs import EVALUATE, Toys, check_said, copy, drawn, prepare, results_of, run

# What a full or failing disk answers.
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)
EVENTS = ("os.rename", "os.mkdir", "os.remove", "os.truncate", "open")


def trial(toys: Toys, chance: random.Random, folder: Path) -> str:
    name = chance.choices(list(COMMANDS), (6, 2, 3))[0]
    toys.begin_in(folder, *(["run"] if name == "gate" else []))
    if name == "evaluate":
        begin_with_another(toys, folder)
    if name == "gate" and chance.random() < 0.5:
        for left in ("accepted.jsonl", "accepted.features"):
            copy(toys.folder / left, folder / left)
    kept = lines_in(folder)
    ended = run(folder, *COMMANDS[name], before=chance.choice((full, small_files, failing))(chance, folder))
    check_said(ended, [0, 5])
    check_kept(kept, folder, name)
    if name == "evaluate":
        (folder / "run" / "results.jsonl").write_text("".join(lines_in(folder).get("run/results.jsonl", [])[1:]))
    check_said(run(folder, *COMMANDS[name]), [0])
    CHECKS[name](toys.folder, folder)
    return "failed and continued" if ended.status else "done"


def begin_with_another(toys: Toys, folder: Path) -> None:
    """The run folder holds a result of another metric's name, which must stay."""
    (folder / "run").mkdir()
    copy(toys.folder / "run" / "results.jsonl", folder / "run" / "results.jsonl")
    check_said(run(folder, *EVALUATE, "--seed", "1", "--clips", "4"), [0])
    first = (folder / "run" / "results.jsonl").read_text().splitlines(keepends=True)[-1]
    (folder / "run" / "results.jsonl").write_text(first)
    for kind in ("features", "previews"):
        for path in sorted((folder / "run" / kind).rglob("*.safetensors")):
            path.unlink()


def lines_in(folder: Path) -> dict[str, list[str]]:
    """The lines of every file of lines, each with its end."""
    found = [*folder.glob("*.jsonl"), *folder.glob("run/*.jsonl")]
    return {str(path.relative_to(folder)): path.read_text().splitlines(keepends=True) for path in found}


def check_kept(before: dict[str, list[str]], folder: Path, name: str) -> None:
    """Raise `Wrong` for a line that was there and is not, or one that is torn."""
    after = lines_in(folder)
    for file, lines in before.items():
        if after.get(file, [])[: len(lines)] != lines:
            raise Wrong(f"{file} lost a line")
    if torn := [file for file, lines in after.items() if any(not line.endswith("}\n") for line in lines)]:
        raise Wrong(f"{torn[0]} holds half a line")
    if name == "evaluate":
        results_of(folder / "run")


class Full(io.FileIO):
    """A file on a disk that has room for so many bytes more, in all its files together."""

    room = 0
    error = errno.ENOSPC

    def write(self, data: Any) -> int:
        part = memoryview(data).cast("B")[: Full.room]
        if not part and len(memoryview(data)):
            raise OSError(Full.error, os.strerror(Full.error))
        Full.room -= len(part)
        return super().write(part)


def full(chance: random.Random, folder: Path) -> Callable[[], object]:
    """The disk is full after so many bytes."""
    room, error, plain = int(2 ** chance.uniform(0, 15)), chance.choice(ERRORS[:2]), Path.open

    def limited(path: Path, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        if "b" not in mode or mode == "rb" or not path.absolute().is_relative_to(folder):
            return plain(path, mode, buffering, *more, **named)
        raw = Full(path, mode.replace("b", ""))
        return raw if buffering == 0 else io.BufferedWriter(raw)

    def fill() -> None:
        Full.room, Full.error = room, error
        Path.open = limited  # type: ignore[method-assign,assignment]

    return fill


def small_files(chance: random.Random, folder: Path) -> Callable[[], object]:
    """No file may be larger than this: the system itself writes a part and then refuses."""
    size = int(2 ** chance.uniform(9, 13))  # an error itself has some 300 bytes

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return limit


def failing(chance: random.Random, folder: Path) -> Callable[[], object]:
    """One call that changes the folder fails; sometimes all that follow fail too."""
    at, error, lasts = drawn(chance, 60), chance.choice(ERRORS), chance.random() < 0.5
    count = 0

    def fail(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in EVENTS or not changes(event, arguments, folder):
            return
        count += 1
        if count == at or (lasts and count > at):
            raise OSError(error, os.strerror(error))

    return lambda: sys.addaudithook(fail)


def changes(event: str, arguments: tuple[Any, ...], folder: Path) -> bool:
    """Whether a call changes something in a trial's folder."""
    if not isinstance(arguments[0], str | os.PathLike):
        return False
    if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return False
    path = Path(arguments[0]).absolute()
    return path.is_relative_to(folder) and not path.name.startswith("said.")


SIEGE = Siege("disk", trial, ("failed and continued", "done"), prepare, trials=500, seconds=120)

if __name__ == "__main__":
    main(SIEGE)
