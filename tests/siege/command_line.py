"""The command line: options that exist, with values that nobody foresaw; each ends with a known status and one line."""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

import click

from latte_eval.cli import COMMANDS
from latte_eval.core.statuses import Status
from siege.siege import Siege, Wrong, main
from siege.toy_runs import Ended, Toys, begin, copy, finish, prepare

# A command that works longer than this is stopped with SIGTERM, and must say so.
SECONDS = 4.0
LEFT = ("run", "accepted.jsonl", "accepted.features", "real.safetensors")
FILES = (
    "toy.pt", "videos", "videos/0.mp4", *LEFT, "run/results.jsonl", "run/features", "nothing", "nothing/below", ".",
    "empty", "broken.jsonl", "folder", "odd\udc80", "out", "out.safetensors", "-", "~",
    "~nobody/x", "x" * 300, "a/" * 3000, "hf://", "hf://a/b", "hf://a/b/c@d", "https://127.0.0.1:1/x", "demo", "auto",
    "identity", "vae-seeded",
)  # fmt: skip
ODD = (
    "", " ", "0", "-1", "1", "2", "3", "1e400", "-1e400", "nan", "inf", "-inf", "1.5", "9" * 400, "0x10", "\u0661",
    "\u00b2", "1,2", ",", "a,b", "0.3,5", "5,0.3", "=", "a=b", "frames=4", "frames=", "size=-1", "size=1000000",
    "frames=10**9", "real_clips=0", "labels=odd", "gap", "gap:+1", "gap:-1", "gap:+1%", "gap:nan", "gap:+inf", "gap:",
    ":+1", "fvd:+3%", "None", "true", "\n", "\x1b[31m", "\u202e", "\U0001f600", "\udc80", "%s%n", "{0}", "--", "-h",
    "'", "stripes", "toy", "halving", "colours", "clean", "latte", "seeded", "shapes", "ucf101", "cpu", "cuda",
    "cuda:99", "meta", "mps", "json", "csv", "ema", "os:system", "os", "sys:exit", "json:loads", "no.such:thing",
)  # fmt: skip


def trial(toys: Toys, chance: random.Random, folder: Path) -> str:
    make_folder(toys, folder)
    words = drawn_words(chance)
    child = begin(folder, words)
    ended = stopped_in_time(child, folder)
    try:
        return judged(ended)
    except Wrong as error:
        raise Wrong(f"{words!r}: {error}"[:480]) from error


def make_folder(toys: Toys, folder: Path) -> None:
    toys.begin_in(folder, *LEFT)
    (folder / "empty").write_bytes(b"")
    (folder / "broken.jsonl").write_bytes(b'{"schema": 1, "metric"\n\xff\xfe\n')
    (folder / "folder").mkdir()


def drawn_words(chance: random.Random) -> list[str]:
    """A command with some of its options, their values as they should be, or not."""
    name = chance.choice(list(COMMANDS))
    command, words = resolved(name), [name]
    while isinstance(command, click.Group) and command.commands and chance.random() < 0.8:
        inner = chance.choice(sorted(command.commands))
        command = command.commands[inner]
        words.append(inner)
    options = [each for each in command.params if isinstance(each, click.Option)]
    for option in chance.sample(options, min(len(options), chance.choice((0, 1, 2, 3, 5, 8)))):
        words += option_words(option, chance)
    for argument in command.params:
        if isinstance(argument, click.Argument) and chance.random() < 0.9:
            words += [value_for(argument, chance) for _ in range(chance.choice((1, 1, 2)) if argument.nargs < 0 else 1)]
    if chance.random() < 0.1:
        words.insert(chance.randrange(len(words) + 1), chance.choice(ODD))
    return words


def resolved(name: str) -> Any:
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(module), attribute)


def option_words(option: click.Option, chance: random.Random) -> Iterator[str]:
    """An option as it is typed."""
    flag = chance.choice([*option.opts, *option.secondary_opts])
    if option.is_flag:
        yield flag
    elif chance.random() < 0.2:
        yield f"{flag}={value_for(option, chance)}"
    else:
        yield from (flag, value_for(option, chance))


def value_for(parameter: click.Parameter, chance: random.Random) -> str:
    """A value of the kind that a parameter takes, or of any other."""
    kind = parameter.type
    if isinstance(kind, click.Choice) and chance.random() < 0.7:
        return str(chance.choice(list(kind.choices)))
    if isinstance(kind, click.Path) and chance.random() < 0.8:
        return chance.choice(FILES)
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType) and chance.random() < 0.5:
        return str(chance.choice((0, 1, 2, 4, 6, 40, -3, 10**9, 2**63, 0.5, 1e-300, 1e300)))
    return chance.choice((*ODD, *FILES))


def stopped_in_time(child: int, folder: Path) -> Ended:
    """Wait for a command; after `SECONDS` it is asked to end."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGTERM)
    return finish(child, folder)


def judged(ended: Ended) -> str:
    """The outcome. Raises `Wrong` for a status that is not in the table, a traceback, or no single line of error."""
    last = ended.err.strip()[-250:]
    if ended.status not in list(Status) or ended.status == Status.FAULT:
        raise Wrong(f"status {ended.status}: {last}")
    if "Traceback" in ended.out + ended.err:
        raise Wrong(f"a traceback: {last}")
    if ended.status == Status.REGRESSION and "gap" not in ended.out:
        raise Wrong(f"status 1 of no gate: {last}")
    if ended.status == Status.USAGE and ended.err.startswith("Usage: ") and "Error: " not in ended.err:
        return "refused"  # a group without a command shows its help
    errors = [line for line in ended.err.splitlines() if line.startswith(("Error: ", "Stopped"))]
    if len(errors) > 1 or (not errors and ended.status in (Status.USAGE, Status.FAILED) and not ended.out):
        raise Wrong(f"status {ended.status} with {len(errors)} lines of error: {last}")
    if ended.status == Status.TERMINATED:
        return "stopped"
    return "done" if ended.status == Status.OK else "refused"


def prepare_commands(folder: Path) -> Toys:
    for name in COMMANDS:
        resolved(name)  # forked processes need not import them
    toys = prepare(folder)
    copy(folder / "run" / "results.jsonl", folder / "one.jsonl")
    return toys


OUTCOMES = ("done", "refused", "stopped")
SIEGE = Siege("command line", trial, OUTCOMES, prepare_commands, trials=1000, seconds=30, memory=2**33)

if __name__ == "__main__":
    main(SIEGE)
