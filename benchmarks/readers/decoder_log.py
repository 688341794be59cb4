"""Damage that FFmpeg tells in its log alone: such a frame is not marked, and some of its pixels are not the file's.

Only messages after which a part of a picture is certainly missing count: decoders complain of files that play well too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

# Decoder -> how its message begins.
MISSING_PARTS = {
    "ffv1": "slice CRC mismatch",  # later ones depend on what was decoded before, then
    "gif": "LZW decode failed",  # the lines that follow are left out
    "mjpeg": "error y=",  # the rest of the picture is left out
}

Log = list[tuple[int, str, str]]  # level, decoder, message


@contextmanager
def decoder_log() -> Iterator[Log]:
    """What decoders that run in this thread say of errors."""
    listen()
    with av.logging.Capture() as log:
        yield log


def listen() -> None:
    """Have PyAV take note of errors. The level stays: it is that of the process, and other threads may need it."""
    if (av.logging.get_level() or av.logging.PANIC) < av.logging.ERROR:
        av.logging.set_level(av.logging.ERROR)
        logging.getLogger("libav").addHandler(logging.NullHandler())  # Python would print them
    av.logging.set_skip_repeated(False)  # else the same message about the next file would be left out


def tells_damage(log: Log) -> bool:
    """Whether a part of a picture is missing."""
    return any(name in MISSING_PARTS and text.startswith(MISSING_PARTS[name]) for _, name, text in log)
