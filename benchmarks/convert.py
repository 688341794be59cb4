"""Converting a dataset once: crop, resize, and store videos or frames that every protocol reads as they are.

The pixels are those that the readers would make of the source: the same crop and resize. `video` and `png` keep them
exactly; `jpg` stores quality 75, 4:2:0, as the converters of Latte and StyleGAN-V do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from latte_eval.benchmarks.check import decoded, probe, side_by_side
from latte_eval.benchmarks.dataset import Dataset, video_name
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.faults import refuse_fault
from latte_eval.benchmarks.readers.images import Size
from latte_eval.benchmarks.readers.listing import find_entries
from latte_eval.benchmarks.readers.opening import open_place
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.prepare import has_target_size, prepare_frame
from latte_eval.core.choices import check_choice
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError, StoreError, UsageError
from latte_eval.core.protocol import Protocol
from latte_eval.core.schemas import parse_json
from latte_eval.files.lossy import CHROMA_420, JPEG_QUALITY
from latte_eval.files.whole_files import put_in_place, unfinished_path, write_replaceable, write_whole

Frames = Iterable[np.ndarray]
Writer = Callable[[Path, Frames], None]

FPS = 25
RECORD = "prepared.json"


@dataclass(frozen=True)
class Prepared:
    """What a conversion did: videos written now, videos that were there, and those that could not be read."""

    written: int
    kept: int
    unreadable: list[Rejected]


@dataclass(frozen=True)
class Preparation:
    """The conversion of a benchmark's videos.

    Attributes:
        place: the source, which is only read.
        entries: its videos; one whose name is taken by an earlier one is rejected instead.
        target: folder that is written.
        protocol: crop and size.
        store: `video` (lossless H.264), `png` or `jpg` frames.
    """

    place: Place
    entries: list[Entry | Rejected]
    target: Path
    protocol: Protocol
    store: str

    @classmethod
    def open(
        cls, benchmark: Dataset, source: Path, target: Path, store: str, size: int = 256, crop: str = "crop-resize"
    ) -> Preparation:
        """List the source and decide where its videos go: class and clip folders keep their names.

        Raises:
            UsageError: the target lies in the source or the other way round, or an unknown `store` or `crop`.
            StoreError: the target cannot be written, or was prepared in another way.
            ClipError: the source is not the benchmark.
        """
        check_choice("--store", store, WRITERS)
        protocol = Protocol(size=size, crop=crop)
        check_apart(source, target)
        found = benchmark.locate(source)
        target = target if found.split == "train+test" else target / found.split
        place = open_place(found.path, found.within)
        entries = [entry for entry in find_entries(place, place.folders()).entries if found.keeps(entry.path)]
        check_record(target, {"benchmark": benchmark.name, "store": store, "size": size, "crop": crop})
        return cls(place, list(unique(entries, store)), target, protocol, store)

    def __len__(self) -> int:
        return len(self.entries)

    def run(self, jobs: int | None = None, progress: Callable[[int], None] = lambda count: None) -> Prepared:
        """Convert what the target does not hold yet.

        Args:
            jobs: videos at once; by default one per processor.
            progress: called after each video.

        Raises:
            StoreError: the target cannot be written; what was finished before is kept.
            MachineFault: a video cannot be read, and its bytes are not to blame; likewise.
        """
        outcomes = list(side_by_side(self.convert, self.entries, progress, jobs))
        unreadable = [*self.place.rejected, *(each for each in outcomes if isinstance(each, Rejected))]
        return Prepared(outcomes.count("written"), outcomes.count("kept"), unreadable)

    def convert(self, entry: Entry | Rejected) -> str | Rejected:
        """`written`, `kept`, or why the entry cannot be converted."""
        if isinstance(entry, Rejected):
            return entry
        final = self.target / stored_path(entry, self.store)
        if final.exists():
            return "kept"
        partial = unfinished_path(final)
        try:
            length, size = probe(self.place, entry)
            make_folder(final.parent)
            self.write(partial, entry, length, size)
            put_in_place(partial, final)
        except (ClipError, OSError) as error:
            refuse_fault(error, entry.path)
            return Rejected(entry.path, str(error))
        finally:
            remove(partial)
        return "written"

    def write(self, path: Path, entry: Entry, length: int, size: Size) -> None:
        """Convert one entry. Frames that have the target size are copied, never stored a second time."""
        if entry.kind == "frames" and has_target_size(*size, self.protocol):
            if self.store == "video":
                raise ClipError(f"frames at {size[0]}x{size[1]} already, read as they are; --store jpg copies them")
            copy_frames(self.place, entry, path)
            return
        WRITERS[self.store](path, (prepare_frame(f, self.protocol) for f in decoded(self.place, entry, length)))


def unique(entries: list[Entry], store: str) -> Iterator[Entry | Rejected]:
    """The entries; one that would be stored under the name of an earlier one is rejected instead."""
    taken: dict[Path, str] = {}
    for entry in entries:
        first = taken.setdefault(stored_path(entry, store), entry.path)
        yield entry if first == entry.path else Rejected(entry.path, f"has the same name as {first}")


def stored_path(entry: Entry, store: str) -> Path:
    """Where an entry goes below the target: its own path, with the suffix of what is stored."""
    name = video_name(entry.path) or "frames"
    return Path(entry.path).parent / (name + (".mp4" if store == "video" else ""))


def check_apart(source: Path, target: Path) -> None:
    """Raise `UsageError` if writing to `target` could touch `source`."""
    source, target = source.resolve(), target.resolve()
    if source.is_dir() and (target == source or source in target.parents):
        raise UsageError(f"{target} lies in {source}, which is only read: give a folder outside it")
    if target in source.parents and target.is_dir() and not (target / RECORD).is_file():
        raise UsageError(f"{target} holds the source {source}: give a folder of its own, such as {target}/prepared")


def check_record(target: Path, settings: dict[str, object]) -> None:
    """Note in `target` how it is prepared. Raises `StoreError` if it was prepared in another way."""
    path = target / RECORD
    if not path.is_file():
        write_whole(path, json.dumps(settings).encode())
        return
    try:
        before = parse_json(path.read_bytes())
        changed = [f"{key} {before.get(key)}" for key, value in settings.items() if before.get(key) != value]
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"cannot read {path}, which says how the folder was prepared: give another folder") from error
    if changed:
        raise StoreError(f"{target} was prepared with {', '.join(changed)}: give another folder, or the same options")


def copy_frames(place: Place, entry: Entry, path: Path) -> None:
    """The frames of an entry, byte for byte and under their own names."""
    make_folder(path)
    for name, file in zip(entry.names, entry.files, strict=True):
        with place.open_file(file) as data:
            write_replaceable(path / name, data.read())


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_video(path: Path, frames: Frames) -> None:  # each [S, S, 3] uint8
    """Lossless H.264 in RGB: every pixel comes back. Raises `StoreError`."""
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("libx264rgb", rate=Fraction(FPS), options={"crf": "0", "preset": "veryfast"})
            stream.pix_fmt = "rgb24"
            for i, frame in enumerate(frames):
                if i == 0:
                    stream.height, stream.width = frame.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def write_png(path: Path, frames: Frames) -> None:
    write_frames(path, frames, "png")


def write_jpg(path: Path, frames: Frames) -> None:
    write_frames(path, frames, "jpg", quality=JPEG_QUALITY, subsampling=CHROMA_420)


def write_frames(path: Path, frames: Frames, suffix: str, **options: Any) -> None:  # each [S, S, 3] uint8
    """A folder of numbered frames: 000000.png, 000001.png, ... Raises `StoreError`."""
    make_folder(path)
    for i, frame in enumerate(frames):
        try:
            Image.fromarray(frame).save(path / f"{i:06d}.{suffix}", **options)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error


WRITERS: dict[str, Writer] = {"video": write_video, "png": write_png, "jpg": write_jpg}
