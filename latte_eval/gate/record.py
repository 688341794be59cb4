"""What a gate leaves in a run folder: its verdict, as a line of gate.jsonl that a report reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latte_eval.core.digests import check_digest, with_digest
from latte_eval.core.errors import StoreError
from latte_eval.core.progress import Reporter
from latte_eval.core.result import json_line
from latte_eval.core.schemas import (
    Schema,
    is_anything,
    is_count,
    is_number,
    is_text,
    list_of,
    or_none,
    parse_json_line,
    schema_number,
)
from latte_eval.files.jsonl import append_lines, parse_lines
from latte_eval.files.run_folder import RESULTS, result_file
from latte_eval.gate.summary import SCHEMA, to_record
from latte_eval.gate.verdict import Verdict

VERDICTS = "gate.jsonl"

IDENTITY = Schema({"verdict": is_anything, "new": is_anything, "accepted": is_anything, "rules": is_anything})
RULE = Schema({"rule": is_text, "verdict": is_text, "notes": list_of(is_text)},
              {"new": or_none(is_number), "accepted": or_none(is_number)})  # fmt: skip
VERDICT = Schema(
    {
        "verdict": is_text, "new": is_text, "accepted": is_text, "clips": is_count, "budget": is_count,
        "confidence": is_number, "rules": list_of(RULE.holds),
    },
    {"when": is_text},
)  # fmt: skip


def append_verdict(run: Path, verdict: Verdict) -> None:
    """Append a verdict and when it was given (UTC) to RUN/gate.jsonl. Raises `StoreError`."""
    record = {**to_record(verdict), "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    append_lines(run / VERDICTS, [json_line(with_digest(record))])


def record_beside(results: Path, verdict: Verdict, reporter: Reporter) -> None:
    """Append a verdict on results to the run folder that they lie in; results elsewhere belong to no run.

    A folder that cannot be written is only reported, not an error: nothing but the record is lost.
    """
    file = result_file(results)
    if file.name != RESULTS:
        return
    try:
        append_verdict(file.parent, verdict)
    except StoreError as error:
        reporter.say(f"the verdict is not kept: {error}")


def read_verdicts(run: Path) -> list[dict[str, Any]]:
    """Records of `summary.to_record` with `when`, oldest first; empty where no gate was run.

    Raises `StoreError` that names a line which is no verdict, was written by a newer version, or was cut at the end.
    """
    path = run / VERDICTS
    if not path.exists():
        return []
    return parse_lines(path, "verdicts", lambda line, n: parse_verdict(line, f"{path} line {n}"), newest_counts=True)


def parse_verdict(line: str, where: str) -> dict[str, Any]:
    """One line of gate.jsonl, checked."""
    record = parse_json_line(line, where)
    if schema_number(record, SCHEMA, where) is None or IDENTITY.fault(record):
        raise StoreError(f"{where} is not a verdict of latte-eval gate")
    if fault := VERDICT.fault(record):
        raise StoreError(f"{where} was edited: in a verdict, {fault}")
    check_digest(record, where, "fields", "run the gate again, or delete the line")
    return dict(record)
