"""`sweep`: many checkpoints on many benchmarks, one job each, in this process or on a cluster; and one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.benchmarks.benchmark import BENCHMARKS, benchmark_of_checkpoint
from latte_eval.benchmarks.dataset import Dataset
from latte_eval.compare.results import RESULT_COLUMNS, load_results, result_cells
from latte_eval.core.choices import check_name
from latte_eval.core.errors import CheckpointError, LatteEvalError, MetricFailed, UsageError
from latte_eval.core.notices import notice
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.evaluation.curve import checkpoint_files, run_names
from latte_eval.evaluation.pipeline import evaluate
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.table_runs import MakeRequest, answers
from latte_eval.files.addresses import hub_advice, is_fetched
from latte_eval.files.run_folder import RESULTS
from latte_eval.metrics.rows import METRICS
from latte_eval.sampler.checkpoint import load_checkpoint

ALL = "all"


@dataclass(frozen=True)
class Task:
    """One checkpoint on one benchmark: what one job measures.

    Attributes:
        label: of the checkpoint, unique in a sweep.
        metrics: those that no finished result answers.
        out: its run folder.
        known: finished results.
        must_fit: whether a checkpoint that does not belong to the benchmark is an error, not passed over.
    """

    label: str
    ckpt: str
    benchmark: str
    real: Path | None
    out: Path
    metrics: tuple[str, ...]
    known: tuple[Result, ...] = ()
    must_fit: bool = True

    @property
    def title(self) -> str:
        return f"{self.label} on {self.benchmark}"

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of its request."""
        return {"ckpt": self.ckpt, "benchmark": self.benchmark, "real": self.real, "out": self.out}


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        lines: results as JSON, for they travel between processes.
        error: why some or all of its metrics have none; empty where nothing went wrong.
        unfit: why the checkpoint does not belong to the benchmark; empty where it does.
        log: the file with all that the job said; None in this process.
    """

    lines: tuple[str, ...] = ()
    error: str = ""
    unfit: str = ""
    log: str | None = None

    @property
    def results(self) -> list[Result]:
        return [Result.from_json(line) for line in self.lines]


@dataclass
class Sweep:
    """Tasks and what became of them, by title."""

    tasks: list[Task]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def results(self, task: Task) -> dict[str, Result]:
        """The newest result of every metric of a task."""
        outcome = self.outcomes.get(task.title)
        return {each.metric: each for each in [*task.known, *(outcome.results if outcome else ())]}

    @property
    def failures(self) -> list[str]:
        """A sentence for every task that failed."""
        found = [(task, self.outcomes[task.title]) for task in self.tasks if task.title in self.outcomes]
        return [f"{task.title}: {outcome.error}" + (f" (log: {outcome.log})" if outcome.log else "")
                for task, outcome in found if outcome.error]  # fmt: skip


def find_checkpoints(names: Sequence[str]) -> dict[str, str]:
    """Labels to checkpoints; a folder stands for the checkpoint files in it. Raises `UsageError`, `CheckpointError`."""
    found: list[str] = []
    for name in names:
        if Path(name).is_dir():
            files = [str(file) for file in checkpoint_files(Path(name))]
            if not files:
                raise UsageError(f"there is no checkpoint in {name}: files named .pt, .pth or .safetensors")
            found += files
        elif Path(name).is_file() or is_fetched(name) or benchmark_of_checkpoint(name):
            found.append(name)
        else:
            advice = hub_advice(name)
            raise CheckpointError(f"{name} {f'is no file here: {advice}' if advice else 'does not exist'}")
    found = list(dict.fromkeys(found))
    return {label.replace("/", "-"): name for name, label in run_names(found).items()}


def chosen_benchmarks(text: str, data: Path | None) -> dict[str, Path | None]:
    """Benchmarks to their clips; `all` are those whose clips are there.

    Raises `UsageError` that names what is not there.
    """
    names = list(BENCHMARKS) if text == ALL else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        check_name("benchmark in --benchmarks", name, BENCHMARKS)
    found = {name: clips_of(name, data) for name in dict.fromkeys(names)}
    absent = [name for name, folder in found.items() if folder is None and BENCHMARKS[name].needs_folder]
    if absent and (text != ALL or len(absent) == len(found)):
        raise UsageError(f"--data-dir {data or ''} holds no clips of {', '.join(absent)}".replace("  ", " "))
    if absent:
        notice(f"--benchmarks all without {', '.join(absent)}: their clips are not in --data-dir")
    return {name: folder for name, folder in found.items() if name not in absent}


def clips_of(name: str, data: Path | None) -> Path | None:
    row = BENCHMARKS[name]
    return row.folder_in(data) if data and isinstance(row, Dataset) else None


def plan_sweep(
    checkpoints: dict[str, str], benchmarks: dict[str, Path | None], metrics: Sequence[str], runs: Path,
    must_fit: bool, make_request: MakeRequest,
) -> Sweep:  # fmt: skip
    """A task for every checkpoint on every benchmark; metrics that a finished result answers are not measured again.

    Args:
        make_request: makes a `Request` from its keyword arguments, as the command line's options say.
    """
    tasks = []
    for label, ckpt in checkpoints.items():
        for benchmark, real in benchmarks.items():
            task = Task(label, ckpt, benchmark, real, runs / benchmark / label, tuple(metrics), must_fit=must_fit)
            tasks.append(without_known(task, make_request(metrics=metrics, **task.fields)))
    return Sweep(tasks)


def without_known(task: Task, request: Request) -> Task:
    """A task without the metrics that results in its run folder answer."""
    there = load_results(task.out) if (task.out / RESULTS).is_file() else []
    if not Path(task.ckpt).is_file():  # a name, whose bytes are not known before it is opened
        return task
    known = {each.metric: each for each in there if answers(each, request)}
    rest = tuple(metric for metric in task.metrics if metric not in known)
    return dataclasses.replace(task, metrics=rest, known=tuple(known.values()))


def measure_task(task: Task, request: Request, reporter: Reporter) -> Outcome:
    """Measure one task. A failure that the command line would say in one line becomes the outcome's error."""
    try:
        if not task.must_fit and (unfit := misfit(task, request)):
            return Outcome(unfit=unfit)
        return Outcome(tuple(each.to_json() for each in evaluate(request, reporter)))
    except MetricFailed as error:
        return Outcome(tuple(each.to_json() for each in error.results), str(error))
    except LatteEvalError as error:
        return Outcome(error=str(error))


