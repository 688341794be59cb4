"""Results beside each other: reading them with care, whether two can be compared, and lining them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.errors import LatteEvalError, StoreError
from latte_eval.protocol import Protocol
from latte_eval.result import BETTER, Result, read_results


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
