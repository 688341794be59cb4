"""Frames of a video file through decord, for who measures beside numbers that were read with it.

Each window is read as users of decord read it: a new reader, and one batch of its frames. So decord seeks, and what it
gives for a window does not depend on the windows that are read beside it. decord gives damaged frames as if they were
whole, and opens a file that was cut: so PyAV examines every file first (video.py), and what it finds counts.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latte_eval.benchmarks.readers import video
from latte_eval.core.errors import ClipError, UsageError, first_line

# Increase this when a change here changes a pixel or a number of frames.
STEP_VERSION = 1

ABSENT = (
    "decoder=decord needs decord, which is not installed: pip install decord (it has wheels for x86-64, on Linux and "
    "Windows), or leave --decoder at pyav"
)

# Frames that are held at a time.
BATCH = 64

# The file, which may be a copy under a name that nobody knows.
FILE = re.compile(r"\[/[^\]]*\] ?")

# Where in its source decord gave up, which it writes before the reason.
PLACE = re.compile(r"^(?:\[[\d:]+\] \S+:\d+: )+(?:Check failed: )?")


class DecordRefused(ClipError):
    """decord does not read a file that PyAV found whole; asked again, it may answer otherwise."""


def check_installed() -> None:
    """Raise `UsageError` where decord is not installed."""
    if importlib.util.find_spec("decord") is None:
        raise UsageError(ABSENT)


def decord_record() -> str:
    """What decodes video files, with its version."""
    return f"decord {importlib.metadata.version('decord')}"


def decord_identity() -> list[str | int]:
    """What the pixels depend on: decord carries its own FFmpeg."""
    return [*decord_record().split(), STEP_VERSION]


def count_frames(path: Path) -> int:
    """Frames that decord finds in a file that PyAV found whole. Raises `ClipError`, also where decord refuses it."""
    video.count_frames(path)
    return len(open_reader(path))


def read_frames(path: Path, indices: Sequence[int]) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """The frames of these ascending indices as one window. Raises `ClipError`."""
    reader = open_reader(path)
    if indices[-1] >= len(reader):
        raise DecordRefused(f"decord finds {len(reader)} frames, frame {indices[-1]} is wanted")
    for start in range(0, len(indices), BATCH):
        yield from told(lambda part: reader.get_batch(part).asnumpy(), list(indices[start : start + BATCH]))


def open_reader(path: Path) -> Any:
    """A reader of one thread. Raises `ClipError`."""
    import decord

    with video.open_video(path):
        pass  # what is no video, such as a playlist, is refused, and so are frames that are too large
    return told(lambda name: decord.VideoReader(name, ctx=decord.cpu(0), num_threads=1), str(path.absolute()))


def told(call: Any, argument: Any) -> Any:
    """The answer of decord. Raises `DecordRefused` with the reason that it gives, without the place in its source."""
    import decord

    try:
        return call(argument)
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        reason = FILE.sub("", PLACE.sub("", first_line(error)))
        raise DecordRefused(f"decord cannot read it: {reason}") from error
