"""`Result`: one measured number with everything that is needed to compare or repeat it, as one JSON line."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from latte_eval.core.digests import DIGEST, check_digest, with_digest
from latte_eval.core.errors import StoreError
from latte_eval.core.numbers import number_to_text
from latte_eval.core.result_schema import check_parts
from latte_eval.core.schemas import is_number, parse_json_line, schema_number, shortened

# A byte of a file name that is not UTF-8, as Python holds it.
SURROGATE = re.compile("[\ud800-\udfff]")

SCHEMA = 1
BETTER = ("lower", "higher")


@dataclass(frozen=True)
class Result:
    """One measured number.

    Attributes:
        metric: a name in the table of metrics, such as `fvd`.
        value: the value at N, what papers print.
        better: `lower` or `higher`.
        protocol, protocol_sha256, protocol_fields: id, hash and fields of the `Protocol`.
        fake, real: how many clips were used; real is 0 for a metric without a real side.
        fake_source, real_source: name, fingerprint and number of rejected files of each side.
        checkpoint: name, sha256 and which weights were taken; None for a folder.
        detector: name, sha256, whether numbers made with it can stand beside published ones.
        sampler: method, steps, guidance and what else changes a generated clip; None for a folder.
        seeds: first and last clip index of the generated clips; None for a folder.
        interval: [low, high] for the value at N, 95 %.
        standard_error: of the value at N.
        corrected: value, interval and systematic term with the bias removed, or why it cannot be identified.
        floor: the same distance between two halves of the real side: what noise alone gives.
        details: what else a metric has to say, such as splits.
        code: version, commit, whether the work tree had changes.
        env: python, torch, CUDA, GPU, number of processes; `arithmetic`: TF32, autocast, attention, determinism.
        started: UTC, ISO 8601.
        seconds: wall clock.
        note: what a reader must know, or None.
    """

    metric: str
    value: float
    better: str
    protocol: str
    protocol_sha256: str
    protocol_fields: dict[str, Any]
    fake: int
    real: int
    fake_source: dict[str, Any]
    real_source: dict[str, Any] | None
    checkpoint: dict[str, Any] | None
    detector: dict[str, Any]
    sampler: dict[str, Any] | None
    seeds: list[int] | None
    started: str
    seconds: float
    code: dict[str, Any]
    env: dict[str, Any]
    interval: list[float] | None = None
    standard_error: float | None = None
    corrected: dict[str, Any] | None = None
    floor: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise StoreError(f"{self.metric} came out as {self.value}; such a result is never written")
        if self.better not in BETTER:
            raise StoreError(f"the metric {self.metric!r} has no direction, lower or higher: better is {self.better!r}")

    def __str__(self) -> str:
        """`fvd 412.70 [400.10, 425.30], clean-16f-stride1-256px-one-window-1a2b3c4d`"""
        interval = f" [{', '.join(map(number_to_text, self.interval))}]" if self.interval else ""
        return f"{self.metric} {number_to_text(self.value)}{interval}, {self.protocol}"

    def _repr_html_(self) -> str:
        from latte_eval.core.notebook import result_to_html

        return result_to_html(self)

    def to_json(self) -> str:
        """One line of JSON, floats at full precision, with a digest of all fields."""
        return json_line(with_digest(dataclasses.asdict(self)))

    def to_record(self) -> dict[str, Any]:
        """The fields as JSON gives them back, without a digest."""
        record: dict[str, Any] = json.loads(json_line(dataclasses.asdict(self)))
        return record

    @classmethod
    def from_json(cls, line: str, where: str = "result") -> Result:
        """Read a line. Raises `StoreError` that names `where` for a foreign or newer line; `TornLine` for a cut one."""
        return cls.from_record(parse_json_line(line, where), where)

    @classmethod
    def from_record(cls, record: Any, where: str) -> Result:
        """Read a line that is parsed. Raises `StoreError` as `from_json`, also where its digest is not its own."""
        if schema_number(record, SCHEMA, where) is None:
            raise StoreError(f"{where} is not a latte-eval result: it has no schema")
        fields = checked_fields({name: value for name, value in record.items() if name != DIGEST}, where)
        check_digest(record, where, "fields", "measure it again, or delete the line")
        return cls(**fields)


def subject(result: Result) -> str:
    """The name of what was measured: that of the checkpoint or, without one, of the fake source."""
    return str((result.checkpoint or result.fake_source)["name"])


def json_line(record: dict[str, Any]) -> str:
    """One line of JSON. Letters beyond ASCII stay as they are; if a file name is not UTF-8, all are escaped."""
    text = json.dumps(record, allow_nan=False, ensure_ascii=False)
    return text if text.isascii() or not SURROGATE.search(text) else json.dumps(record, allow_nan=False)


def checked_fields(record: dict[str, Any], where: str) -> dict[str, Any]:
    """The record, if it has the fields of a `Result` with the right kinds. Raises `StoreError`."""
    known = {f.name: f for f in dataclasses.fields(Result)}
    required = [name for name, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
    missing, unknown = [name for name in required if name not in record], sorted(set(record) - set(known))
    if missing or unknown:
        raise StoreError(f"{where} is not a latte-eval result: missing {missing[:3]}, unknown {unknown[:3]}")
    if not is_number(record["value"]):
        raise StoreError(f"{where} has the value {shortened(record['value'])}, which is not a number")
    for name, kinds in field_kinds().items():
        if name in record and (isinstance(record[name], bool) or not isinstance(record[name], kinds)):
            raise StoreError(f"{where} was edited: {name} is {shortened(record[name])}")
    if record["better"] not in BETTER:
        raise StoreError(f"{where}: the metric {record['metric']!r} has no direction, lower or higher")
    check_parts(record, where)
    return record


@cache
def field_kinds() -> dict[str, tuple[type, ...]]:
    """Types that a field of `Result` may have in JSON."""
    kinds: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "dict": (dict,),
                                          "list": (list,), "None": (type(None),)}  # fmt: skip
    named = {each.name: str(each.type).split(" | ") for each in dataclasses.fields(Result)}
    return {name: sum((kinds[part.partition("[")[0]] for part in parts), ()) for name, parts in named.items()}