def misfit(task: Task, request: Request) -> str:
    """Why a checkpoint does not belong to a benchmark that nobody named; empty where it does."""
    checkpoint = load_checkpoint(task.ckpt, request.weights)
    choices = {name: getattr(request, name) for name in ("heads", "variant", "temporal_position", "classes")}
    fits = BENCHMARKS[task.benchmark].fits(checkpoint.build(**choices).config)
    return "" if fits else f"{task.label} does not belong to {task.benchmark}"


def run_sweep(
    sweep: Sweep, run_tasks: Callable[[list[Task]], Iterator[tuple[Task, Outcome]]], reporter: Reporter
) -> None:
    """Run the tasks that lack results, in whatever order they end, and note what became of each."""
    lacking = [task for task in sweep.tasks if task.metrics]
    reporter.say(f"sweep: {len(sweep.tasks) - len(lacking)} of {len(sweep.tasks)} are measured, {len(lacking)} to run")
    for done, (task, outcome) in enumerate(run_tasks(lacking), start=1):
        sweep.outcomes[task.title] = outcome
        said = outcome.error or outcome.unfit or ", ".join(f"{r.metric} {r.value:.4g}" for r in outcome.results)
        reporter.say(f"{done} of {len(lacking)}: {task.title}: {said}")


def sweep_table(sweep: Sweep, metrics: Sequence[str]) -> Table:
    """Checkpoints on benchmarks down, metrics with their intervals across."""
    headings = {"checkpoint": Heading("checkpoint"), "benchmark": Heading("benchmark")}
    for metric in metrics:
        arrow = {"lower": "↓", "higher": "↑"}[METRICS[metric].better]
        headings |= {metric: Heading(f"{metric.upper()} {arrow}"), f"{metric} interval": Heading("95 % interval")}
    shown = [task for task in sweep.tasks if not sweep.outcomes.get(task.title, Outcome()).unfit]
    rows = [sweep_row(task, sweep.results(task)) for task in shown]
    records = [result_cells(each) for task in shown for each in sweep.results(task).values()]
    protocols = dict.fromkeys(each.protocol for task in shown for each in sweep.results(task).values())
    notes = [f"protocol {protocol}" for protocol in protocols]
    notes += [outcome.unfit for outcome in sweep.outcomes.values() if outcome.unfit] + sweep.failures
    return Table("sweep", "Checkpoints on benchmarks", headings, rows, notes, {}, RESULT_COLUMNS, records)


def sweep_row(task: Task, results: dict[str, Result]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {"checkpoint": task.label, "benchmark": task.benchmark}
    for metric, result in results.items():
        cells[metric] = result.value
        cells[f"{metric} interval"] = None if result.interval is None else (result.interval[0], result.interval[1])
    return cells


def check_ended(sweep: Sweep) -> None:
    """Raise `LatteEvalError` that names every task which failed."""
    if failed := sweep.failures:
        tried = len(sweep.outcomes)
        raise LatteEvalError(f"{len(failed)} of {tried} jobs failed: {'; '.join(failed)}. The same command tries them "
                             "again")  # fmt: skip
