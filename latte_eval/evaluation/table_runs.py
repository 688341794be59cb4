"""What a table still lacks: one request for every dataset whose number has not been measured yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from latte_eval.baselines.published import Column, published_table
from latte_eval.benchmarks.dataset import find_dataset
from latte_eval.compare.comparable import Conditions, differences, protocol_fields
from latte_eval.core.choices import check_name
from latte_eval.core.errors import UsageError
from latte_eval.core.result import Result
from latte_eval.evaluation.request import Request
from latte_eval.files.weights import file_sha256

MakeRequest = Callable[..., Request]


def chosen_columns(table: str, only: str | None) -> list[Column]:
    """The columns of a table, or those that `--only` lists with commas. Raises `UsageError` with a suggestion."""
    columns = {str(column.benchmark): column for column in published_table(table).columns.values()}
    names = list(columns) if only is None else [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        check_name("benchmark in --only", name, columns)
    return [columns[name] for name in names]


def table_requests(
    columns: Sequence[Column], checkpoints: Path, data: Path, runs: Path, make_request: MakeRequest
) -> list[Request]:
    """One request per column, each in a run folder of its own below `runs`.

    Args:
        checkpoints: folder with ffs.pt, skytimelapse.pt, taichi-hd.pt and ucf101.pt.
        data: folder with the datasets, under any of the names that the benchmarks know.
        make_request: makes a `Request` from its keyword arguments, as the command line's options say.

    Raises:
        UsageError: a checkpoint or a dataset is not there; the error names all that are missing.
    """
    found = [(column, checkpoint_in(checkpoints, column), data_in(data, column)) for column in columns]
    lacking = [f"{checkpoints / name_of(c)}" for c, checkpoint, _ in found if checkpoint is None]
    lacking += [f"{data / str(c.benchmark)}" for c, _, folder in found if folder is None]
    if lacking:
        there = [str(c.benchmark) for c, checkpoint, folder in found if checkpoint and folder]
        hint = f": use --only {','.join(there)} for what is there" if there else ""
        raise UsageError(f"not there: {', '.join(lacking)}{hint}")
    return [
        make_request(metrics=(c.metric,), ckpt=str(checkpoint), real=folder, benchmark=c.benchmark,
                     out=runs / f"{c.benchmark}-{c.metric}")
        for c, checkpoint, folder in found
    ]  # fmt: skip


def name_of(column: Column) -> str:
    """File name of the published checkpoint of a column."""
    return find_dataset(str(column.benchmark)).checkpoint.rpartition("/")[2]


def checkpoint_in(folder: Path, column: Column) -> Path | None:
    path = folder / name_of(column)
    return path if path.is_file() else None


def data_in(folder: Path, column: Column) -> Path | None:
    return find_dataset(str(column.benchmark)).folder_in(folder)


def missing(requests: Sequence[Request], results: Sequence[Result]) -> list[Request]:
    """The requests that no finished result answers."""
    return [request for request in requests if not any(answers(result, request) for result in results)]


def answers(result: Result, request: Request) -> bool:
    """Whether a result is what a request would measure: same protocol, detector, sampler and checkpoint file."""
    if result.metric not in request.metrics or result.sampler is None or result.checkpoint is None:
        return False
    return not differences(result, request_conditions(request, result.metric))


def request_conditions(request: Request, metric: str) -> Conditions:
    """What is known of a number before it is measured."""
    given = {"method": request.sampler, "steps": request.steps, "guidance_scale": request.guidance_scale,
             "clip_x0": request.clip_x0}  # fmt: skip
    chosen = {key: value for key, value in given.items() if value is not None}
    fixed = {"eta": request.eta, "dtype": request.sampler_dtype, "seed": request.seed, "task": None}
    usual = request.benchmark_row.sampler if request.benchmark_row else {}
    return Conditions(
        {
            "protocol": protocol_fields(request.resolved_protocol()),
            "detector": {"name": request.detector_for(metric)},
            "checkpoint": {"sha256": file_sha256(Path(str(request.ckpt)))},
            "sampler": {**usual, **chosen, **fixed},
        }
    )
