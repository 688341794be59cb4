"""Jobs of a sweep on stand-ins for submitit: how many at a time, which are queued anew, what is kept of each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from result_makers import make_result

from latte_eval.core.errors import LatteEvalError, MetricFailed
from latte_eval.core.progress import Reporter
from latte_eval.evaluation import sweep
from latte_eval.evaluation.cluster import (
    LOCAL,
    LOCAL_MINUTES,
    QUEUED,
    SLURM,
    Cluster,
    Resumable,
    outcome_of,
    task_key,
)
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sweep import Outcome, Sweep, Task, check_ended, measure_task

ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED by 7")


def task(number: int, **fields: Any) -> Task:
    return Task(f"step{number}.pt", f"step{number}.pt", "shapes", None, Path(f"runs/{number}"), ("fvd",), **fields)


class Job:
    """A job that is done after some looks; `state` is what Slurm says of it."""

    def __init__(self, looks: int = 0, state: str = "RUNNING", number: str = "1", error: str = ""):
        self.looks, self.job_id, self.error = looks, number, error
        self.watcher = SimpleNamespace(update=lambda: None, get_state=lambda job, mode: state)
        self.paths = SimpleNamespace(stderr="job.log")

    def done(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def exception(self) -> Exception | None:
        return RuntimeError(self.error) if self.error else None

    def result(self) -> Outcome:
        return Outcome(("line",))


class Executor:
    """Notes what it is given; jobs of an earlier command are in `state`."""

    def __init__(self, state: str = "RUNNING") -> None:
        self.submitted, self.running = list[Task](), list[Job]()
        self.job_class = lambda folder, number: Job(0, state, number)

    def submit(self, measure: Any, task: Task) -> Job:
        job = Job(looks=len(self.submitted) % 3, number=f"77_{len(self.submitted)}")
        self.submitted.append(task)
        self.running.append(job)
        return job

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.evaluation.cluster.gpu_count", lambda: 0)


def run(cluster: Cluster, executor: Executor, tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    monkeypatch.setattr(Cluster, "executor", lambda self: executor)
    return [task for task, _ in cluster.run(tasks, lambda task: Outcome())]


@pytest.mark.parametrize(("most", "at_once"), [(None, 1), (1, 1), (3, 3)])
def test_no_more_jobs_run_here_than_are_allowed(
    most: int | None, at_once: int, tmp_path: Path, no_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, tasks, together = Executor(), [task(number) for number in range(7)], list[int]()
    submit = executor.submit

    def counted(measure: Any, task: Task) -> Job:
        job = submit(measure, task)
        together.append(sum(each.looks >= 0 for each in executor.running))
        return job

    monkeypatch.setattr(executor, "submit", counted)
    ended = run(Cluster(LOCAL, tmp_path, most, every=0), executor, tasks, monkeypatch)
    assert sorted(each.label for each in ended) == [each.label for each in tasks] and executor.submitted == tasks
    assert max(together) == at_once


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "REQUEUED", *ENDED])
def test_a_job_that_ended_is_queued_anew_and_one_at_work_is_not(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, tasks = Cluster(SLURM, tmp_path, every=0), [task(0), task(1)]
    assert run(cluster, executor := Executor(state), tasks[:1], monkeypatch) == tasks[:1]
    assert executor.submitted == tasks[:1]
    ended = run(cluster, executor := Executor(state), tasks, monkeypatch)
    assert sorted(each.label for each in ended) == ["step0.pt", "step1.pt"]
    assert executor.submitted == (tasks if state in ENDED else tasks[1:])
    noted = [json.loads(line) for line in (tmp_path / QUEUED).read_text().splitlines()]
    assert [line["task"] for line in noted] == [task_key(each) for each in [tasks[0], *executor.submitted]]


def test_a_job_of_other_metrics_or_another_folder_is_another_job() -> None:
    keys = {task_key(task(0)), task_key(task(1)), task_key(dataclasses.replace(task(0), metrics=("fid",))),
            task_key(dataclasses.replace(task(0), out=Path("elsewhere")))}  # fmt: skip
    assert len(keys) == 4


def test_submitit_does_not_end_jobs_of_this_machine_after_five_minutes(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    assert Cluster(LOCAL, tmp_path).executor().parameters["timeout_min"] == LOCAL_MINUTES


def test_a_job_that_slurm_takes_away_is_queued_again_as_one_that_can_be_taken_away_again() -> None:
    pytest.importorskip("submitit")
    job = Resumable(lambda task: Outcome(("measured",)))
    again = job.checkpoint(task(3))
    assert again.function is job and again.args == (task(3),)
    assert again.function(task(3)) == Outcome(("measured",))


def test_an_outcome_names_its_log() -> None:
    job: Any = Job()
    assert outcome_of(job) == Outcome(("line",), log="job.log")
    broken = outcome_of(Job(error="-----\nTraceback\nValueError: no\n-----"))
    assert broken == Outcome(error="ValueError: no", log="job.log")


def test_metrics_beside_one_that_failed_are_in_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    result = make_result()
    failing: list[LatteEvalError] = [MetricFailed("fid failed", [result]), LatteEvalError("no clips")]
    monkeypatch.setattr(sweep, "evaluate", lambda request, reporter: (_ for _ in ()).throw(failing.pop(0)))
    assert measure_task(task(0), Request(), Reporter()) == Outcome((result.to_json(),), "fid failed")
    assert measure_task(task(0), Request(), Reporter()) == Outcome(error="no clips")


def test_a_benchmark_that_was_named_is_measured_whether_the_checkpoint_belongs_to_it_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep, "misfit", lambda task, request: "step0.pt does not belong to shapes")
    monkeypatch.setattr(sweep, "evaluate", lambda request, reporter: [make_result()])
    assert len(measure_task(task(0), Request(), Reporter()).results) == 1
    assert measure_task(task(0, must_fit=False), Request(), Reporter()) == Outcome(
        unfit="step0.pt does not belong to shapes"
    )


def test_only_jobs_that_ran_are_counted_in_the_error() -> None:
    found = Sweep([task(0), task(1), task(2)], {task(1).title: Outcome(error="no clips", log="job.log")})
    with pytest.raises(LatteEvalError, match=r"^1 of 1 jobs failed: step1.pt on shapes: no clips \(log: job.log\)\."):
        check_ended(found)
