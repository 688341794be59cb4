"""The run folder: features in shards named by clip range, and results as appended lines.

    RUN/run.json                                   what the run is
    RUN/features/<key>/000064-000096.safetensors   outputs of a detector for candidates 64..95
    RUN/previews/<key>/000064-000096.safetensors   small pictures of the same clips
    RUN/results.jsonl

Every file is written under a temporary name and renamed, so a killed run leaves whole files only and the
same command continues, on any number of processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latte_eval.core.errors import StoreError
from latte_eval.core.result import Result

# Kinds of shards: outputs of detectors, and small pictures of the clips.
FEATURES, PREVIEWS = "features", "previews"


def content_key(*parts: object) -> str:
    """A short key of everything that changes an answer: 16 hex digits of a sha256 over JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class RunFolder:
    """A folder that a run reads and writes.

    Args:
        path: made if absent. Raises `StoreError` if it cannot be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            make_writable(self.path)
        except OSError as error:
            raise StoreError(f"cannot write to --out {self.path}: {error.strerror}") from error

    def shard_path(self, key: str, start: int, stop: int, kind: str = FEATURES) -> Path:
        return self.path / kind / key / f"{start:06d}-{stop:06d}.safetensors"

    def has_shard(self, key: str, start: int, stop: int, kind: str = FEATURES) -> bool:
        """Whether what is kept of candidates start..stop-1 is there and whole."""
        return self.shard_path(key, start, stop, kind).is_file()

    def write_shard(
        self, key: str, start: int, stop: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any],
        kind: str = FEATURES,
    ) -> None:  # fmt: skip
        """Store arrays by name, with JSON notes."""
        from safetensors.numpy import save

        texts = {name: json.dumps(value) for name, value in notes.items()}
        data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, texts)
        write_whole(self.shard_path(key, start, stop, kind), data)

    def read_shard(self, key: str, start: int, stop: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and notes of a shard. Raises `StoreError` that names a damaged file."""
        return read_shard_file(self.shard_path(key, start, stop))

    def append_results(self, results: Sequence[Result]) -> None:
        """Append results to results.jsonl."""
        append_results(self.path / "results.jsonl", results)


def make_writable(folder: Path) -> None:
    """Make a folder if it is absent, and write to it once. Raises `OSError` where that cannot be done."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".writable-{os.getpid()}"
    probe.touch()
    probe.unlink()


def read_shard_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and notes of a shard, from a folder that need not be writable. Raises `StoreError` for a damaged file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} is damaged ({error}); delete it and run the same command again") from error
    return arrays, notes


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename. Raises `StoreError`, leaving nothing behind."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; what was finished before is kept") from error


def append_results(path: Path, results: Sequence[Result]) -> None:
    """Append results as lines. Raises `StoreError`."""
    append_lines(path, [result.to_json() for result in results])


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append whole lines under a lock, so that two jobs at once lose nothing. Raises `StoreError`."""
    text = "".join(line + "\n" for line in lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
