"""Results beside each other: reading them with care, whether two can be compared, and lining them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.errors import LatteEvalError, StoreError
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import BETTER, Result, read_results


def load_results(path: Path) -> list[Result]:
    """Results of a JSONL file, of a run folder, or of every run below a folder, in order of path.

    Raises:
        StoreError: nothing there; or a line that was cut, edited, or written by a newer version: names it.
    """
    if not path.exists():
        raise StoreError(f"{path} does not exist")
    files = sorted(path.rglob("results.jsonl")) if path.is_dir() else [path]
    if not files:
        raise StoreError(f"{path} holds no results.jsonl; runs write one, as in latte-eval fvd ... --out {path}/NAME")
    found = [(file, result) for file in files for result in read_results(file)]
    for file, result in found:
        check_untouched(result, str(file))
    if not found:
        raise StoreError(f"{path} holds no result yet")
    return [result for _, result in found]


def check_untouched(result: Result, where: str) -> None:
    """Raise `StoreError` if the fields of a result contradict each other, as they do after editing by hand."""
    what = f"the {result.metric} result of {result.started} in {where}"
    try:
        protocol = Protocol.from_dict(result.protocol_fields)
    except (LatteEvalError, TypeError) as error:
        raise StoreError(f"{what} has a protocol this version cannot read: {error}") from error
    if (protocol.id, protocol.sha256) != (result.protocol, result.protocol_sha256):
        raise StoreError(f"{what} was edited: its protocol fields belong to {protocol.id}, not to {result.protocol}")
    if result.interval and not result.interval[0] <= result.value <= result.interval[1]:
        raise StoreError(f"{what} was edited: {result.value} lies outside its own interval {result.interval}")
    if result.better != BETTER.get(result.metric):
        raise StoreError(f"{what} was edited: {result.better!r} is not the better direction of {result.metric}")


def subject(result: Result) -> str:
    """What was measured: the checkpoint's name, else the folder's."""
    return str((result.checkpoint or result.fake_source)["name"])


def training_run(result: Result) -> str | None:
    """The folder of a checkpoint, which a training run fills; None where it is not known."""
    return (result.checkpoint or {}).get("run")


def full_name(result: Result) -> str:
    """A checkpoint with its folder: files of several training runs are called alike."""
    run = training_run(result)
    return f"{run}/{subject(result)}" if run else subject(result)


def reasons_not_comparable(result: Result, protocol: Protocol) -> list[str]:
    """Why a result cannot stand beside a number measured under `protocol`; empty where it can.

    The real side may hold fewer clips than the protocol's upper bound; the fake side may not.
    """
    own = Protocol.from_dict(result.protocol_fields)
    differing = [name for name in protocol.differing_fields(own) if name != "stem"]
    reasons = [f"{name} is {show(getattr(own, name))}, not {show(getattr(protocol, name))}" for name in differing]
    if not result.detector["comparable"]:
        reasons.append(f"detector {result.detector['name']} is not the published one")
    if protocol.fake_clips and result.fake != protocol.fake_clips and "fake_clips" not in differing:
        reasons.append(f"{result.fake:,} fake clips, not {protocol.fake_clips:,}")
    return reasons


def show(value: Any) -> str:
    """A field's value as a person reads it."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


@dataclass(frozen=True)
class Aligned:
    """Results of one benchmark, metric and protocol, from each of several files.

    Attributes:
        results: one list a file, newest last; empty where a file has none.
    """

    benchmark: str
    metric: str
    protocol: str
    results: tuple[list[Result], ...]


def align(files: Sequence[Iterable[Result]]) -> list[Aligned]:
    """Line up the results of several files by benchmark, metric and protocol, in order of appearance."""
    rows: dict[tuple[str, str, str], tuple[list[Result], ...]] = {}
    for i, results in enumerate(files):
        for result in results:
            key = (result.protocol_fields["benchmark"], result.metric, result.protocol)
            rows.setdefault(key, tuple([] for _ in files))[i].append(result)
    return [Aligned(*key, results) for key, results in rows.items()]


def compare_table(names: Sequence[str], files: Sequence[Sequence[Result]]) -> Table:
    """Results of several files side by side; differences are from the first file."""
    rows = align(files)
    headings = {"benchmark": Heading("benchmark"), "metric": Heading("metric"), "protocol": Heading("protocol")}
    for i, name in enumerate(names):
        headings |= {f"value {i}": Heading(name), f"interval {i}": Heading("95 % interval")}
        headings |= {f"difference {i}": Heading("difference", "+.2f")} if i else {}
    return Table("compare", "Results by benchmark, metric and protocol", headings, [compare_row(row) for row in rows],
                 [note for row in rows for note in compare_notes(row, rows)])  # fmt: skip


def compare_row(row: Aligned) -> dict[str, Cell]:
    """One benchmark, metric and protocol: the newest value of every file."""
    cells: dict[str, Cell] = {"benchmark": row.benchmark, "metric": row.metric, "protocol": row.protocol}
    newest = [results[-1] if results else None for results in row.results]
    for i, result in enumerate(newest):
        if result is not None:
            cells[f"value {i}"] = result.value
            cells[f"interval {i}"] = None if result.interval is None else (result.interval[0], result.interval[1])
            if i and newest[0] is not None:
                cells[f"difference {i}"] = result.value - newest[0].value
    return cells


def compare_notes(row: Aligned, rows: Sequence[Aligned]) -> list[str]:
    """Older results that are not shown, another detector, and why a lone row has no partner."""
    present = [results for results in row.results if results]
    what = f"{row.benchmark} {row.metric} under {row.protocol}"
    notes = [f"{what}: the newest of {len(results)} results is shown." for results in present if len(results) > 1]
    detectors = sorted({results[-1].detector["name"] for results in present})
    if len(detectors) > 1:
        notes.append(f"{what}: not comparable, measured with {' and '.join(detectors)}.")
    if len(present) < len(row.results):
        notes += [f"{what}: not comparable with {other.protocol}: {why}." for other, why in lone_reasons(row, rows)]
    return notes


def lone_reasons(row: Aligned, rows: Sequence[Aligned]) -> list[tuple[Aligned, str]]:
    """Later rows of the same benchmark and metric, and the fields in which their protocols differ."""
    own = protocol_of(row)
    later = [r for r in rows[rows.index(row) + 1 :] if (r.benchmark, r.metric) == (row.benchmark, row.metric)]
    return [(other, "; ".join(field_changes(own, protocol_of(other)))) for other in later]


def protocol_of(row: Aligned) -> Protocol:
    return Protocol.from_dict(next(results[-1] for results in row.results if results).protocol_fields)


def field_changes(first: Protocol, second: Protocol) -> list[str]:
    """`real_stride 3 and 6`, one text for each differing field."""
    names = [name for name in first.differing_fields(second) if name != "stem"]
    return [f"{name} {show(getattr(first, name))} and {show(getattr(second, name))}" for name in names]
