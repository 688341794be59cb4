"""Plans: what the jobs of `--shard K/N` compute together, so that `merge` needs neither checkpoint nor data.

    RUN/plans/<key>.json   one evaluation: metrics, protocol, seed, and what a result says of both sides

Every job makes the same plan. The first writes it; a job with another one under the same key is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from latte_eval.core.digests import DIGEST, check_digest, with_digest
from latte_eval.core.errors import NotComparable, StoreError
from latte_eval.core.result import json_line
from latte_eval.core.result_schema import IDENTITY, PARTS
from latte_eval.core.schemas import (
    Schema,
    is_count,
    is_pair_of_texts,
    is_record,
    is_text,
    list_of,
    or_none,
    parse_json_line,
    record_of,
    schema_number,
    shortened,
)
from latte_eval.files.run_folder import FEATURES_VERSION, RunFolder, content_key

PLANS = "plans"
SCHEMA = 1


def is_share_count(value: Any) -> bool:
    return is_count(value) and value > 0


def is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_switch(value: Any) -> bool:
    return isinstance(value, bool)


SIDE = Schema({
    **IDENTITY, "limit": is_count, "wanted": or_none(is_count), "at_most": or_none(is_count),
    "rejected": list_of(is_pair_of_texts), "about": is_record, "candidates": or_none(list_of(is_text)),
    "checkpoint": or_none(PARTS["checkpoint"].holds), "sampler": or_none(PARTS["sampler"].holds),
    "generator": or_none(is_text), "stored": is_switch,
})  # fmt: skip
DETECTOR = Schema({**PARTS["detector"].required, "note": is_text})
PLAN = Schema({
    "schema": is_count, "version": is_text, "features_version": is_count, "shares": is_share_count,
    "metrics": list_of(is_text), "protocol_fields": is_record, "seed": is_whole_number, "splits": or_none(is_count),
    "interval": is_switch, "fake": SIDE.holds, "real": or_none(SIDE.holds), "detectors": record_of(DETECTOR.holds),
    "env": PARTS["env"].holds,
})  # fmt: skip

# What may differ between jobs of one evaluation: where they ran, and what they found out while they read.
OWN_TO_A_JOB = ("env", "rejected", "candidates", "name", "run")


@dataclass(frozen=True)
class PlannedSide:
    """What a merge must know of one side.

    Attributes:
        limit: candidates that the source has.
        wanted, at_most: as of `evaluation.side.Side`.
        rejected: path and reason of what could not be used before it was read.
        about: what a result says of the source beside name and fingerprint.
        candidates: which clip each candidate from 0 on is, as far as they were asked for; None where its number tells.
        checkpoint, sampler, generator: as of `Side`.
        stored: whether it is a file of statistics, which the first job alone puts into the run folder.
    """

    name: str
    fingerprint: str
    limit: int
    wanted: int | None
    at_most: int | None
    rejected: list[list[str]]
    about: dict[str, Any]
    candidates: list[str] | None
    checkpoint: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = None
    generator: str | None = None
    stored: bool = False

    @property
    def goal(self) -> int:
        """Clips that are to be measured, if all of its candidates can be read."""
        return min(self.limit, self.wanted or self.at_most or self.limit)


@dataclass(frozen=True)
class Plan:
    """One evaluation that several jobs compute.

    Attributes:
        shares: into how many shares the clips are divided: N of `--shard K/N`.
        detectors: what a result says of the detector of each metric, and its `note`.
        env: where the job ran that wrote it.
    """

    version: str
    shares: int
    metrics: list[str]
    protocol_fields: dict[str, Any]
    seed: int
    splits: int | None
    interval: bool
    fake: PlannedSide
    real: PlannedSide | None
    detectors: dict[str, dict[str, Any]]
    env: dict[str, Any]
    features_version: int = FEATURES_VERSION
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """The name of its file: plans of one subject and one choice of metrics have the same, whatever else differs."""
        of = self.fake.checkpoint or {}
        subject = of.get("sha256") or of.get("name") or self.fake.generator or PurePath(self.fake.name).name
        return content_key("plan", sorted(self.metrics), subject, self.protocol_fields.get("benchmark"))

    @property
    def title(self) -> str:
        """`fvd of demo`"""
        return f"{', '.join(self.metrics)} of {(self.fake.checkpoint or {}).get('name') or self.fake.name}"

    @property
    def sides(self) -> dict[str, PlannedSide]:
        """The sides by name, the real one first."""
        return {name: side for name, side in (("real", self.real), ("fake", self.fake)) if side is not None}

    def with_side(self, name: str, side: PlannedSide) -> Plan:
        """A copy with another `real` or `fake` side."""
        return dataclasses.replace(self, real=side) if name == "real" else dataclasses.replace(self, fake=side)

    def to_record(self) -> dict[str, Any]:
        """The fields as JSON gives them back."""
        record: dict[str, Any] = json.loads(json_line(dataclasses.asdict(self)))
        return record


def settle(run: RunFolder, plan: Plan) -> Plan:
    """The plan that the run folder holds under this key: written, unless another job was first.

    Raises `NotComparable` that names the fields in which that job's plan differs, `StoreError`.
    """
    path = plan_path(run, plan.key)
    there = read_plan(path) if run.has(path) else None
    if there is None:
        keep(run, plan)
        return plan
    if wrong := differing(there, plan):
        raise NotComparable(
            f"other jobs compute {there.title} in {run.place} another way: {'; '.join(wrong)}. Give all jobs the same "
            f"options, or this one another --out"
        )
    return there


def keep(run: RunFolder, plan: Plan) -> None:
    """Write a plan, or one that knows more over it. Raises `StoreError`."""
    run.write_file(plan_path(run, plan.key), (json_line(with_digest(plan.to_record())) + "\n").encode())


def plan_path(run: RunFolder, key: str) -> Path:
    return run.path / PLANS / f"{key}.json"


def read_plans(run: RunFolder) -> list[Plan]:
    """The plans of a run folder, in order of key. Raises `StoreError` that names one which cannot be read."""
    return [read_plan(path) for path in run.files(PLANS, ".json")]


def read_plan(path: Path) -> Plan:
    """A plan, checked. Raises `StoreError`: it cannot be read, is damaged, is none, or a newer version wrote it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    record = parse_json_line(text, str(path))
    if schema_number(record, SCHEMA, str(path)) is None:
        raise StoreError(f"{path} is no plan of latte-eval: it has no schema")
    remedy = "delete it, and type the command of any of the jobs again"
    if fault := PLAN.fault(record):
        raise StoreError(f"{path} is no whole plan: {fault}; {remedy}")
    check_digest(record, str(path), "fields", remedy)
    plan = record_to_plan({name: value for name, value in record.items() if name != DIGEST}, path)
    if plan.key != path.stem:
        raise StoreError(f"{path} is the plan {plan.key} under another name; {remedy}")
    return plan


def record_to_plan(record: dict[str, Any], path: Path) -> Plan:
    """The inverse of `Plan.to_record`. Raises `StoreError` for a field that is not known."""
    try:
        sides = {name: PlannedSide(**record[name]) for name in ("fake", "real") if record[name] is not None}
        return Plan(**{**record, **sides})
    except TypeError as error:
        raise StoreError(f"{path} holds a field that this version does not know ({error})") from error


def differing(there: Plan, asked: Plan) -> list[str]:
    """In what two plans of one key differ, a few words each."""
    before, now = (dict(leaves(plan.to_record())) for plan in (there, asked))
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    names = [name for name in names if not name.endswith("fingerprint")] or names  # of everything that is named
    return [f"{name} is {shortened(now.get(name))}, there {shortened(before.get(name))}" for name in names]


def leaves(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested records under the names of their fields, but for those that are a job's own."""
    for name, value in record.items():
        if name in OWN_TO_A_JOB and not prefix.startswith("detectors"):
            continue
        full = f"{prefix}{name}".replace("protocol_fields ", "protocol ")
        if isinstance(value, Mapping):
            yield from leaves(value, f"{full} ")
        else:
            yield full, value
