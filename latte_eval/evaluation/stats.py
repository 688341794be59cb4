"""The features of a set of real clips in one file, so that the clips are read once and are not needed again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latte_eval import __version__
from latte_eval.compare.comparable import FAKE_ONLY, Conditions, differences, protocol_fields
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import NotComparable, StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.protocol import Protocol
from latte_eval.core.result_schema import IDENTITY
from latte_eval.core.schemas import (
    Schema,
    is_count,
    is_pair_of_texts,
    is_record,
    is_text,
    list_of,
    parse_json,
    record_of,
    schema_number,
)
from latte_eval.files.run_folder import FEATURES_VERSION
from latte_eval.files.whole_files import write_whole
from latte_eval.metrics.detectors import Detector

SCHEMA = 1

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


def write_stats(
    path: Path, features: dict[str, Features], detectors: Sequence[Detector], protocol: Protocol, source: dict[str, Any]
) -> None:
    """Store features by detector name, with everything they depend on. Raises `StoreError`."""
    from safetensors.numpy import save

    first = next(iter(features.values()))
    meta = {
        "schema": SCHEMA, "version": __version__, "step_version": FEATURES_VERSION, "protocol": protocol.to_dict(),
        "detectors": {each.name: each.sha256 for each in detectors}, "source": source,
        "groups": first.groups, "indices": first.indices,
        "rejected": [[each.path, each.reason] for each in first.rejected],
    }  # fmt: skip
    arrays = {
        f"{detector}/{name}": np.ascontiguousarray(array)
        for detector, each in features.items()
        for name, array in each.outputs.items()
    }
    write_whole(path, save(arrays, {"latte-eval": json.dumps(meta)}))


@dataclass(frozen=True)
class StatsSource:
    """A file that `write_stats` wrote, in place of a folder of real videos."""

    path: Path
    meta: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> StatsSource:
        """Read the header. Raises `StoreError` for a cut, foreign or newer file."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise StoreError(f"{path} is no file")
        try:
            with safe_open(path, framework="numpy") as file:
                meta = parse_json((file.metadata() or {})["latte-eval"])
                rows = {name: file.get_slice(name).get_shape()[:1] for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            message = f"{path} is no whole statistics file ({error}); write it again: latte-eval stats"
            raise StoreError(message) from error
        except (KeyError, ValueError) as error:
            raise StoreError(f"{path} was not written by latte-eval stats") from error
        schema_number(meta, SCHEMA, str(path))
        if fault := META.fault(meta):
            raise StoreError(f"{path} was not written by latte-eval stats, or is damaged: {fault}")
        counts = {str(len(meta["groups"])), *(str(*shape) for shape in rows.values())} - {str(len(meta["indices"]))}
        if counts:
            raise StoreError(f"{path} is damaged: it names {len(meta['indices'])} clips and holds {', '.join(counts)}")
        return cls(path, meta)

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
        fields = protocol_fields(Protocol.from_dict(self.meta["protocol"]), FAKE_ONLY)
        wanted = {"protocol": protocol_fields(protocol, FAKE_ONLY), "code": {"step_version": FEATURES_VERSION}}
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
        from safetensors import safe_open

        prefix = f"{detector.name}/"
        with safe_open(self.path, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            outputs = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
        return Features(outputs, list(self.meta["indices"]), list(self.meta["groups"]), list(self.rejected))
