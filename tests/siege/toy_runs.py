"""Whole commands for sieges: on toy clips, each in a forked process of its own, which may be killed at any step."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from media_makers import moving_frames, write_video
from toy_rows import CONFIG, ROWS

from latte_eval.cli import main
from latte_eval.compare.results import load_results
from latte_eval.core.statuses import Status
from latte_eval.files.environment import code_record, machine_record
from latte_eval.files.run_folder import FEATURES, PREVIEWS, measured
from latte_eval.sampler.latte import Latte
from siege.siege import Wrong

# Calls at which the disk changes, or may change.
STEPS = {"write", "fsync", "open", "rename", "replace", "unlink", "remove", "mkdir", "truncate", "flock", "close"}

STOPPED = "Stopped"
EVALUATE = ("evaluate", "--metrics", "gap", "--ckpt", "toy.pt", "--heads", "4", "--benchmark", "stripes",
            "--clips", "40", "--out", "run", "--device", "cpu", "--quiet")  # fmt: skip
STATS = ("stats", "--metrics", "gap", "--real", "videos", "--protocol", "toy", "--param", "frames=4", "--out",
         "real.safetensors", "--device", "cpu", "--quiet")  # fmt: skip
ACCEPT = ("gate", "accept", "run", "--into", "accepted.jsonl", "--why", "siege")
GATE = ("gate", "--results", "run", "--against", "accepted.jsonl", "--fail", "gap:+1", "--json", "--quiet")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: negative where a signal ended it.
        steps: how often it came to one of `STEPS`, if it ended by itself.
    """

    status: int
    out: str
    err: str
    steps: int = 0


@dataclass
class Steps:
    """Counts the calls of `STEPS`, before and after each; at number `at`, `strike` is called."""

    at: int | None = None
    strike: Callable[[], object] = lambda: None
    count: int = 0

    def __call__(self, frame: FrameType, event: str, what: Any) -> None:
        if event in ("c_call", "c_return") and what.__name__ in STEPS:
            self.count += 1
            if self.count == self.at:
                self.strike()


def register_toys() -> None:
    """Add the toy rows in this process, if they are not there."""
    for registry, name, row in ROWS:
        if name not in registry:
            registry.register(name, row)


