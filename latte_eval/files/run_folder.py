"""The run folder: features in shards named by clip range, and results as appended lines.

    RUN/features/<key>/000064-000096.safetensors   outputs of a detector for candidates 64..95
    RUN/previews/<key>/000064-000096.safetensors   small pictures of the same clips
    RUN/plans/<key>.json                           what jobs compute together, see `plans.py`
    RUN/examined/<key>.json                        what is known of videos, see `benchmarks/readers/examined.py`
    RUN/results.jsonl
    RUN/gate.jsonl                                 what gates said about these results

Every file is written under a temporary name and renamed, so a killed run leaves only whole files, and the same command
continues it, on any number of processes. Nothing else reads or writes shards.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latte_eval.core.errors import AbsentFile, StoreError
from latte_eval.core.features import Features
from latte_eval.core.notices import notice
from latte_eval.core.result import Result, subject
from latte_eval.files.jsonl import append_chosen, read_lines
from latte_eval.files.shards import (
    SHARD_CLIPS,
    Range,
    checked_shard,
    drop,
    join_shards,
    overlap,
    read_shard,
    shard_place,
    shard_span,
    uncovered,
    unusable,
)
from latte_eval.files.weights import cache_folder
from latte_eval.files.whole_arrays import content_to_bytes
from latte_eval.files.whole_files import make_writable, patiently, write_whole

RESULTS = "results.jsonl"

# Kinds of shards: outputs of detectors, and small pictures of the clips.
FEATURES, PREVIEWS = "features", "previews"

# What is left is divided into so many ranges per process: one of a third of the usual speed ends with the others.
SHARES = 4

# Increase these when a change of the code changes what a shard holds.
FEATURES_VERSION, PREVIEWS_VERSION = 1, 1


def content_key(*parts: object) -> str:
    """A short key of everything that changes an answer: 16 hex digits of a sha256 over JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def feature_key(fingerprint: str, detector: Mapping[str, Any]) -> str:
    """The folder of a source's features by a detector, from what a result records of both."""
    # Of one sample a clip the record does not say how many: features that were stored before keep their folder.
    repeated = [{"samples": detector["samples"]}] if "samples" in detector else []
    return content_key(fingerprint, detector["name"], detector["sha256"], detector["used"], FEATURES_VERSION, *repeated)


def claims_key(fingerprint: str) -> str:
    """The folder of the claims on a source's clips, whatever is made of them."""
    return content_key("claims", fingerprint)


def preview_key(fingerprint: str) -> str:
    """The folder of a source's previews."""
    return content_key(fingerprint, PREVIEWS_VERSION)


def shard_ranges(span: Range, workers: int = 1, least: int = 1) -> list[Range]:
    """Ranges of at most `SHARD_CLIPS` candidates that cover some candidates, for processes that claim one at a time.

    For several, they become smaller towards the end, so that all come to theirs at nearly the same time: each is at
    most a `SHARES`-th of what is left for every process, as in factoring (Hummel, Schonberg and Flynn 1992,
    doi 10.1145/135226.135232). One process gains nothing from that.

    Args:
        least: a smaller range takes as much time as one of so many candidates.
    """
    ranges, start = [], span[0]
    while start < span[1]:
        share = SHARD_CLIPS if workers == 1 else (span[1] - start) // (SHARES * workers)
        size = min(SHARD_CLIPS, max(1, least, power_of_two(share)))
        stop = min(start - start % size + size, span[1])
        ranges.append((start, stop))
        start = stop
    return ranges


def power_of_two(number: int) -> int:
    """The largest that is not above a number; 0 for 0."""
    return 1 << (number.bit_length() - 1) if number else 0


def result_files(path: Path) -> list[Path]:
    """`path` itself if it is a file; for a folder, its results file and those of every run below it, in order.

    Raises `StoreError` for a path that does not exist.
    """
    if not path.exists():
        raise StoreError(f"{path} does not exist; runs write one, as in latte-eval fvd ... --out {path}")
    return sorted(path.rglob(RESULTS)) if path.is_dir() else [path]


def result_file(path: Path) -> Path:
    """`path` itself if it is a file; for a run folder, its results file, whether it exists or not."""
    return path / RESULTS if path.is_dir() else path


