"""Value over time: accepted results and measured ones in one table per metric, protocol and detector, with commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.baselines.table import ARROWS, Cell, Heading, Table
from latte_eval.compare.comparable import Standing, differences, line_key, standing
from latte_eval.compare.results import RESULT_COLUMNS, full_name, result_cells
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.notices import notice
from latte_eval.core.result import Result
from latte_eval.files.jsonl import parse_lines
from latte_eval.files.run_folder import RESULTS, result_files
from latte_eval.gate.accepted import parse_line

HEADINGS = {
    "when": Heading("measured"), "checkpoint": Heading("checkpoint"), "iteration": Heading("iteration"),
    "value": Heading("value"), "interval": Heading("95 % interval"), "clips": Heading("clips"),
    "grade": Heading("grade"),
    "accepted": Heading("accepted"), "why": Heading("why"), "commit": Heading("commit"), "file": Heading("file"),
}  # fmt: skip

HISTORY_COLUMNS = (
    *RESULT_COLUMNS,
    "iteration",
    "accepted_when",
    "accepted_by",
    "why",
    "commit",
    "file",
    "grade",
    "reasons",
)

NO_FILES = "history needs accepted files or results: latte-eval history accepted.jsonl results/*.jsonl"


@dataclass(frozen=True)
class Entry:
    """A result and, where it was accepted, who said so, when and why."""

    result: Result
    about: dict[str, Any]
    file: Path

    @property
    def key(self) -> tuple[str, str, str]:
        """What entries of one table or curve have in common: metric, protocol and detector."""
        return line_key(self.result)

    @property
    def commit(self) -> str | None:
        """Of who accepted it, else of the code that measured it."""
        return self.about.get("commit") or (self.result.code or {}).get("commit")

    @property
    def identity(self) -> tuple[str, ...]:
        """The same for a result in its run folder and for the line that accepted it."""
        r = self.result
        return *self.key, r.protocol_sha256, r.started, repr(r.value), r.fake_source["fingerprint"]


def read_entries(paths: Sequence[Path], metric: str | None = None) -> list[Entry]:
    """Entries of files and run folders, by key and time. One that was accepted stands once, as accepted.

    Raises `StoreError` for what cannot be read, `UsageError` where nothing was given.
    """
    if not paths:
        raise UsageError(NO_FILES)
    found: dict[tuple[str, ...], Entry] = {}
    for entry in (entry for path in paths for file in files_of(path) for entry in read_file(file)):
        if metric in (None, entry.result.metric) and (entry.about or entry.identity not in found):
            found[entry.identity] = entry
    return sorted(found.values(), key=lambda entry: (entry.key, entry.result.started))


def files_of(path: Path) -> list[Path]:
    """The files of results at a path, at least one. Raises `StoreError`."""
    files = result_files(path)
    if not files:
        raise StoreError(f"{path} holds no {RESULTS}")
    return files


def read_file(path: Path) -> list[Entry]:
    """Every whole line of an accepted file or of a results file, which is told if it has none.

    Raises `StoreError` that names a line.
    """
    found = parse_lines(path, "results", lambda line, n: parse_line(line, path, n))
    if not found:
        notice(f"{path} holds no result")
    return [Entry(each.result, each.about, path) for each in found]


def history_tables(entries: Sequence[Entry]) -> list[Table]:
    """A table for each metric, protocol and detector: values under different ones do not compare."""
    keys = list(dict.fromkeys(entry.key for entry in entries))
    note = f"{len(keys)} protocols, metrics or detectors are kept apart: their values do not compare."
    groups = [[entry for entry in entries if entry.key == key] for key in keys]
    tables = [history_table(group, f"history {n}") for n, group in enumerate(groups, 1)]
    if len(tables) > 1:
        tables[-1].notes.append(note)
    return tables


def history_table(entries: Sequence[Entry], name: str) -> Table:
    """One metric under one protocol, oldest first."""
    metric, protocol, detector = entries[0].key
    title = f"{metric.upper()}{ARROWS[entries[0].result.better]} over time, {protocol}, {detector}"
    reference = reference_of(entries)
    standings = [standing(differences(entry.result, reference.result)) for entry in entries]
    rows = [history_row(*pair) for pair in zip(entries, standings, strict=True)]
    records = [history_record(*pair) for pair in zip(entries, standings, strict=True)]
    about = {"metric": metric, "protocol": protocol, "detector": detector, "better": entries[0].result.better}
    return Table(
        name, title, HEADINGS, rows, grade_notes(entries, standings, reference), about, HISTORY_COLUMNS, records
    )


def reference_of(entries: Sequence[Entry]) -> Entry:
    """What the others are graded against: the result that was accepted last, else the first."""
    accepted = [entry for entry in entries if entry.about]
    return max(accepted, key=lambda entry: str(entry.about.get("when", ""))) if accepted else entries[0]


def grade_notes(entries: Sequence[Entry], standings: Sequence[Standing], reference: Entry) -> list[str]:
    """Why results do not compare with the reference, one line per result."""
    name, what = full_name(reference.result), "accepted last" if reference.about else "measured first"
    return [
        f"{full_name(entry.result)} of {entry.result.started} is {found.grade} with {name}, {what}: "
        f"{'; '.join(found.reasons)}."
        for entry, found in zip(entries, standings, strict=True)
        if found.reasons
    ]


def history_row(entry: Entry, found: Standing) -> dict[str, Cell]:
    """One result."""
    r, about, commit = entry.result, entry.about, entry.commit
    return {
        "when": r.started, "checkpoint": full_name(r), "iteration": (r.checkpoint or {}).get("iteration"),
        "value": r.value, "interval": (r.interval[0], r.interval[1]) if r.interval else None, "clips": r.fake,
        "grade": found.grade,
        "accepted": f"{about['when']} by {about['who']}" if {"when", "who"} <= set(about) else None,
        "why": about.get("why"), "commit": commit[:12] if commit else None, "file": str(entry.file),
    }  # fmt: skip


def history_record(entry: Entry, found: Standing) -> dict[str, Cell]:
    """The same for machines."""
    about = entry.about
    return {
        **result_cells(entry.result), "iteration": (entry.result.checkpoint or {}).get("iteration"),
        "accepted_when": about.get("when"), "accepted_by": about.get("who"), "why": about.get("why"),
        "commit": entry.commit, "file": str(entry.file), "grade": found.grade,
        "reasons": "; ".join(found.reasons) or None,
    }  # fmt: skip