def begin(folder: Path, words: Sequence[str | Path], name: str = "said", before: Callable[[], object] = int) -> int:
    """Start a command in a folder, in a forked process; its number.

    Args:
        name: begins the names of the files that take what it says.
        before: called in the process first.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status, counted = 98, Steps()
    try:
        surround(folder, folder / name)
        register_toys()
        sys.setprofile(counted)
        before()
        sys.argv = ["latte-eval", *map(str, words)]
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python begins
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        end(folder / name, counted.count, status)
    raise AssertionError("a forked process goes on")


def surround(folder: Path, name: Path) -> None:
    """The streams, folder and environment of a command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for number, stream in ((1, "stdout"), (2, "stderr")):
        file = os.open(f"{name}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        setattr(sys, stream, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    os.chdir(folder)
    os.environ.pop("LATTE_EVAL_WEIGHTS", None)
    os.environ |= {"LATTE_EVAL_CACHE": str(folder / "cache"), "LATTE_EVAL_OFFLINE": "1", "HOME": str(folder),
                   "GITHUB_ACTOR": "siege", "GITHUB_SHA": "0" * 40}  # fmt: skip


def end(name: Path, steps: int, status: int) -> None:
    """Leave a forked process, with what it imported and how many steps it took."""
    sys.setprofile(None)
    with contextlib.suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
        sys.stdout.flush()
        sys.stderr.flush()
        Path(f"{name}.json").write_text(json.dumps({"steps": steps, "modules": sorted(sys.modules)}))
    os._exit(status)


def finish(child: int, folder: Path, name: str = "said") -> Ended:
    """Wait for a command that `begin` started."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = [(folder / f"{name}.{stream}").read_text(errors="replace") for stream in ("stdout", "stderr")]
    about = folder / f"{name}.json"
    steps = json.loads(about.read_text())["steps"] if about.exists() else 0
    about.unlink(missing_ok=True)
    return Ended(status, said[0], said[1], steps)


def run(folder: Path, *words: str | Path, before: Callable[[], object] = int) -> Ended:
    """Run a command in a folder to its end."""
    return finish(begin(folder, words, before=before), folder)


def made(folder: Path, *words: str | Path) -> Ended:
    """As `run`, for a command that must succeed; what it imports is imported here, so that forked ones need not."""
    child = begin(folder, words)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    err = (folder / "said.stderr").read_text()
    if status:
        raise Wrong(f"latte-eval {words[0]} ended with {status}: {err[-300:]}")
    about = json.loads((folder / "said.json").read_text())
    for module in about["modules"]:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    return Ended(status, (folder / "said.stdout").read_text(), err, about["steps"])


@dataclass(frozen=True)
class Toys:
    """What trials begin with.

    Attributes:
        folder: `toy.pt`, `videos/`, and what undisturbed commands left.
        steps: of an undisturbed command, by its first word.
        seconds: as `steps`.
    """

    folder: Path
    steps: dict[str, int]
    seconds: dict[str, float]

    def begin_in(self, folder: Path, *names: str) -> None:
        """Give a trial's folder the inputs, and these of what the commands left."""
        for name in ("toy.pt", "videos", *names):
            copy(self.folder / name, folder / name)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, with the times of change."""
    shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)


def prepare(folder: Path) -> Toys:
    """A checkpoint, six videos, and one undisturbed run of each command."""
    code_record(), machine_record()  # forked processes need not ask git again
    torch.manual_seed(0)
    torch.save({"ema": Latte(CONFIG).state_dict()}, folder / "toy.pt")
    for number in range(6):
        frames = moving_frames(8 + number, 16, 24)
        write_video(folder / "videos" / f"{number}.mp4", frames, options={"preset": "ultrafast"})
    steps, seconds = dict[str, int](), dict[str, float]()
    toys = Toys(folder, steps, seconds)
    for words in (EVALUATE, STATS, ACCEPT, GATE):
        made(folder, *words)
    for name, words in {"evaluate": EVALUATE, "stats": STATS, "gate": ACCEPT}.items():  # all is imported now
        with tempfile.TemporaryDirectory(dir=folder) as again:
            toys.begin_in(Path(again), *(["run"] if name == "gate" else []))
            start = time.monotonic()
            steps[name] = run(Path(again), *words).steps
            seconds[name] = time.monotonic() - start
    return toys


def shards(run_folder: Path) -> dict[str, bytes]:
    """The shards of a run folder by their place in it."""
    found = [path for kind in (FEATURES, PREVIEWS) for path in (run_folder / kind).glob("*/*.safetensors")]
    return {str(path.relative_to(run_folder)): path.read_bytes() for path in found if not path.name.startswith(".")}


def results_of(run_folder: Path) -> list[dict[str, Any]]:
    """What the results of a run folder measured, as it is read back."""
    register_toys()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [measured(result) for result in load_results(run_folder)]


def check_same(found: Path, undisturbed: Path) -> None:
    """Raise `Wrong` unless two run folders hold the same shards, bit for bit, and the same results, each once."""
    ours, theirs = shards(found), shards(undisturbed)
    if different := sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)):
        raise Wrong(f"{len(different)} shards differ, such as {different[0]}")
    if results_of(found) != results_of(undisturbed):
        raise Wrong(f"other results: {(found / 'results.jsonl').read_text()[:300]}")


def check_said(ended: Ended, statuses: Sequence[int]) -> None:
    """Raise `Wrong` for another status than these, or an end that is not said in one line."""
    last = ended.err.strip()[-300:]
    if ended.status not in statuses or ended.status == Status.FAULT:
        raise Wrong(f"status {ended.status} instead of {' or '.join(map(str, statuses))}: {last}")
    if "Traceback" in ended.err + ended.out:
        raise Wrong(f"a traceback: {last}")
    errors = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    if ended.status == Status.FAILED and len(errors) != 1:
        raise Wrong(f"status {ended.status} with {len(errors)} lines of error: {last}")


def signal_itself(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def drawn(chance: random.Random, most: int) -> int:
    """A number from 1 to `most`."""
    return 1 + chance.randrange(max(1, most))
