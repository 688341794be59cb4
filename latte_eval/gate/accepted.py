"""Accepted results: a JSONL file of what a team has agreed on, with the features beside it, named by hash.

A line is `{"schema": 1, "accepted": {who, when, why, commit}, "features": {sha256, file, bytes}, "result": {...},
"digest": sha256}`; features are null where only the number is known. The digest is over features and result: who, when
and why may be edited. Lines of version 0.1 have none.
The newest line of a metric counts; a bare result line is read as one without features.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latte_eval.compare.results import check_untouched, results_of_one
from latte_eval.core.choices import check_name
from latte_eval.core.errors import DamagedFile, StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.notices import notice
from latte_eval.core.result import Result, json_line
from latte_eval.core.schemas import (
    Schema,
    is_count,
    is_path,
    is_record,
    is_text,
    list_of,
    or_none,
    parse_json_line,
    record_of,
    schema_number,
)
from latte_eval.files.environment import git
from latte_eval.files.jsonl import append_lines, parse_lines
from latte_eval.files.run_folder import RunFolder, result_file
from latte_eval.files.whole_arrays import bytes_to_content, content_to_bytes
from latte_eval.files.whole_files import write_whole
from latte_eval.metrics.rows import METRICS

SCHEMA = 1

# What a file of accepted features is, and the name of its note.
KIND, NOTE = "accepted", "latte-eval"

FILE = Schema({"sha256": is_text, "file": is_path}, {"bytes": is_count})
LINE = Schema({"accepted": record_of(or_none(is_text)), "result": is_record},
              {"features": lambda value: value is None or FILE.holds(value)})  # fmt: skip
SIDE = Schema({"indices": list_of(is_count), "groups": list_of(is_text)})
FEATURES = Schema({"schema": is_count, "output": is_text, "sides": record_of(SIDE.holds)})


@dataclass(frozen=True)
class Accepted:
    """One accepted result.

    Attributes:
        result: what was measured.
        about: who, when, why and the commit; empty for a bare result line.
        features: sha256, file (relative to `folder`) and bytes; None where only the number is known.
        folder: where the accepted file lies.
        line: its number there.
        verified: whether a digest says that result and features are what was accepted. A bare result line has none.
    """

    result: Result
    about: dict[str, Any]
    features: dict[str, Any] | None
    folder: Path
    line: int
    verified: bool = True

    def sides(self) -> dict[str, Features]:
        """Stored features by side: `fake`, and `real` where the metric has one; empty without features.

        Raises `StoreError` for a file that is absent or not the one that was accepted.
        """
        if self.features is None:
            return {}
        path = self.folder / self.features["file"]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"the features of the accepted {self.result.metric} are not at {path} ({error.strerror}): "
                "keep that folder beside the accepted file"
            ) from error
        if hashlib.sha256(data).hexdigest() != self.features["sha256"]:
            raise StoreError(f"{path} is not the file that was accepted: its sha256 differs; accept the run again")
        return unpack(data, path)


def read_accepted(path: Path) -> list[Accepted]:
    """All lines, oldest first; one that was cut is passed over with a notice, unless it may be the newest.

    One notice tells of lines without a digest. Raises `StoreError` that names the line which cannot be read, or was
    edited.
    """
    if not path.exists():
        raise StoreError(f"{path} does not exist; make it: latte-eval gate accept RUN --into {path}")
    found = parse_lines(path, "accepted results", lambda text, n: parse_line(text, path, n), newest_counts=True)
    if not found:
        raise StoreError(f"{path} holds no accepted result; add one: latte-eval gate accept RUN --into {path}")
    if old := sum(not each.verified and bool(each.about) for each in found):
        notice(f"{path} has {old:,} lines of version 0.1, without a digest: damage to their numbers cannot be seen")
    return found


def parse_line(text: str, path: Path, number: int) -> Accepted:
    """One line of an accepted file, checked."""
    where = f"{path} line {number}"
    record = parse_json_line(text, where)
    if isinstance(record, dict) and "accepted" not in record:
        record = {"schema": SCHEMA, "accepted": {}, "features": None, "result": record}
    check_shape(record, where)
    result = Result.from_record(record["result"], where)
    check_untouched(result, where)
    return Accepted(result, record["accepted"], record["features"], path.parent, number, has_digest(record, where))


def check_shape(record: Any, where: str) -> None:
    """Raise `StoreError` unless a record has the four parts of this schema."""
    known = schema_number(record, SCHEMA, where) is not None
    if fault := LINE.fault(record) if known else "it has no schema":
        raise StoreError(
            f"{where} is not an accepted result: it needs schema, accepted, features and result, but {fault}"
        )


def has_digest(record: dict[str, Any], where: str) -> bool:
    """Whether a line has a digest. Raises `StoreError` where it is not that of its result and features."""
    if record.keys() <= {"schema", "accepted", "features", "result"}:
        return False
    if record.get("digest") != line_digest(record):
        raise StoreError(
            f"{where} is damaged or was edited: its digest is not that of its result; accept the run again"
        )
    return True


def line_digest(record: dict[str, Any]) -> str:
    """sha256 (hex) of what a gate takes from a line."""
    return hashlib.sha256(json.dumps([record["features"], record["result"]], sort_keys=True).encode()).hexdigest()


def newest(accepted: Sequence[Accepted], metric: str, path: Path) -> Accepted:
    """The line that counts for a metric. Raises `UsageError` where there is none."""
    found = [each for each in accepted if each.result.metric == metric]
    if not found:
        check_name(f"metric in {path}:", metric, sorted({each.result.metric for each in accepted}))
    return found[-1]


def newest_results(file: Path, of: str | None = None) -> dict[str, Result]:
    """The newest result of every metric. `of` names the checkpoint or folder, where a file is about several.

    Raises `UsageError` where `of` is needed, or names none of them.
    """
    return {result.metric: result for result in results_of_one(file, of)}


def accept(
    source: Path, into: Path, why: str, metrics: Sequence[str] = (), who: str | None = None, of: str | None = None
) -> list[Accepted]:
    """Add the newest result of every metric (or of `metrics`) of a run to an accepted file.

    Raises `UsageError` for a metric that the run lacks, `StoreError` for what cannot be read or written.
    """
    file = result_file(source)
    results = newest_results(file, of)
    for metric in metrics:
        check_name(f"metric in {source}:", metric, results)
    about = {"who": who or person(), "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "why": why,
             "commit": commit()}  # fmt: skip
    chosen = [result for name, result in results.items() if not metrics or name in metrics]
    lines = [Accepted(result, about, store_features(result, file.parent, into), into.parent, 0) for result in chosen]
    append_lines(into, [to_line(each) for each in lines])
    return lines


def to_line(accepted: Accepted) -> str:
    """One line of JSON."""
    record = {"schema": SCHEMA, "accepted": accepted.about, "features": accepted.features,
              "result": accepted.result.to_record()}  # fmt: skip
    return json_line({**record, "digest": line_digest(record)})


def person() -> str:
    """Who accepts: the actor of a CI job, else git's user, else the account."""
    job = os.environ.get("GITHUB_ACTOR") or os.environ.get("GITLAB_USER_LOGIN")
    return job or git("config", "user.name") or account()


