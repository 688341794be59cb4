"""Reading and checking results, and naming what they measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latte_eval.baselines.table import Cell
from latte_eval.compare.comparable import protocol_of
from latte_eval.core.choices import check_name
from latte_eval.core.digests import DIGEST
from latte_eval.core.errors import LatteEvalError, StoreError, UsageError
from latte_eval.core.notices import notice
from latte_eval.core.protocol import Protocol, fields_to_sha256
from latte_eval.core.result import Result, subject
from latte_eval.core.schemas import parse_json_line
from latte_eval.files.jsonl import parse_lines
from latte_eval.files.run_folder import RESULTS, result_files
from latte_eval.metrics.metric import Metric
from latte_eval.metrics.rows import METRICS


def load_results(path: Path, newest_counts: bool = False) -> list[Result]:
    """Results of a JSONL file, of a run folder, or of every run below a folder, in order of path.

    Raises:
        StoreError: nothing there; or a line that was edited or written by a newer version: names it. A line that was
            cut is passed over with a notice; at the end not where the newest counts.
    """
    files = result_files(path)
    if not files:
        raise StoreError(f"{path} holds no {RESULTS}; runs write one, as in latte-eval fvd ... --out {path}/NAME")
    found = [(file, result) for file in files for result in read_results(file, newest_counts)]
    for file, result in found:
        check_untouched(result, str(file))
    if not found:
        raise StoreError(f"{path} holds no result yet")
    return [result for _, result in found]


def results_of_one(path: Path, of: str | None, why: str = "") -> list[Result]:
    """The results of one checkpoint or folder, by its name `of`; without one, of the only one that there is.

    Args:
        why: what a person should know where there are several and `of` does not say which.

    Raises `UsageError` where `of` is needed, or names none of them, and `StoreError` as `load_results`.
    """
    results = load_results(path, newest_counts=True)
    names = list(dict.fromkeys(subject(result) for result in results))
    if of is not None:
        check_name(f"checkpoint in {path}:", of, names)
    elif len(names) > 1:
        raise UsageError(f"{path} has results of {', '.join(names)}{why}: say which with --of NAME")
    return [result for result in results if of in (None, subject(result))]


def read_results(path: str | Path, newest_counts: bool = False) -> list[Result]:
    """All results of a JSONL file, as `load_results` reads it; one notice tells of lines without a digest.

    Raises `StoreError` with the number of a line.
    """
    path = Path(path)
    records = parse_lines(path, "results", lambda line, n: parse_result(line, f"{path} line {n}"), newest_counts)
    if old := sum(not verified for _, verified in records):
        notice(f"{path} has {old:,} results of version 0.1, without a digest: damage to their numbers cannot be seen")
    return [result for result, _ in records]


def parse_result(line: str, where: str) -> tuple[Result, bool]:
    """A result, and whether a digest says that it is what was measured. Raises `StoreError`."""
    record = parse_json_line(line, where)
    return Result.from_record(record, where), DIGEST in record


def check_untouched(result: Result, where: str) -> None:
    """Raise `StoreError` if the fields of a result contradict each other, as they do after editing by hand."""
    what = f"the {result.metric} result of {result.started} in {where}"
    try:
        protocol = Protocol.from_dict(result.protocol_fields)
    except (LatteEvalError, TypeError) as error:
        raise StoreError(f"{what} has a protocol this version cannot read: {error}") from error
    sha256 = fields_to_sha256(result.protocol_fields)
    own = protocol.id_under(sha256)
    if (own, sha256) != (result.protocol, result.protocol_sha256):
        raise StoreError(f"{what} was edited: its protocol fields belong to {own}, not to {result.protocol}")
    if result.interval and not result.interval[0] <= result.value <= result.interval[1]:
        raise StoreError(f"{what} was edited: {result.value} lies outside its own interval {result.interval}")
    if result.metric not in METRICS:
        raise StoreError(f"{where}: the metric {result.metric!r} has no direction here; known: {', '.join(METRICS)}")
    if result.better != METRICS[result.metric].better:
        raise StoreError(f"{what} was edited: {result.better!r} is not the better direction of {result.metric}")


def metric_of(result: Result) -> Metric:
    """The metric as a result was measured: over as many splits, under the same protocol."""
    return METRICS[result.metric].split_into(result.details.get("splits")).under(protocol_of(result))


def training_run(result: Result) -> str | None:
    """The folder of a checkpoint, which a training run fills; None where it is not known."""
    return (result.checkpoint or {}).get("run")


def full_name(result: Result) -> str:
    """A checkpoint with its folder: files of several training runs may have the same name."""
    run = training_run(result)
    return f"{run}/{subject(result)}" if run else subject(result)


def assumed_text(name: str, checkpoint: Mapping[str, Any] | None) -> str | None:
    """What was assumed of the model, from the record of a checkpoint; None where nothing was."""
    found = (checkpoint or {}).get("assumed")
    return f"assumed of {name}, whose file does not tell: {', '.join(found)}" if found else None


# What every row of a machine format says of a result, beside what its command adds.
RESULT_COLUMNS = ("benchmark", "metric", "better", "protocol", "detector", "checkpoint", "value", "low", "high", "fake",
                  "real", "started")  # fmt: skip


def result_cells(result: Result) -> dict[str, Cell]:
    """The cells of `RESULT_COLUMNS`."""
    low, high = result.interval or (None, None)
    return {
        "benchmark": str(result.protocol_fields["benchmark"]), "metric": result.metric, "better": result.better,
        "protocol": result.protocol, "detector": str(result.detector["name"]), "checkpoint": full_name(result),
        "value": result.value, "low": low, "high": high, "fake": result.fake,
        "real": result.real if result.real_source else None, "started": result.started,
    }  # fmt: skip
