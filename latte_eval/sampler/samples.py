"""Writing sampled clips as mp4 files that a second run recognises."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from latte_eval.core.clips import Clips
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.schemas import parse_json
from latte_eval.files.weights import file_sha256
from latte_eval.files.whole_files import write_whole
from latte_eval.sampler.sources import SampledSource

RECORD = "samples.json"


def write_samples(
    source: SampledSource,
    indices: Sequence[int],
    folder: str | Path,
    *,
    fps: int = 8,
    batch_size: int = 8,
    on_clips: Callable[[int], None] = lambda count: None,
) -> tuple[int, int]:
    """Write clip i as `{i:06d}.mp4`, at its own size, and return how many were written and how many existed.

    `samples.json` beside the clips says how they were made and holds the sha256 of each. A clip that is there with
    the right bytes is not sampled again; one that is missing or damaged is, and comes back the same, byte for byte.

    Args:
        on_clips: called with the number of clips after each batch, and first with those that existed.

    Raises:
        UsageError: the folder holds clips that were made another way.
        StoreError: a file that cannot be written.
    """
    samples = SamplesFolder(Path(folder), {**source.record, "fps": fps})
    missing = [index for index in indices if not samples.holds(index)]
    kept = len(indices) - len(missing)
    if kept:
        on_clips(kept)
    for start in range(0, len(missing), batch_size):
        clips = source.clips(missing[start : start + batch_size])
        samples.write(clips, fps)
        on_clips(len(clips))
    return len(missing), kept


class SamplesFolder:
    """A folder of sampled clips and the record of how they were made.

    Args:
        path: made if absent.
        settings: everything that changes the clips, in JSON types.

    Raises:
        UsageError: it holds clips of other settings, or clips without a record.
        StoreError: it cannot be read or written.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path, self.settings = path, settings
        self.hashes: dict[str, str] = {}
        if (path / RECORD).is_file():
            self.continue_from(self.read_record())
        elif path.is_dir() and any(path.glob("*.mp4")):
            raise UsageError(f"{path} holds mp4 files that were not written by `sample`: give another --out")
        # Before the first clip, so that a run killed right after it is recognised.
        self.write_record()

    def clip_path(self, index: int) -> Path:
        return self.path / f"{index:06d}.mp4"

    def holds(self, index: int) -> bool:
        """Whether the clip is there with the bytes that were written."""
        path = self.clip_path(index)
        return path.is_file() and file_sha256(path) == self.hashes.get(path.name)

    def write(self, clips: Clips, fps: int) -> None:
        """Write clips, then their hashes."""
        from latte_eval.files.h264 import write_clip

        for index, pixels in zip(clips.indices, clips.pixels, strict=True):
            write_clip(self.clip_path(index), pixels, fps)
            self.hashes[self.clip_path(index).name] = file_sha256(self.clip_path(index))
        self.write_record()

    def read_record(self) -> dict[str, Any]:
        try:
            record = parse_json((self.path / RECORD).read_bytes())
            return {"settings": dict(record["settings"]), "files": dict(record["files"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.path / RECORD} is damaged ({error}); delete the folder and run again") from error

    def continue_from(self, record: dict[str, Any]) -> None:
        """Take over the hashes of an earlier run. Raises `UsageError` if its clips were made another way."""
        before = record["settings"]
        for key, value in self.settings.items():
            if record["files"] and before.get(key) != value:
                raise UsageError(
                    f"{self.path} holds clips made with {key} {before.get(key)}, not {value}: "
                    "give another --out, or the same options"
                )
        self.hashes = record["files"]

    def write_record(self) -> None:
        record = {"settings": self.settings, "files": dict(sorted(self.hashes.items()))}
        write_whole(self.path / RECORD, (json.dumps(record, indent=1) + "\n").encode())
