"""Videos and images, decoded in processes of their own: a decoder that crashes on a file takes nothing else with it.

As many processes as threads that ask, started when they are first needed (0.3 s each) and kept. Each works on one file
at a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from latte_eval.benchmarks.readers.animations import Damaged
from latte_eval.benchmarks.readers.decoder_process import DECORD_SECONDS, ERRORS, answer, read_message, write_message
from latte_eval.benchmarks.readers.decord_frames import DecordRefused
from latte_eval.benchmarks.readers.images import Size
from latte_eval.core.errors import ClipError, MachineFault
from latte_eval.core.protocol import Protocol

# The search path is passed on: whoever imported latte_eval may have found it in a place that only this process knows.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from latte_eval.benchmarks.readers.decoder_process import serve; serve()"
)

# Signals by which a program ends itself. Others come from outside, as when memory is short, and say nothing of a file.
CRASHES = {"SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"}


def count_frames(path: Path, name: str, decoder: str = "pyav") -> int:
    """As `video.count_frames`; `name` is how messages call the file. Raises also `MachineFault`."""
    return int(single({"job": "count", "path": place_of(path), "name": name, "decoder": decoder}))


def frame_size(path: Path, name: str) -> tuple[int, int]:
    """As `video.frame_size`; `name` is how messages call the file. Raises also `MachineFault`."""
    width, height = single({"job": "size", "path": place_of(path), "name": name})
    return width, height


def read_frames(
    path: Path,
    name: str,
    indices: Sequence[int],
    protocol: Protocol | None,
    check: int = 0,
    decoder: str = "pyav",
) -> Iterator[np.ndarray]:  # -> [H, W, 3] uint8 each
    """As `video.read_video`, at the size of the protocol if there is one; `name` is how messages call the file.

    `decord` reads the indices as one window and checks nothing. Raises also `MachineFault`.
    """
    job = {"job": "read", "path": place_of(path), "name": name, "indices": list(indices), "check": check,
           "protocol": protocol and protocol.to_dict(), "decoder": decoder}  # fmt: skip
    for head, content in answers(job):
        yield np.frombuffer(bytearray(content), np.uint8).reshape(head["shape"])


def read_image(path: Path, name: str, image: str) -> np.ndarray:  # -> [H, W, 3] uint8
    """As `images.read_image`, where `name` is the video that the image belongs to. Raises also `MachineFault`."""
    [(head, content)] = answers({"job": "image", "path": place_of(path), "name": name, "image": image})
    return np.frombuffer(bytearray(content), np.uint8).reshape(head["shape"])


def image_size(path: Path, name: str, image: str) -> Size:
    """As `images.image_size`, where `name` is the video that the image belongs to. Raises also `MachineFault`."""
    width, height = single({"job": "size of image", "path": place_of(path), "name": name, "image": image})
    return width, height


def place_of(path: Path) -> str:
    """A path that means the same to a process with another current folder: it started when this one may have had it."""
    return str(path.absolute())


def single(job: dict[str, Any]) -> Any:
    """The one value that answers a job."""
    [(head, _)] = answers(job)
    return head["value"]


def answers(job: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """What a decoder process answers, up to its end.

    Raises `ClipError` where the process crashed, or as it says, and `MachineFault` where something else ended it.
    """
    with borrowed() as decoder:
        for head, content in decoder.ask(job) if decoder else answer(job):
            if "error" in head:
                raise error_of(head)
            if "end" not in head:
                yield head, content


def error_of(head: dict[str, Any]) -> Exception:
    """The error that an answer tells of."""
    if head["error"] == "Damaged":
        return Damaged(head["frame"], head["text"].removeprefix("damaged: "))
    return ERRORS[head["error"]](head["text"])


class Decoder:
    """One decoder process.

    Raises `OSError` where it cannot be started.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.idle, self.by_decord = True, False
        # Called, ends it; so does the end of this program, or of the last reference to it.
        self.close = weakref.finalize(self, end, self.process, os.getpid())

    def ask(self, job: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The answers to a job, in turn; it is idle again once the last of them was read. Errors as of `answers`."""
        self.idle, self.by_decord = False, job.get("decoder") == "decord"
        with suppress(BrokenPipeError):  # what it answers, or why it ended, says more
            write_message(self.stream("stdin"), job)
        while (message := read_message(self.stream("stdout"))) is not None:
            self.idle = "end" in message[0] or "error" in message[0]
            yield message
            if self.idle:
                return
        raise self.ended(job.get("image", "it"))

    def stream(self, name: str) -> IO[bytes]:
        stream: IO[bytes] = getattr(self.process, name)
        return stream

    def ended(self, what: str) -> Exception:
        """Why there is no answer; `what` is the file."""
        status = self.process.wait()
        how = signal_name(-status) if status < 0 else f"status {status}"
        if how == "SIGALRM":
            return DecordRefused(f"decord did not give a frame of it within {DECORD_SECONDS} seconds")
        if how in CRASHES or status > 255:  # Windows has large numbers for crashes
            return (DecordRefused if self.by_decord else ClipError)(f"the decoder crashed on {what} ({how})")
        return MachineFault(
            f"a decoder process was ended by {how}, which happens where memory is short: free some, then run the same "
            "command again; what was finished is kept"
        )


def end(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a decoder process, also one at work. A forked copy of its owner closes its own copies of the pipes alone."""
    if os.getpid() == owner:
        process.kill()
        process.wait()
    else:
        process.returncode = 0  # it is no child of the copy, which has nothing to wait for
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            if stream:
                stream.close()


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Pool:
    """The idle decoders of this process. A forked copy of the process starts with none: two cannot share one."""

    def __init__(self) -> None:
        self.decoders: list[Decoder] = []
        self.owner, self.lock = os.getpid(), threading.Lock()

    def take(self) -> Decoder:
        with self.lock:
            if self.owner != os.getpid():
                self.decoders, self.owner = [], os.getpid()
            return self.decoders.pop() if self.decoders else Decoder()

    def give_back(self, decoder: Decoder) -> None:
        """Keep a decoder for the next job, or end it: one whose answers were not read to their end is of no use."""
        if not decoder.idle:
            decoder.close()
            return
        with self.lock:
            self.decoders.append(decoder)

    def close(self) -> None:
        """End all idle decoders."""
        if self.owner == os.getpid():
            while self.decoders:
                self.decoders.pop().close()


POOL = Pool()


@contextmanager
def borrowed() -> Iterator[Decoder | None]:
    """A decoder for one job; None where Python runs inside another program, which cannot be started again."""
    if not sys.executable:
        yield None
        return
    decoder = POOL.take()
    try:
        yield decoder
    finally:
        POOL.give_back(decoder)
