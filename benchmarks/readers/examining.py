"""Examining a video before it becomes a candidate: is it long enough, and which windows has it?"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.frames import common_size
from latte_eval.benchmarks.readers.places import Place
from latte_eval.benchmarks.readers.prepare import has_target_size, passed_steps
from latte_eval.benchmarks.readers.reading import Window, video_length
from latte_eval.benchmarks.readers.windows import frame_indices, side_stride, window_starts
from latte_eval.core.protocol import Protocol


def entry_to_windows(place: Place, entry: Entry, protocol: Protocol, side: str, seed: int) -> list[Window]:
    """The windows of one video. Raises `ClipError` and `OSError`."""
    length = video_length(place, entry, protocol.decoder)
    starts = window_starts(length, protocol, side, seed, entry.identity)
    at_size = entry.kind == "frames" and has_target_size(*common_size(place, entry), protocol)
    passed = passed_steps(entry.kind, at_size, side)
    frames, stride = protocol.frames, side_stride(protocol, side)
    return [Window(entry, n, frame_indices(start, frames, stride), passed) for n, start in enumerate(starts)]


def workers(jobs: int) -> ThreadPoolExecutor:
    """Threads for this many jobs; decoding and resizing release the interpreter lock."""
    return ThreadPoolExecutor(max(1, min(jobs, os.cpu_count() or 1)))
