"""The features of a set of real clips in one file, so that the clips are read once and are not needed again."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latte_eval import __version__
from latte_eval.compare.comparable import FAKE_ONLY, Conditions, differences, protocol_fields
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import DamagedFile, NotComparable, StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.notices import notice
from latte_eval.core.protocol import MEASURE_FIELDS, Protocol
from latte_eval.core.result_schema import IDENTITY
from latte_eval.core.schemas import (
    Schema,
    is_count,
    is_pair_of_texts,
    is_record,
    is_text,
    list_of,
    record_of,
    schema_number,
)
from latte_eval.files.run_folder import FEATURES_VERSION
from latte_eval.files.whole_arrays import content_to_bytes, read_content
from latte_eval.files.whole_files import write_whole
from latte_eval.metrics.detectors import Detector

SCHEMA = 1

# What such a file is, and the name of its note.
KIND, NOTE = "stats", "latte-eval"

# Fields of a protocol that say nothing of the features of real clips; how frames are resized, detectors say.
SAY_NOTHING = (*FAKE_ONLY, *MEASURE_FIELDS)

# What to type for a new one.
WRITE = "latte-eval stats --real DIR --out FILE"

META = Schema({
    "schema": is_count, "step_version": is_count, "protocol": is_record, "detectors": record_of(is_text),
    "source": Schema(IDENTITY).holds, "groups": list_of(is_text), "indices": list_of(is_count),
    "rejected": list_of(is_pair_of_texts),
})  # fmt: skip


def refuse_foreign_statistics(path: Path) -> None:
    """Raise `UsageError` for a file of mean and covariance, as pytorch-fid and others write: it holds no features."""
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return
    names = {Path(name).stem for name in zipfile.ZipFile(path).namelist()}
    if {"mu", "sigma"} <= names:
        raise UsageError(
            f"{path} holds statistics of another tool (mu and sigma, as pytorch-fid writes): an interval needs the "
            "features of single clips, and nothing tells how these were read. Give the videos as --real, or store "
            "their features once: latte-eval stats --real DIR --out real.safetensors"
        )


def is_stats_file(path: object) -> bool:
    """Whether it is a path that is read as a file of statistics.

    That is any safetensors file but one that holds videos: arrays of 4 or 5 dimensions, which no statistics have.
    """
    if not isinstance(path, Path) or path.suffix != ".safetensors":
        return False
    if not path.is_file():
        return True  # a pipe would be waited for; `StatsSource.open` says what is wrong
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return not any(len(file.get_slice(name).get_shape()) in (4, 5) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError, ValueError):
        return True  # as above


def write_stats(
    path: Path,
    features: dict[str, Features],
    detectors: Sequence[Detector],
    protocol: Protocol,
    source: dict[str, Any],
    candidates: Sequence[str] | None = None,
) -> None:
    """Store features by detector name, with everything they depend on and a digest. Raises `StoreError`.

    `candidates` says which clip each candidate was, where the source knows.
    """
    first = next(iter(features.values()))
    meta = {
        "schema": SCHEMA, "version": __version__, "step_version": FEATURES_VERSION, "protocol": protocol.to_dict(),
        "detectors": {each.name: each.sha256 for each in detectors}, "source": source,
        "groups": first.groups, "indices": first.indices,
        "rejected": [[each.path, each.reason] for each in first.rejected],
        "candidates": None if candidates is None else list(candidates),
    }  # fmt: skip
    arrays = {
        f"{detector}/{name}": array for detector, each in features.items() for name, array in each.outputs.items()
    }
    write_whole(path, content_to_bytes(KIND, arrays, {NOTE: meta}))


def check_meta(path: Path, meta: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise `StoreError` for a note of another kind or schema, or of another number of clips than there are rows."""
    schema_number(meta, SCHEMA, str(path))
    if fault := META.fault(meta):
        raise StoreError(f"{path} was not written by latte-eval stats, or is damaged: {fault}")
    clips = len(meta["indices"])
    counts = {len(meta["groups"]), *(len(array) if array.ndim else 1 for array in arrays.values())} - {clips}
    if counts:
        raise StoreError(f"{path} is damaged: it names {clips} clips and holds {', '.join(map(str, sorted(counts)))}")


@dataclass(frozen=True)
class StatsSource:
    """A file that `write_stats` wrote, in place of a folder of real videos.

    Attributes:
        meta: what the features depend on.
        arrays: outputs by detector and name, as in `i3d/features`.
        verified: whether a digest says that they are what was written; False for a file of version 0.1.
    """

    path: Path
    meta: dict[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    verified: bool = True

    @classmethod
    def open(cls, path: Path) -> StatsSource:
        """Read a file. Raises `StoreError` for one that is damaged, foreign or newer, `DamagedFile` for the first."""
        if not path.is_file():
            raise StoreError(f"{path} is no file")
        try:
            content = read_content(path, KIND, (NOTE,))
        except DamagedFile as error:
            raise DamagedFile(f"{error}: write it again: {WRITE}") from error
        meta = content.notes.get(NOTE)
        if not isinstance(meta, dict) or "schema" not in meta:
            raise StoreError(f"{path} was not written by latte-eval stats")
        check_meta(path, meta, content.arrays)
        if not content.verified:
            notice(f"{path} was written by version 0.1, without a digest: damage to it cannot be seen; {WRITE} writes "
                   "one that can be checked")  # fmt: skip
        return cls(path, meta, content.arrays, content.verified)

    @property
    def name(self) -> str:
        return f"{self.meta['source']['name']} ({self.path.name})"

    @property
    def fingerprint(self) -> str:
        return str(self.meta["source"]["fingerprint"])

    def record(self) -> dict[str, Any]:
        """What a result says about these clips: the choices of the run that made the file, its seed among them."""
        return {**self.meta["source"], "name": self.name}

    @property
    def rejected(self) -> Sequence[Rejected]:
        return [Rejected(path, reason) for path, reason in self.meta["rejected"]]

    def __len__(self) -> int:
        return len(self.meta["indices"])

    def clips(self, indices: Sequence[int]) -> Clips:
        """Raises `StoreError`: statistics hold no pixels."""
        raise StoreError(f"{self.path} holds features, no clips; give the folder itself as --real")

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [self.meta["groups"][i] for i in indices]

    def check(self, protocol: Protocol, detectors: Sequence[Detector]) -> None:
        """Raise `NotComparable` that names each field in which the file differs from what is asked."""
        fields = protocol_fields(Protocol.from_dict(self.meta["protocol"]), SAY_NOTHING)
        wanted = {"protocol": protocol_fields(protocol, SAY_NOTHING), "code": {"step_version": FEATURES_VERSION}}
        stored = {"protocol": fields, "code": {"step_version": self.meta["step_version"]}}
        found = differences(Conditions(stored), Conditions(wanted))
        for detector in detectors:
            sha256 = self.meta["detectors"].get(detector.name, "absent")
            pair = ({"detector": {"name": detector.name, "sha256": each}} for each in (sha256, detector.sha256))
            found += differences(*map(Conditions, pair))
        if found:
            wrong = "; ".join(each.sentence() for each in found)
            raise NotComparable(f"{self.path} was made another way: {wrong}. Write it again: latte-eval stats")

    def features(self, detector: Detector) -> Features:
        """The stored features of one detector."""
        prefix = f"{detector.name}/"
        outputs = {name.removeprefix(prefix): self.arrays[name] for name in self.arrays if name.startswith(prefix)}
        return Features(outputs, list(self.meta["indices"]), list(self.meta["groups"]), list(self.rejected))
