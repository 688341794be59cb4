"""Examining a video before it becomes a candidate: is it long enough, and which windows has it?"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.frames import common_size
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.prepare import has_target_size, passed_steps
from latte_eval.benchmarks.readers.reading import Window, video_length
from latte_eval.benchmarks.readers.windows import TooShort, check_length, frame_indices, side_stride, window_starts
from latte_eval.core.protocol import Protocol


@dataclass(frozen=True)
class Facts:
    """What its windows need to be known of a video.

    Attributes:
        length: frames.
        at_size: whether it is a folder of frames of the size of the protocol; False where it is too short.
    """

    length: int
    at_size: bool


def entry_to_facts(place: Place, entry: Entry, protocol: Protocol, side: str) -> Facts:
    """Examine one video. Raises `ClipError` and `OSError`."""
    length = video_length(place, entry, protocol.decoder)
    check_length(length, protocol, side)
    return Facts(length, entry.kind == "frames" and has_target_size(*common_size(place, entry), protocol))


def facts_to_windows(entry: Entry, facts: Facts, protocol: Protocol, side: str, seed: int) -> list[Window] | TooShort:
    """The windows of a video that was examined."""
    try:
        starts = window_starts(facts.length, protocol, side, seed, entry.identity)
    except TooShort as error:
        return error
    passed = passed_steps(entry.kind, facts.at_size, side)
    frames, stride = protocol.frames, side_stride(protocol, side)
    return [Window(entry, n, frame_indices(start, frames, stride), passed) for n, start in enumerate(starts)]


def workers(jobs: int) -> ThreadPoolExecutor:
    """Threads for this many jobs; decoding and resizing release the interpreter lock."""
    return ThreadPoolExecutor(max(1, min(jobs, os.cpu_count() or 1)))
