"""Runs of toy rows in shares: a checkpoint, the words of a command, and the rows registered while tests run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from command_line import Done, latte_eval
from toy_rows import CONFIG, ROWS

from latte_eval.cli import sweep
from latte_eval.compare.results import load_results
from latte_eval.core.result import Result
from latte_eval.evaluation.sweep import Outcome, Task
from latte_eval.files.run_folder import measured
from latte_eval.sampler.latte import Latte


@contextmanager
def toy_rows() -> Iterator[None]:
    for registry, name, row in ROWS:
        registry.register(name, row)
    yield
    for registry, name, _ in ROWS:
        del registry.entries[name]


def save_toy(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"ema": Latte(CONFIG).state_dict()}, path)
    return path


def evaluate(checkpoint: Path, run: Path | str, *words: str | Path, status: int = 0) -> Done:
    """`latte-eval evaluate` of the toy metric on 10 clips; later words count."""
    side = () if "--real" in words else ("--benchmark", "stripes")
    done = latte_eval("evaluate", "--metrics", "gap", "--ckpt", checkpoint, "--heads", "4", *side, "--clips", "10",
                      "--out", run, "--device", "cpu", "--quiet", *words)  # fmt: skip
    assert done.returncode == status, (done.stderr, done.stdout)
    return done


def shares(checkpoint: Path, run: Path | str, numbers: str, *words: str | Path) -> None:
    """Jobs of so many, such as `3 1` of 3."""
    for number in numbers.split():
        evaluate(checkpoint, run, "--shard", f"{number}/3", *words)


def merge(run: Path | str, *words: str, status: int = 0) -> Done:
    done = latte_eval("merge", run, "--quiet", *words)
    assert done.returncode == status, (done.stderr, done.stdout)
    return done


def results_of(text: str) -> list[Result]:
    """Results that a command printed with --json."""
    return [Result.from_json(line) for line in text.splitlines()]


def alike(one: Result, other: Result) -> bool:
    """Whether two results say the same, but for when they were measured and by how many processes."""
    records = [measured(each) for each in (one, other)]
    for record in records:
        record["env"].pop("world")
    return records[0] == records[1]


def only_result(run: Path) -> Result:
    (result,) = load_results(run)
    return result


measure_task = sweep.measure


def measure_in_job(options: dict[str, Any], quiet: bool, task: Task) -> Outcome:
    """As `latte_eval.cli.sweep.measure`, in a process that knows no toy rows yet; a label may ask for its death."""
    if "dies" in task.label:
        os.kill(os.getpid(), signal.SIGKILL)
    with toy_rows():
        return measure_task(options, quiet, task)
