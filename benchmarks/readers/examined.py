"""What one process found out about the videos of a place, for the other processes of its run and for later runs.

    RUN/examined/<key>.json   for each video its stamps and its facts, or why it cannot be used

To count the frames of a video, all of its file is read. So the first process of a run does it and leaves a record.

- Another process of the same run believes the record where a video has the names, sizes and times that it had for the
  first one: it opens no file. It looks at the content of the videos that it reads, when it reads them.
- A later run looks at the content of each file again, as content.py says, and believes the frames that were counted. A
  video that was rejected is examined again: if the machine failed and nobody noticed, that must not last.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, TypeVar

from latte_eval import __version__
from latte_eval.benchmarks.readers.choices import file_decoder_identity, fingerprinted
from latte_eval.benchmarks.readers.content import stamped, with_content
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.examining import Facts, entry_to_facts
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.judging import judged, read_through
from latte_eval.benchmarks.readers.listing import Listing, find_entries
from latte_eval.benchmarks.readers.places import Folder, Place
from latte_eval.benchmarks.readers.windows import TooShort
from latte_eval.core.digests import DIGEST, record_digest, with_digest
from latte_eval.core.errors import AbsentFile, ClipError, RanksDiffer, StoreError
from latte_eval.core.notices import notice
from latte_eval.core.protocol import Protocol
from latte_eval.core.schemas import Schema, is_count, is_record, is_text, or_none, parse_json_line
from latte_eval.files.run_folder import content_key
from latte_eval.files.team import Team, pauses
from latte_eval.files.whole_files import write_whole

T = TypeVar("T")

EXAMINED = "examined"

# Increase this when the fields of a record, or what they mean, change.
RECORD_VERSION = 1

# Seconds until all machines see a file that replaced another one, as on NFS.
SEEN_SECONDS = 30.0

VIDEO = Schema({
    "listed": is_text, "stamp": is_text, "length": or_none(is_count), "reason": is_text,
    "at_size": lambda value: isinstance(value, bool),
})  # fmt: skip
RECORD = Schema({
    "place": is_text, "looks": is_record,
    "videos": lambda value: is_record(value) and all(map(VIDEO.holds, value.values())), DIGEST: is_text,
})  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A video as a process found it.

    Attributes:
        listed: its stamp from names, sizes and times alone.
        stamp: the same with its content.
        length: frames; None where it was not examined, or was rejected.
        at_size: as in `Facts`.
        reason: why it was rejected; empty where it was not.
    """

    listed: str
    stamp: str
    length: int | None = None
    at_size: bool = False
    reason: str = ""


@dataclass
class Known:
    """What is known of the videos of a place; at first nothing.

    Attributes:
        kept: whether it is to be kept for others, which asks for more care.
        trusted: whether another process of this run has just found it out.
        before: path -> what the record says.
        digest: of the record.
        looks: what had to be looked at to list the place.
        now: path -> what this process says, or believes.
        other: number of videos that are not as the record says.
        unopened: paths of videos of whose content nothing but the record is known.
    """

    kept: bool = False
    trusted: bool = False
    before: dict[str, Seen] = field(default_factory=dict)
    digest: str = ""
    looks: dict[str, Any] = field(default_factory=dict)
    now: dict[str, Seen] = field(default_factory=dict)
    other: int = 0
    unopened: set[str] = field(default_factory=set)

    def look(self, at: str, ask: Callable[[], T]) -> T:
        """An answer, in JSON types, that needs an open file: asked once in a run.

        Args:
            at: what is asked, with size and time of the file.
        """
        if not (self.trusted and at in self.looks):
            self.looks[at] = ask()
        answer: T = self.looks[at]
        return answer

    def listing(self, place: Place) -> Listing:
        """The videos of a place; of arrays in this process, these."""
        if isinstance(place, HeldVideos):
            return Listing(place.entries())
        return find_entries(place, place.folders(), self.look)

    def with_content(self, place: Place, entries: Sequence[Entry]) -> list[Entry]:
        """As `content.with_content`; files that the first process has looked at are not opened."""
        there = {entry.path: entry.stamp for entry in entries}
        same = {path for path, listed in there.items() if self.trusted and self.seen(path).listed == listed}
        looked = iter(with_content(place, [entry for entry in entries if entry.path not in same]))
        self.other, self.unopened = len(there) - len(same), same
        found = [dataclasses.replace(entry, stamp=self.before[entry.path].stamp) if entry.path in same else next(looked)
                 for entry in entries]  # fmt: skip
        self.now = {entry.path: self.believed(entry, there[entry.path]) for entry in found}
        return found

    def seen(self, path: str) -> Seen:
        return self.before.get(path, Seen("", ""))

    def believed(self, entry: Entry, listed: str) -> Seen:
        """What may be believed of a video, by its stamps."""
        before = self.seen(entry.path)
        if (before.listed, before.stamp) != (listed, entry.stamp) or (before.reason and not self.trusted):
            return Seen(listed, entry.stamp)
        return before

    def check_content(self, place: Place, entry: Entry) -> None:
        """Look at a video that is about to be read. Raises `RanksDiffer` where the first process saw other content."""
        if entry.path in self.unopened:
            if stamped(place, dataclasses.replace(entry, stamp=self.now[entry.path].listed)).stamp != entry.stamp:
                raise RanksDiffer(
                    f"{entry.path} has the size and time here that another process of this run found, and other "
                    "content: give every rank the same files"
                )
            self.unopened.discard(entry.path)

    def facts(self, place: Place, entry: Entry, protocol: Protocol, side: str) -> Facts | ClipError:
        """The facts of a video, or why it cannot be used. Raises `MachineFault`."""
        seen = self.now.get(entry.path)
        if seen and seen.reason:
            return ClipError(seen.reason)
        if seen and seen.length is not None:
            return Facts(seen.length, seen.at_size)

        def examine() -> Facts:
            # FFmpeg takes a disk that fails for the end of the file, and would count fewer frames.
            if self.kept and entry.kind == "video" and isinstance(place, Folder):
                read_through(place, entry)
            return entry_to_facts(place, entry, protocol, side)

        found = judged(place, entry, examine)
        if seen:
            self.now[entry.path] = noted(seen, found)
        return found


