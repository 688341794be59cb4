"""Tasks of a sweep as jobs of submitit: as processes of this machine, or as an array job of Slurm."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.core.errors import UsageError, first_line
from latte_eval.core.schemas import Schema, is_text, parse_json_line
from latte_eval.evaluation.sweep import Outcome, Task
from latte_eval.files.jsonl import append_lines, parse_lines
from latte_eval.files.run_folder import content_key

LOCAL, SLURM = "local", "slurm"

# Below the folder of the runs: what submitit writes of its jobs, logs included.
JOBS = "jobs"

# Minutes that a job may take where nobody says: a day. On this machine nobody takes it away: a month.
SLURM_MINUTES, LOCAL_MINUTES = 24 * 60, 30 * 24 * 60

# In it, a line for each job of Slurm: a command that was stopped finds them again.
QUEUED = "queued.jsonl"
QUEUED_LINE = Schema({"task": is_text, "job": is_text})

# Jobs of an array at a time where nobody says: all.
MOST = 100_000

# States of jobs of Slurm that will have an outcome yet.
AT_WORK = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "PREEMPTED", "REQUEUED", "RESIZING", "SUSPENDED",
           "READY")  # fmt: skip

Measure = Callable[[Task], Outcome]


@dataclass(frozen=True)
class Resumable:
    """A measurement as a job; one that Slurm stops or takes away is queued again and continues from its shards."""

    measure: Measure

    def __call__(self, task: Task) -> Outcome:
        return self.measure(task)

    def checkpoint(self, task: Task) -> Any:
        """What submitit queues instead. # -> submitit.helpers.DelayedSubmission"""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)


@dataclass(frozen=True)
class Cluster:
    """Where jobs run.

    Attributes:
        kind: `local` or `slurm`.
        folder: for what submitit writes; on Slurm one that all machines reach.
        most: so many jobs at a time; None for all on Slurm, for one a GPU here.
        slurm: options of sbatch by name, such as `partition`; `time` is in minutes.
        every: seconds between two looks at the jobs.
    """

    kind: str
    folder: Path
    most: int | None = None
    slurm: dict[str, str | int] | None = None
    every: float = 1.0

    def run(self, tasks: Sequence[Task], measure: Measure) -> Iterator[tuple[Task, Outcome]]:
        """Tasks with their outcomes, in the order in which they end. Raises `UsageError` where jobs cannot be made."""
        if not tasks:
            return
        executor = self.executor()
        running: dict[int, tuple[Task, Any]] = {}
        waiting = list(enumerate(tasks))
        if self.kind == SLURM:
            running, waiting = self.queued(executor, tasks, measure), []
        while running or waiting:
            while waiting and len(running) < self.at_once:
                number, task = waiting.pop(0)
                self.choose_gpu(executor, number)
                running[number] = task, executor.submit(measure, task)
            for number in [number for number, (_, job) in running.items() if job.done()]:
                task, job = running.pop(number)
                yield task, outcome_of(job)
            if running:
                time.sleep(self.every)

    def queued(self, executor: Any, tasks: Sequence[Task], measure: Measure) -> dict[int, tuple[Task, Any]]:
        """Tasks with their jobs on Slurm: those that an earlier command queued and that wait or run still, and a new
        array for the others."""
        there = self.earlier_jobs(executor, tasks)
        fresh = [task for task in tasks if task.title not in there]
        if fresh:
            with executor.batch():
                jobs = [executor.submit(Resumable(measure), task) for task in fresh]
            there |= {task.title: job for task, job in zip(fresh, jobs, strict=True)}
            lines = [json.dumps({"task": task_key(task), "job": there[task.title].job_id}) for task in fresh]
            append_lines(self.folder / QUEUED, lines)
        return {number: (task, there[task.title]) for number, task in enumerate(tasks)}

    def earlier_jobs(self, executor: Any, tasks: Sequence[Task]) -> dict[str, Any]:
        """Jobs of an earlier command that are at work on a task, by its title."""
        file = self.folder / QUEUED
        if not file.is_file():
            return {}
        lines = parse_lines(file, "jobs", lambda line, number: parse_json_line(line, f"{file} line {number}"))
        known = {line["task"]: line["job"] for line in lines if QUEUED_LINE.holds(line)}
        numbers = {task.title: known[key] for task in tasks if (key := task_key(task)) in known}
        jobs = {title: executor.job_class(self.folder, number) for title, number in numbers.items()}
        for job in list(jobs.values())[:1]:
            job.watcher.update()  # of all of them
        return {title: job for title, job in jobs.items() if state_of(job) in AT_WORK}

    def executor(self) -> Any:
        """The executor of submitit. Raises `UsageError` where submitit or Slurm is absent, or an option is unknown."""
        submitit = import_submitit()
        kinds = {LOCAL: submitit.LocalExecutor, SLURM: submitit.SlurmExecutor}
        try:
            executor = kinds[self.kind](self.folder)
        except RuntimeError as error:
            raise UsageError(f"--submit {self.kind}: {first_line(error)}; --submit local runs the jobs here") from error
        if self.kind == LOCAL:
            executor.update_parameters(timeout_min=LOCAL_MINUTES)
            return executor
        given = dict(self.slurm or {})
        known = {name: given.pop(name) for name in list(given) if name in executor._valid_parameters()}
        options = {"job_name": "latte-eval", "time": SLURM_MINUTES, "array_parallelism": self.most or MOST, **known}
        executor.update_parameters(**options, additional_parameters=given)
        return executor

    @property
    def at_once(self) -> int:
        """Jobs at a time on this machine."""
        return self.most or max(1, gpu_count())

    def choose_gpu(self, executor: Any, number: int) -> None:
        """Give the next job a GPU of its own, in turn: submitit hides those that a job was not given."""
        if count := gpu_count():
            executor.update_parameters(gpus_per_node=1, visible_gpus=(number % count,))