class RunFolder:
    """A folder that a run reads and writes. Nothing is touched before a method is called.

    Args:
        path: need not exist.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def make(self) -> RunFolder:
        """Make the folder where it is absent. Raises `StoreError` if it cannot be written."""
        try:
            make_writable(self.path)
        except OSError as error:
            raise StoreError(self.unwritable(error)) from error
        return self

    def unwritable(self, error: OSError) -> str:
        """Which folder cannot be written, and what to type: a person may have named none."""
        cache = cache_folder()
        if not self.path.is_relative_to(cache):
            return f"cannot write to --out {self.path}: {error.strerror}"
        named = "LATTE_EVAL_CACHE" if os.environ.get("LATTE_EVAL_CACHE") else "the cache"
        way_out = "give --out RUN, or set LATTE_EVAL_CACHE to a folder that can be written"
        return f"cannot write to {self.path}, in {named}: {error.strerror}; {way_out}"

    @property
    def place(self) -> str:
        """What a person calls it."""
        return str(self.path)

    @property
    def results_file(self) -> Path:
        return self.path / RESULTS

    @property
    def results_place(self) -> str:
        """What a person calls the file of its results."""
        return f"{self.place}/{RESULTS}"

    def has(self, path: Path) -> bool:
        """Whether a file is in the folder; if it is, it can be read."""
        return path.is_file()

    def files(self, folder: str, suffix: str) -> list[Path]:
        """The files of one of its folders with a suffix, in order; each can be read."""
        return sorted((self.path / folder).glob(f"*{suffix}"))

    def write_file(self, path: Path, data: bytes) -> None:
        """Write one of its files, whole or not at all. Raises `StoreError`."""
        write_whole(path, data)

    def append_results(self, results: Sequence[Result]) -> list[Result]:
        """Append results as lines; those that a finished run wrote already are not written again, and returned.

        Raises `StoreError`.
        """
        repeated: list[Result] = []

        def fresh() -> list[str]:
            known = newest_by_subject(self.results_file)
            repeated.extend(result for result in results if known.get(subject_key(result)) == measured(result))
            return [result.to_json() for result in results if result not in repeated]

        append_chosen(self.results_file, fresh)
        return repeated

    def write_features(
        self, key: str, start: int, stop: int, features: Features, candidates: Sequence[str] | None = None
    ) -> None:
        """Store the features of candidates start..stop-1, and which clip each of these is. Raises `StoreError`."""
        notes = {"groups": features.groups, "labels": features.labels,
                 "rejected": [[each.path, each.reason] for each in features.rejected]}  # fmt: skip
        notes |= {} if candidates is None else {"candidates": list(candidates)}
        indices = np.array(features.indices, np.int64)
        self.write_shard(FEATURES, key, (start, stop), {"indices": indices, **features.outputs}, notes)

    def keep_features(self, key: str, features: Features, candidates: Sequence[str] | None = None) -> None:
        """Store features that came from elsewhere, as if they had been computed here; what is stored already stays.

        `candidates` says which clip each candidate from 0 on is.
        """
        count = features.indices[-1] + 1
        self.drop_unusable(key, count)
        for start, stop in self.lacking(FEATURES, key, (0, count)):
            rows = [row for row, index in enumerate(features.indices) if start <= index < stop]
            self.write_features(key, start, stop, features.take(rows), candidates and candidates[start:stop])

    def drop_unusable(
        self, key: str, count: int, candidates: Sequence[str] | None = None, within: Sequence[Range] | None = None
    ) -> None:
        """Delete the shards of candidates 0..count-1 that are damaged or hold other clips, with a notice for each.

        `candidates` as of `Shard.misfit`. With `within`, only shards of some of these candidates are looked at.

        Raises `StoreError` for a file that cannot be read or deleted.
        """
        spans = [(0, count)] if within is None else within
        for span, path in self.shards(FEATURES, key):
            if any(overlap(span, each) for each in spans) and unusable(path, path, candidates):
                drop(path, candidates)

    def read_features(
        self, key: str, count: int | None = None, candidates: Sequence[str] | None = None
    ) -> Features | None:
        """The features of candidates 0..count-1, each once, in order; None where there are no shards.

        Without `count`, those of all candidates that are stored. One notice tells of shards without a digest.

        Raises `DamagedFile` that names a damaged file, `StoreError` for one of other clips than `candidates` says.
        """
        paths = [path for span, path in self.shards(FEATURES, key) if count is None or span[0] < count]
        shards = [patiently(partial(checked_shard, path)) for path in paths]
        for shard in shards:
            if misfit := shard.misfit(candidates):
                raise StoreError(f"{shard.path} {misfit}; run the same command again")
        if old := sum(not shard.verified for shard in shards):
            notice(f"{old:,} shards in {self.path / FEATURES / key} were written by version 0.1, without a digest: "
                   "damage to them cannot be seen")  # fmt: skip
        return join_shards([shard.features for shard in shards], count) if shards else None

    def features_of(self, result: Result, side: str) -> Features | None:
        """The features of one side that a result used; None where some of them are not here."""
        source, count = getattr(result, f"{side}_source"), getattr(result, side)
        found = self.read_features(feature_key(source["fingerprint"], result.detector)) if source else None
        return found.first(count) if found and len(found) >= count else None

    def write_previews(self, fingerprint: str, start: int, stop: int, strips: Mapping[int, bytes]) -> None:
        """Store the strips of candidates start..stop-1 of a source, by index."""
        arrays = {f"{index:06d}": np.frombuffer(data, np.uint8) for index, data in strips.items()}
        self.write_shard(PREVIEWS, preview_key(fingerprint), (start, stop), arrays, {})

    def read_previews(self, fingerprint: str, indices: Sequence[int]) -> dict[int, bytes]:
        """The strips of these clips of a source, as far as they are here. Raises `StoreError` for a damaged file."""
        wanted = {f"{index:06d}": index for index in indices}
        found: dict[int, bytes] = {}
        for (start, stop), path in self.shards(PREVIEWS, preview_key(fingerprint)):
            if any(start <= index < stop for index in indices):
                arrays = read_shard(path).arrays
                found |= {wanted[name]: array.tobytes() for name, array in arrays.items() if name in wanted}
        return found

    def lacking(self, kind: str, key: str, span: Range) -> list[Range]:
        """The candidates of a range that are not stored yet, as ranges of at most one shard."""
        return uncovered([each for each, _ in self.shards(kind, key)], span)

    def stored(self, keys: Sequence[str], spans: Sequence[Range]) -> set[Range]:
        """Which ranges are stored whole, by the features of all keys."""
        last = max((stop for _, stop in spans), default=0)
        lacking = np.zeros(last, bool)
        for start, stop in (gap for key in keys for gap in self.lacking(FEATURES, key, (0, last))):
            lacking[start:stop] = True
        before = np.concatenate([[0], np.cumsum(lacking)])
        return {(start, stop) for start, stop in spans if before[stop] == before[start]}

    def stored_now(self, keys: Sequence[str], span: Range) -> bool:
        """Whether there is a shard of just this range, by the features of all keys."""
        return all(self.shard_path(FEATURES, key, span).exists() for key in keys)

    def wait_for(self, kind: str, key: str, span: Range, name: str) -> None:
        """Return once a range of candidates is stored: another job may look at a shard, which takes it away a moment.

        Raises `AbsentFile` with the `name` of their source where they stay away.
        """

        def check_there() -> None:
            if lost := self.lacking(kind, key, span):
                clips = f"clips {lost[0][0]} to {lost[0][1] - 1} of {name}"
                raise AbsentFile(f"{self.path} lost the {kind} of {clips} during the run; run the same command again")

        patiently(check_there)

    def shards(self, kind: str, key: str) -> list[tuple[Range, Path]]:
        """The shards of a key with the candidates that each covers, in order."""
        folder = self.path / kind / key
        return sorted((span, path) for path in folder.glob("*.safetensors") if (span := shard_span(path)))

    def shard_path(self, kind: str, key: str, span: Range) -> Path:
        return self.path / kind / key / f"{span[0]:06d}-{span[1]:06d}.safetensors"

    def write_shard(
        self, kind: str, key: str, span: Range, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]
    ) -> None:
        """Store arrays by name, with JSON notes."""
        path = self.shard_path(kind, key, span)
        self.write_file(path, content_to_bytes(shard_place(path), arrays, notes))


def newest_by_subject(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What the newest line of every metric and subject of a results file measured; lines of no result are left out."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for _, line in read_lines(file, "results") if file.exists() else []:
        with contextlib.suppress(StoreError):
            result = Result.from_json(line)
            found[subject_key(result)] = measured(result)
    return found


def subject_key(result: Result) -> tuple[str, str]:
    """Results of one key follow each other in time, and the newest counts."""
    return result.metric, subject(result)


def measured(result: Result) -> dict[str, Any]:
    """All of a result but when it was measured and how long that took, as it is read back."""
    return {name: value for name, value in result.to_record().items() if name not in ("started", "seconds")}