def noted(seen: Seen, found: Facts | ClipError) -> Seen:
    """What is known of a video that was examined."""
    if isinstance(found, Facts):
        return dataclasses.replace(seen, length=found.length, at_size=found.at_size)
    if isinstance(found, TooShort):
        return dataclasses.replace(seen, length=found.found)
    return dataclasses.replace(seen, reason=str(found))


@contextmanager
def known_of(
    place: Place, path: Path, within: str, protocol: Protocol, side: str, team: Team | None
) -> Iterator[Known]:
    """What is known of a place. What is found out inside is kept in the run folder, unless that ends in an error.

    Args:
        path: as a person named it, and `within` the part that counts.
        team: the processes of a run; None keeps nothing, and arrays in this process are kept nowhere.
    """
    if team is None or isinstance(place, HeldVideos):
        yield Known()
        return
    choices = fingerprinted(protocol, side), protocol.benchmark, protocol.real_split, decoder_of(protocol)
    key = content_key(EXAMINED, RECORD_VERSION, __version__, str(path.absolute()), within, side, *choices)
    file, name = team.run / EXAMINED / f"{key}.json", team.number(f"{EXAMINED} {key}")
    with team.in_turn(name):
        said = team.told(f"{name} kept") if team.size > 1 else None
        known = opened(file, said["digest"] if said else "")
        yield known
        if not known.trusted:
            digest = keep(file, str(path), known)
            if digest and team.size > 1:
                team.tell(f"{name} kept", {"digest": digest})
        elif known.other:
            notice(
                f"{known.other:,} of {len(known.now):,} videos of {path} have other names, sizes or times than another "
                "process of this run found: they are examined again"
            )


def decoder_of(protocol: Protocol) -> list[str | int]:
    """What the number of frames depends on; nothing for a decoder that is absent, which the source refuses."""
    try:
        return file_decoder_identity(protocol)
    except PackageNotFoundError:
        return []


def opened(file: Path, digest: str) -> Known:
    """What a record says; nothing where there is none, or it is damaged.

    Args:
        digest: of the record that another process of this run has just written; empty where none has.
    """
    try:
        record = awaited_record(file, digest)
    except AbsentFile:
        return Known(kept=True)
    except StoreError as error:
        notice(f"{error}; the videos are examined again")
        return Known(kept=True)
    before = {path: Seen(**video) for path, video in record["videos"].items()}
    return Known(True, bool(digest), before, record[DIGEST], record["looks"] if digest else {})


def awaited_record(file: Path, digest: str) -> dict[str, Any]:
    """As `read_record`, once the file system shows what another process wrote."""
    deadline = time.monotonic() + (SEEN_SECONDS if digest else 0)
    for pause in pauses():
        try:
            return read_record(file, digest)
        except AbsentFile:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
    raise AssertionError


def read_record(file: Path, digest: str) -> dict[str, Any]:
    """A record, checked. Raises `AbsentFile` where it, or the one of this digest, is not there, and `StoreError`."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise AbsentFile(f"{file} is absent") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    record: dict[str, Any] = parse_json_line(text, str(file))
    if fault := RECORD.fault(record):
        raise StoreError(f"{file} is no record of videos: {fault}")
    if record[DIGEST] != record_digest(record):
        raise StoreError(f"{file} is damaged or was edited: its digest is not that of its fields")
    if digest and record[DIGEST] != digest:
        raise AbsentFile(f"{file} is another one")
    return record


def keep(file: Path, place: str, known: Known) -> str:
    """Write what is known; its digest, or nothing where it could not be written, which costs time alone."""
    videos = {path: dataclasses.asdict(seen) for path, seen in sorted(known.now.items())}
    record = with_digest({"place": place, "looks": known.looks, "videos": videos})
    try:
        if record[DIGEST] != known.digest:
            write_whole(file, (json.dumps(record) + "\n").encode())
    except StoreError as error:
        notice(f"{error}; other processes examine the videos of {place} themselves")
        return ""
    return str(record[DIGEST])