def task_key(task: Task) -> str:
    """What tells whether a job is at work on the same."""
    return content_key(task.ckpt, task.benchmark, str(task.real), str(task.out), task.metrics)


def gpu_count() -> int:
    import torch

    return torch.cuda.device_count()


def import_submitit() -> Any:
    """The package submitit. Raises `UsageError` that says how to get it."""
    try:
        import submitit
    except ImportError as error:
        raise UsageError(
            "--submit needs the package submitit: pip install 'latte-eval[cluster]', or leave --submit out to run the "
            "jobs one after the other in this process"
        ) from error
    return submitit


def outcome_of(job: Any) -> Outcome:
    """The outcome of a job that ended; one that broke or was killed says so, with its log."""
    log = str(job.paths.stderr)
    if error := job.exception():
        return Outcome(error=last_line(str(error)), log=log)
    outcome: Outcome = job.result()
    return dataclasses.replace(outcome, log=log)


def last_line(text: str) -> str:
    """What a traceback between two rules says at its end; for a job that left none, what submitit says first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rules = [number for number, line in enumerate(lines) if set(line) == {"-"}]
    return lines[rules[-1] - 1] if len(rules) > 1 else " ".join(lines[:2])


def state_of(job: Any) -> str:
    """The state of a job of Slurm as it was last looked at; `CANCELLED by 7` is CANCELLED."""
    return str(job.watcher.get_state(job.job_id, mode="cache")).partition(" ")[0]


def parse_slurm(texts: Sequence[str]) -> dict[str, str | int]:
    """`partition=gpu` texts as options of sbatch. Raises `UsageError`."""
    found: dict[str, str | int] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name or not value:
            raise UsageError(f"--slurm {text!r} must read NAME=VALUE, such as partition=gpu")
        found[name] = int(value) if value.isdecimal() and len(value) < 10 else value
    if not isinstance(found.get("time", 0), int):
        raise UsageError(f"--slurm time={found['time']} must be minutes, such as time=600")
    return found
