"""What a decoder process does: it takes jobs about videos and images on stdin and answers on stdout, until stdin ends.

Decoders are large programs in C that read files of strangers. A crash ends this process, not the evaluation:
decoders.py starts another one. A message is a line of JSON and as many bytes as it says.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from latte_eval.benchmarks.readers import decord_frames
from latte_eval.benchmarks.readers.animations import Damaged
from latte_eval.benchmarks.readers.faults import faults_refused
from latte_eval.benchmarks.readers.images import image_size, read_image
from latte_eval.benchmarks.readers.prepare import prepare_frame
from latte_eval.benchmarks.readers.video import count_frames, frame_size, read_video
from latte_eval.core.errors import ClipError, MachineFault, first_line
from latte_eval.core.protocol import Protocol

# Errors that are told by name; of an error and a special kind of it, the kind comes first.
ERRORS: dict[str, type[Exception]] = {
    each.__name__: each for each in (decord_frames.DecordRefused, ClipError, MachineFault, MemoryError)
}

Message = tuple[dict[str, Any], bytes]

# decord has been seen to try for ever on damaged files; one frame, after a seek, takes a small part of this.
DECORD_SECONDS = 60


def write_message(stream: IO[bytes], head: dict[str, Any], content: bytes = b"") -> None:
    """Write a line of JSON and the bytes that follow it."""
    stream.write(json.dumps({**head, "bytes": len(content)}).encode() + b"\n")
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """The next message; None where the stream ended, also in the midst of one."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    content = stream.read(head["bytes"])
    return (head, content) if len(content) == head["bytes"] else None


def serve() -> None:
    """Answer jobs until there are no more. Ctrl-C is left to the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not stand among the answers.
    os.dup2(2, 1)
    while (message := read_message(sys.stdin.buffer)) is not None:
        for head, content in timed(answer(message[0]), message[0].get("decoder") == "decord"):
            write_message(answers, head, content)


def timed(messages: Iterator[Message], limited: bool) -> Iterator[Message]:
    """The same messages. Where they are limited, this process is ended by SIGALRM if one takes too long.

    A library in C that waits for ever answers no exception; the signal's own action needs no answer.
    """
    if not limited or not hasattr(signal, "SIGALRM"):
        yield from messages
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    try:
        signal.alarm(DECORD_SECONDS)
        for message in messages:
            signal.alarm(0)
            yield message
            signal.alarm(DECORD_SECONDS)
    finally:
        signal.alarm(0)


def answer(job: dict[str, Any]) -> Iterator[Message]:
    """The answers to a job: those of its function, then `end`; or an error, told from a fault of the machine here."""
    try:
        with faults_refused(job["name"]):
            yield from JOBS[job["job"]](job)
        yield {"end": True}, b""
    except Damaged as error:
        yield {"error": "Damaged", "text": str(error), "frame": error.frame}, b""
    except tuple(ERRORS.values()) as error:
        kind = next(name for name, kind in ERRORS.items() if isinstance(error, kind))
        yield {"error": kind, "text": str(error)}, b""
    except OSError as error:
        yield {"error": "ClipError", "text": f"cannot be read: {first_line(error)}"}, b""


def count(job: dict[str, Any]) -> Iterator[Message]:
    counted = decord_frames.count_frames if job.get("decoder") == "decord" else count_frames
    yield {"value": counted(Path(job["path"]))}, b""


def size(job: dict[str, Any]) -> Iterator[Message]:
    yield {"value": frame_size(Path(job["path"]))}, b""


def read(job: dict[str, Any]) -> Iterator[Message]:
    """Frames brought to the size of the protocol: they are fewer bytes than those of the file."""
    protocol, path = job["protocol"] and Protocol.from_dict(job["protocol"]), Path(job["path"])
    if job.get("decoder") == "decord":
        frames = decord_frames.read_frames(path, job["indices"])
    else:
        frames = read_video(path, job["indices"], job["check"])
    for frame in frames:
        prepared = np.ascontiguousarray(prepare_frame(frame, protocol) if protocol else frame)
        yield {"shape": prepared.shape}, prepared.tobytes()


def image(job: dict[str, Any]) -> Iterator[Message]:
    pixels = read_image(Path(job["path"]), job["image"])
    yield {"shape": pixels.shape}, pixels.tobytes()


def size_of_image(job: dict[str, Any]) -> Iterator[Message]:
    yield {"value": image_size(Path(job["path"]), job["image"])}, b""


JOBS: dict[str, Callable[[dict[str, Any]], Iterator[Message]]] = {
    "count": count, "size": size, "read": read, "image": image, "size of image": size_of_image,
}  # fmt: skip
