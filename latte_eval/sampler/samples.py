"""Writing sampled clips as mp4 files that a second run recognises.

OUT/000017.mp4             clip 17
OUT/samples.json           how the clips were made, and the sha256 of each
OUT/.samples/*.json        the same of clips that some process wrote lately; the first process moves it above
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.core.clips import Clips, in_batches
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.schemas import parse_json
from latte_eval.files.claims import SharedWork
from latte_eval.files.locks import locked
from latte_eval.files.run_folder import claims_key, shard_ranges
from latte_eval.files.shards import Range
from latte_eval.files.sharing import Sharing
from latte_eval.files.team import OnLost, Team, team_at
from latte_eval.files.weights import file_sha256
from latte_eval.files.whole_files import write_replaceable, write_whole
from latte_eval.sampler.sources import SampledSource

RECORD, NOTES = "samples.json", ".samples"


def write_samples(
    source: SampledSource,
    indices: Sequence[int],
    folder: str | Path,
    *,
    fps: int = 8,
    batch_size: int = 8,
    on_clips: Callable[[int], None] = lambda count: None,
    on_lost: OnLost = "survive",
) -> tuple[int, int]:
    """Write clip i as `{i:06d}.mp4`, at its own size, and return how many were written and how many existed.

    `samples.json` beside the clips says how they were made and holds the sha256 of each. A clip that is there with
    the right bytes is not sampled again; one that is missing or damaged is, and comes back the same, byte for byte.
    All processes that write the same clips share them.

    Args:
        on_clips: called with the number of clips after each batch, and first with those that existed.
        on_lost: what to do if one of several processes is lost.

    Raises:
        UsageError: the folder holds clips that were made another way.
        StoreError: a file that cannot be written.
    """
    team, settings = team_at(Path(folder), on_lost), {**source.record, "fps": fps}
    with team.in_turn("samples"):
        samples = SamplesFolder(Path(folder), settings)
    team.check_same(team.number("samples"), {"the fingerprint of the clips": source.fingerprint})
    wanted = Wanted(samples, indices, {index for index in indices if not samples.holds(index)})
    if kept := len(indices) - len(wanted.missing):
        on_clips(kept)
    sharing = Sharing(wanted.work(team, source.least_clips), team)
    with team.present(), closing(sharing.rounds()) as rounds:
        for spans in rounds:
            for span in write_spans(source, wanted, spans or (), fps, batch_size, on_clips):
                sharing.work.finish(span)
            for span in sharing.work.news():
                on_clips(len(wanted.lacking(span)))
        if sharing.complete:
            samples.gather_notes()
    return len(wanted.missing), kept


def write_spans(
    source: SampledSource,
    wanted: Wanted,
    spans: Iterable[Range],
    fps: int,
    batch_size: int,
    on_clips: Callable[[int], None],
) -> Iterator[Range]:
    """Sample and write what the folder lacks of some ranges; yields each range as soon as it is written."""
    for span in spans:
        for batch in in_batches(wanted.not_held(span), batch_size):
            wanted.samples.write(source.clips(batch), fps)
            on_clips(len(batch))
        yield span


@dataclass(frozen=True)
class Wanted:
    """The clips that were asked for; ranges are of their places in the list.

    Attributes:
        missing: indices that the folder lacked at the start.
    """

    samples: SamplesFolder
    indices: Sequence[int]
    missing: set[int]

    def work(self, team: Team, least: int) -> SharedWork:
        """The ranges as a team shares them; one of fewer than `least` clips would take as long as so many."""
        claims = team.claims(claims_key(json.dumps([self.samples.settings, *self.indices])))
        spans = shard_ranges((0, len(self.indices)), team.size, least)
        return SharedWork(
            claims, team.watch, spans, self.stored, self.stored_now, team.rank, team.size, team.name_lost,
        )  # fmt: skip

    def lacking(self, span: Range) -> list[int]:
        """The clips of a range that the folder lacked at the start."""
        return [index for index in self.indices[slice(*span)] if index in self.missing]

    def not_held(self, span: Range) -> list[int]:
        """The clips of a range that the folder lacks now."""
        return [index for index in self.lacking(span) if not self.samples.holds(index)]

    def stored(self, spans: Sequence[Range]) -> set[Range]:
        """Which ranges are written, by whomever."""
        self.samples.refresh()
        return {span for span in spans if not self.not_held(span)}

    def stored_now(self, span: Range) -> bool:
        return span in self.stored([span])


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
        self.own: dict[str, str] = {}
        self.note = path / NOTES / f"{uuid.uuid4().hex[:16]}.json"
        self.state: tuple[int, int] | None = None
        if not (path / RECORD).is_file() and path.is_dir() and any(path.glob("*.mp4")):
            raise UsageError(f"{path} holds mp4 files that were not written by `sample`: give another --out")
        if not self.refresh():
            # Before the first clip, so that a run killed right after it is recognised.
            self.gather_notes()

    def clip_path(self, index: int) -> Path:
        return self.path / f"{index:06d}.mp4"

    def holds(self, index: int) -> bool:
        """Whether the clip is there with the bytes that were written."""
        path = self.clip_path(index)
        return path.is_file() and file_sha256(path) == self.hashes.get(path.name)

    def write(self, clips: Clips, fps: int) -> None:
        """Write clips, then a note of their hashes."""
        from latte_eval.files.h264 import write_clip

        for index, pixels in zip(clips.indices, clips.pixels, strict=True):
            write_clip(self.clip_path(index), pixels, fps)
            self.own[self.clip_path(index).name] = file_sha256(self.clip_path(index))
        self.hashes |= self.own
        write_replaceable(self.note, self.to_bytes(self.own))

    def read_record(self, path: Path) -> dict[str, Any]:
        try:
            record = parse_json(path.read_bytes())
            return {"settings": dict(record["settings"]), "files": dict(record["files"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error}); delete the folder and run again") from error

    def refresh(self) -> bool:
        """Take over the hashes of clips that other processes wrote; False where there is no record of these settings.

        Notes first: those that are gathered meanwhile are then found in the record.
        """
        self.read_notes()
        try:
            status = (self.path / RECORD).stat()
        except OSError:
            return False
        if (state := (status.st_size, status.st_mtime_ns)) != self.state:
            record, self.state = self.read_record(self.path / RECORD), state
            self.continue_from(record)
            return bool(record["settings"] == self.settings)
        return True

    def read_notes(self) -> list[Path]:
        """Take over what processes wrote lately; the notes, which another process may gather meanwhile."""
        notes = sorted((self.path / NOTES).glob("[!.]*.json"))
        for note in notes:
            with contextlib.suppress(StoreError):  # gathered meanwhile, or cut: then its clips are made again
                record = self.read_record(note)
                self.hashes |= record["files"] if record["settings"] == self.settings else {}
        return notes

    def gather_notes(self) -> None:
        """Write the record, with all that is noted, and delete the notes."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror}") from error
        with locked(self.path / RECORD):
            notes = self.read_notes()
            if (self.path / RECORD).is_file():
                self.continue_from(self.read_record(self.path / RECORD))
            write_whole(self.path / RECORD, self.to_bytes(self.hashes))
            for note in notes:
                note.unlink(missing_ok=True)

    def continue_from(self, record: dict[str, Any]) -> None:
        """Take over the hashes of an earlier run. Raises `UsageError` if its clips were made another way."""
        before = record["settings"]
        for key, value in self.settings.items():
            if record["files"] and before.get(key) != value:
                raise UsageError(
                    f"{self.path} holds clips made with {key} {before.get(key)}, not {value}: "
                    "give another --out, or the same options"
                )
        self.hashes = record["files"] | self.hashes

    def to_bytes(self, hashes: dict[str, str]) -> bytes:
        return (
            json.dumps({"settings": self.settings, "files": dict(sorted(hashes.items()))}, indent=1) + "\n"
        ).encode()
