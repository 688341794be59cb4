"""Damaged video files: each gives the same clips every time that it is read, or is rejected by name with its reason.

python tests/siege/video.py --trials 2000 --seed 0
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import av
import numpy as np
from footage import ENCODINGS
from media_makers import write_frames

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.errors import ClipError, NotEnoughClips
from latte_eval.core.protocol import Protocol
from siege.damaged_bytes import bytes_damaged
from siege.siege import Siege, Wrong, main

READ, REJECTED = "read alike twice", "rejected"

WINDOWS = Protocol(frames=4, size=None, windows="all", real_selection="sorted")

# Short, so that damage hits every part of a file.
FRAMES = 12


def prepare(folder: Path, names: Sequence[str] = tuple(ENCODINGS)) -> list[Path]:
    """A short whole file of every encoding for which this PyAV has an encoder."""
    found = []
    for number, name in enumerate(names):
        encoding = ENCODINGS[name]
        if can_write(encoding.codec):
            found.append(encoding.write(folder / f"{number:02d}.{encoding.suffix}", FRAMES))
    return found


def can_write(codec: str) -> bool:
    try:
        av.Codec(codec, "w")
    except ValueError:
        return False
    return True


def trial(material: list[Path], chance: random.Random, folder: Path) -> str:
    """One damaged file among the files of a folder."""
    whole = chance.choice(material)
    place = folder / "videos"
    place.mkdir()
    (place / f"bad{whole.suffix}").write_bytes(bytes_damaged(whole.read_bytes(), chance))
    return read_twice(place, f"bad{whole.suffix}")


def read_twice(place: Path, *names: str) -> str:
    """What comes of a place. Raises `Wrong` where two readings differ, or a reason does not name one of these files."""
    one, two = outcome(place), outcome(place)
    if isinstance(one, str) or isinstance(two, str):
        if one != two:
            raise Wrong(f"{short(one)}, then {short(two)}")
        check_reason(one, names)
        return REJECTED
    (pixels, rejected), (again, also_rejected) = one, two
    if rejected != also_rejected:
        raise Wrong(f"rejected {rejected}, then {also_rejected}")
    if pixels.shape != again.shape or not np.array_equal(pixels, again):
        raise Wrong(
            f"{len(pixels)} clips, of which {differing(pixels, again)} of the values differ in a second reading"
        )
    for path, reason in rejected:
        check_reason(f"{path}: {reason}", names)
    return READ if len(pixels) else REJECTED


def outcome(place: Path) -> str | tuple[np.ndarray, list[tuple[str, str]]]:
    """The clips of a place and what was rejected, or why there are none."""
    try:
        source = FolderSource.open(place, WINDOWS, 0, "real")
        clips = source.clips(range(len(source)))
        return clips.pixels.numpy(), sorted((each.path, each.reason) for each in source.rejected)
    except (ClipError, NotEnoughClips) as error:
        return str(error)


def check_reason(reason: object, names: Sequence[str]) -> None:
    if not isinstance(reason, str) or not reason.isprintable() or len(reason) > 1000:
        raise Wrong(f"a poor line: {str(reason)[:300]!r}")
    if names and not any(name in reason for name in names) and "too short" not in reason:
        raise Wrong(f"no file is named: {reason[:300]}")


def short(found: object) -> str:
    return found if isinstance(found, str) else f"{len(found[0])} clips"  # type: ignore[index]


def differing(one: np.ndarray, two: np.ndarray) -> str:
    return f"{float((one != two).mean()):.2%}" if one.shape == two.shape else "all"


def frame_folder(folder: Path) -> Path:
    """A folder of images, for archives."""
    return write_frames(folder, ENCODINGS["H.264"].frames(FRAMES))


SIEGE = Siege("video", trial, (READ, REJECTED), prepare, trials=2000, seconds=60, memory=4 * 2**30)

if __name__ == "__main__":
    main(SIEGE)
