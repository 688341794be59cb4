"""What a report is about: results of run folders, one page for each evaluation, features and previews where kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte_eval.compare.comparable import decisive, differences
from latte_eval.compare.results import full_name, subject
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.result import Result
from latte_eval.files.run_folder import RESULTS, RunFolder, result_files
from latte_eval.gate.history import Entry, read_file
from latte_eval.gate.record import read_verdicts


@dataclass(frozen=True)
class Evaluated:
    """One evaluation: the newest result of every metric that was measured on the same clips under one protocol.

    Attributes:
        folder: the run folder.
        results: by metric, in order of measurement.
        verdict: what a gate said last about this checkpoint in this run; None without a gate.
        damage: what of the run cannot be read, though the results can.
    """

    folder: Path
    results: dict[str, Result]
    verdict: dict[str, Any] | None = None
    damage: tuple[str, ...] = ()

    @property
    def first(self) -> Result:
        """The result that stands on top."""
        return next(iter(self.results.values()))

    @property
    def name(self) -> str:
        """What was measured."""
        return full_name(self.first)

    @property
    def started(self) -> str:
        return max(result.started for result in self.results.values())

    def features(self, metric: str, side: str) -> Features | None:
        """Features of the clips that a result used; None where the run does not hold them all."""
        return RunFolder(self.folder).features_of(self.results[metric], side)

    def previews(self, side: str, indices: Sequence[int]) -> dict[int, bytes]:
        """Small pictures of clips of one side, as far as they were kept. Raises `StoreError` for damaged ones."""
        sources = [source for r in self.results.values() if (source := getattr(r, f"{side}_source"))]
        return RunFolder(self.folder).read_previews(sources[0]["fingerprint"], indices) if sources else {}


@dataclass(frozen=True)
class Found:
    """Everything that a report is made from.

    Attributes:
        evaluations: newest first.
        entries: every result with its file, by time; one that was accepted stands once, as accepted.
        unfinished: run folders that hold features but no result yet, with what they hold.
    """

    evaluations: list[Evaluated]
    entries: list[Entry]
    unfinished: list[str] = field(default_factory=list)


def read_runs(paths: Sequence[Path]) -> Found:
    """Read run folders, folders of runs, and results files.

    Raises:
        StoreError: a path is not there, holds no result, or a line was cut, edited or written by a newer version.
        UsageError: no path was given.
    """
    if not paths:
        raise UsageError("give a run folder: latte-eval report RUN -o report/")
    files = list(dict.fromkeys(file for path in paths for file in result_files(path)))
    unfinished = [text for path in paths for text in unfinished_runs(path)]
    if not files:
        raise StoreError(
            "; ".join(unfinished)
            or f"{paths[0]} holds no {RESULTS}; runs write one, as in latte-eval fvd ... --out {paths[0]}"
        )
    entries = [entry for file in files for entry in read_file(file)]
    if not entries:
        raise StoreError(f"{', '.join(map(str, files))} holds no result yet")
    accepted = {entry.identity: entry for entry in entries if entry.about}
    once = {entry.identity: accepted.get(entry.identity, entry) for entry in entries}
    by_time = sorted(once.values(), key=lambda entry: entry.result.started)
    return Found(evaluations(own_entries(entries)), by_time, unfinished)


def own_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Entries whose folder may hold their evidence: those of runs, and accepted ones that no run here has."""
    runs = {entry.identity: entry for entry in entries if not entry.about}
    rest = {entry.identity: entry for entry in entries if entry.identity not in runs}
    return sorted([*(entry for entry in entries if not entry.about), *rest.values()], key=lambda e: e.result.started)


def unfinished_runs(path: Path) -> list[str]:
    """Run folders with features and without results, one sentence each."""
    if not path.is_dir():
        return []
    folders = sorted({each.parent for each in path.rglob("features") if each.is_dir()})
    return [
        f"{folder} has no result yet, only {len(list(folder.glob('features/*/[0-9]*.safetensors')))} shards of "
        "features: it is still being written, or was stopped; the same command continues it"
        for folder in folders
        if not (folder / RESULTS).is_file()
    ]


def evaluations(entries: Sequence[Entry]) -> list[Evaluated]:
    """Results of the same clips and protocol as one evaluation, newest first; each with its gate's verdict."""
    found: dict[tuple[str, ...], list[dict[str, Result]]] = {}
    for entry in entries:
        result = entry.result
        key = (str(entry.file.parent), result.fake_source["fingerprint"], result.protocol_sha256, full_name(result))
        together = found.setdefault(key, [])
        same = next((each for each in together if belongs(result, each)), None)
        if same is None:
            together.append(same := {})
        same[result.metric] = result
    verdicts = {folder: run_verdicts(Path(folder)) for folder in {key[0] for key in found}}
    evaluated = [
        Evaluated(Path(key[0]), by_metric, last_verdict(verdicts[key[0]][0], by_metric), verdicts[key[0]][1])
        for key, together in found.items()
        for by_metric in together
    ]
    return sorted(evaluated, key=lambda each: each.started, reverse=True)


def belongs(result: Result, results: dict[str, Result]) -> bool:
    """Whether a result stands on one page with others: the same real clips, and no metric by two detectors."""
    others = [other for other in results.values() if other.real_source and result.real_source]
    found = [each for other in others for each in decisive(differences(result, other)) if each.part == "data"]
    same = results.get(result.metric, result)
    found += [each for each in decisive(differences(result, same)) if each.part == "detector"]
    return not found


def run_verdicts(run: Path) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """What gates said in a run; or nothing, and why it cannot be read: the numbers are shown all the same."""
    try:
        return read_verdicts(run), ()
    except StoreError as error:
        return [], (f"the verdict of the gate: {error}",)


def last_verdict(verdicts: Sequence[dict[str, Any]], results: dict[str, Result]) -> dict[str, Any] | None:
    """The newest verdict on the checkpoint or folder of these results."""
    names = {subject(result) for result in results.values()}
    about = [verdict for verdict in verdicts if verdict.get("new") in names]
    return about[-1] if about else None
