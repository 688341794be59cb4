"""Load: 20,000 small videos are listed in seconds, and the memory that this takes hardly grows with their number."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from media_makers import moving_frames, write_video

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.protocol import Protocol
from siege.siege import Siege, Wrong, main

VIDEOS = 20_000
# Names the folder that takes the figures of each trial.
FIGURES = "SIEGE_FIGURES"
# What the listing of so many videos may take: bytes of memory a video, and seconds a thousand videos.
MOST_BYTES, MOST_SECONDS = 8_000, 6.0


def prepare(folder: Path) -> Path:
    return write_video(folder / "video.mp4", moving_frames(8, 16, 24), options={"preset": "ultrafast"})


def trial(video: Path, chance: random.Random, folder: Path, count: int = VIDEOS) -> str:
    """A folder of so many names of one file is opened, and its first 64 videos are examined."""
    begin = time.monotonic()
    link(video, folder / "videos", count, chance)
    linked = time.monotonic()
    before = peak()
    source = FolderSource.open(folder / "videos", Protocol(frames=4, size=None), chance.randrange(100), "real", 64)
    found = {"videos": len(source.entries), "seconds": time.monotonic() - linked, "linking": linked - begin,
             "bytes": peak() - before}  # fmt: skip
    if figures := os.environ.get(FIGURES):
        (Path(figures) / folder.name).write_text(json.dumps(found))
    return judged(found, count)


def judged(found: dict[str, Any], count: int) -> str:
    if found["videos"] != count:
        raise Wrong(f"{found['videos']:,} videos of {count:,}")
    if found["bytes"] > MOST_BYTES * count + 2**25:
        raise Wrong(f"{found['bytes'] / 2**20:.0f} MB for {count:,} videos")
    if found["seconds"] > MOST_SECONDS * count / 1000:
        raise Wrong(f"{found['seconds']:.0f} s for {count:,} videos")
    return "listed"


def link(video: Path, folder: Path, count: int, chance: random.Random) -> None:
    """Hard links to a video, in folders of random size."""
    made, number = 0, 0
    while made < count:
        inner = folder / f"class {number}"
        inner.mkdir(parents=True)
        for _ in range(min(count - made, chance.choice((1, 10, 500, 5000)))):
            os.link(video, inner / f"{made:06d}.mp4")
            made += 1
        number += 1


def peak() -> int:
    """The most memory that this process held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def largest(figures: Path) -> str:
    """Seconds and memory of the trials, the largest of each."""
    found = [json.loads(path.read_text()) for path in figures.iterdir()]
    seconds, size = (max((each[name] for each in found), default=0) for name in ("seconds", "bytes"))
    return f"  at most {seconds:.1f} s and {size / 2**20:.0f} MB beyond the start for {VIDEOS:,} videos"


SIEGE = Siege("load", trial, ("listed",), prepare, trials=5, seconds=300)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as figures:
        os.environ[FIGURES] = figures
        try:
            main(SIEGE)
        finally:
            print(largest(Path(figures)))