def account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def commit() -> str | None:
    """The commit of a CI job, else of the folder that the command was typed in."""
    return os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA") or git("rev-parse", "HEAD") or None


def store_features(result: Result, run: Path, into: Path) -> dict[str, Any] | None:
    """Write the features that a run holds beside an accepted file, under their hash; None without the fake ones."""
    sides = {side: RunFolder(run).features_of(result, side) for side in ("fake", "real")}
    held = {side: features for side, features in sides.items() if features is not None}
    if "fake" not in held:
        return None
    data = pack(held, METRICS[result.metric].output)
    digest = hashlib.sha256(data).hexdigest()
    file = Path(f"{into.stem}.features") / f"{digest[:16]}.safetensors"
    if not (into.parent / file).is_file():
        write_whole(into.parent / file, data)
    return {"sha256": digest, "file": file.as_posix(), "bytes": len(data)}


def pack(sides: dict[str, Features], output: str) -> bytes:
    """Features of sides as one safetensors file with a digest; equal features give equal bytes."""
    arrays = {side: each.outputs[output] for side, each in sides.items()}
    about = {side: {"indices": each.indices, "groups": each.groups} for side, each in sides.items()}
    return content_to_bytes(KIND, arrays, {NOTE: {"schema": SCHEMA, "output": output, "sides": about}})


def unpack(data: bytes, path: Path) -> dict[str, Features]:
    """The inverse of `pack`. Raises `StoreError` for a file of another kind or a newer version."""
    try:
        content = bytes_to_content(data, path, KIND, (NOTE,))
        about, arrays = content.notes[NOTE], content.arrays
        schema_number(about, SCHEMA, str(path))
        if fault := FEATURES.fault(about):
            raise ValueError(fault)
        sides = about["sides"].items()
        return {side: Features({about["output"]: arrays[side]}, s["indices"], s["groups"], []) for side, s in sides}
    except (DamagedFile, KeyError, ValueError) as error:
        raise StoreError(f"{path} holds no accepted features ({error}); accept the run again") from error


def check_why(why: str) -> str:
    """Raise `UsageError` for an empty reason."""
    if not why.strip():
        raise UsageError("--why is empty: say why this result is the new baseline")
    return why.strip()
