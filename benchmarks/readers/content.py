"""The content of files in what is known of a video: a file may be replaced by one of the same size and time.

Of every video file the head, the middle and the tail are read; of a folder of frames those of its first, middle and
last frame. A change that leaves all of these, the size, the time and the names as they were is not seen: to see it,
everything would have to be read.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.faults import faults_refused
from latte_eval.benchmarks.readers.places import Place

# Files that are read at once: on a shared disk most of the time is waiting.
AT_ONCE = 16


def with_content(place: Place, entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with stamps that change with the content of their files too."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda entry: stamped(place, entry), entries))


def stamped(place: Place, entry: Entry) -> Entry:
    """One entry with its content in its stamp, unless the place has put it there: an archive has checksums.

    Raises `MachineFault`: a file that cannot be read for a moment would have another stamp.
    """
    files = entry.files
    with faults_refused(entry.path):
        pieces = [place.content(file) for file in dict.fromkeys((files[0], files[len(files) // 2], files[-1]))]
    if not any(pieces):
        return entry
    digest = hashlib.sha256(entry.stamp.encode())
    for piece in pieces:
        digest.update(hashlib.sha256(piece).digest())
    return dataclasses.replace(entry, stamp=digest.hexdigest())
