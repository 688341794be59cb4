"""Time two ways from a folder of videos to clips, in memory and through JPEG frames on disk, as markdown rows.

    python benchmarks/speed/readers.py FOLDER

The baseline does what the published code does: extract every frame of every video, centre-crop, resize to 256 and save
it as JPEG, then read the frames of one window per video back. Both take the same windows, so that their clips are the
same. With `--detector i3d-seeded` both also send their clips through that detector: folder to features.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation.stored import StoredSource
from latte_eval.metrics.detectors import open_detector

# One window per video at offset 0: both ways find the same frames without asking each other.
PROTOCOL = named_protocol("latte").replace(real_stride=1, real_offset="zero", real_selection="sorted", real_clips=None)

Features = Callable[[Tensor], object]


def clips_in_memory(folder: Path, features: Features) -> Tensor:
    """Ours: decode the window, crop, resize, JPEG in memory."""
    source = StoredSource(FolderSource.open(folder, PROTOCOL, 0, "real"), PROTOCOL.real_storage)
    batches = []
    for start in range(0, len(source), 4):
        batches.append(source.clips(range(start, min(start + 4, len(source)))))
        features(batches[-1].to_detector())
    return torch.cat([batch.pixels for batch in batches])


def clips_from_disk(videos: Sequence[Path], frames: Path, features: Features) -> Tensor:
    """Baseline: every frame to disk, then the frames of the window back."""
    for video in videos:
        extract(video, frames / video.stem)
    clips = [read_window(frames / video.stem) for video in videos]
    for start in range(0, len(clips), 4):
        features(torch.stack(clips[start : start + 4]).transpose(1, 2).contiguous())
    return torch.stack(clips)


def extract(video: Path, target: Path) -> None:
    """All frames of a video as JPEG files."""
    target.mkdir(parents=True)
    for index, frame in enumerate(decode(video)):
        image, side = Image.fromarray(frame), min(frame.shape[:2])
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        square.resize((256, 256), Image.Resampling.LANCZOS).save(target / f"{index:06d}.jpg", q=95)


def decode(video: Path) -> Iterator[np.ndarray]:
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def read_window(folder: Path) -> Tensor:  # -> [T, 3, H, W] uint8
    """The first frames of an extracted video."""
    paths = sorted(folder.iterdir())[: PROTOCOL.frames]
    return torch.from_numpy(np.stack([np.asarray(Image.open(path)) for path in paths]).transpose(0, 3, 1, 2).copy())


def timed(work: Callable[[], Tensor]) -> tuple[tuple[float, float], Tensor]:
    """Wall-clock and processor seconds, and the clips."""
    wall, busy = time.perf_counter(), time.process_time()
    clips = work()
    return (time.perf_counter() - wall, time.process_time() - busy), clips


def copies(folder: Path, target: Path, count: int) -> list[Path]:
    """`count` copies of the videos that the reader accepts, in its order."""
    source = FolderSource.open(folder, PROTOCOL, 0, "real")
    names = source.groups(source.clips(range(len(source))).indices)
    target.mkdir()
    chosen = [folder / names[i % len(names)] for i in range(count)]
    return [Path(shutil.copy(path, target / f"{i:05d}{path.suffix}")) for i, path in enumerate(chosen)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="video files to copy about")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--detector", help="send the clips of both ways through it, such as i3d-seeded")
    arguments = parser.parse_args()
    detector = open_detector(arguments.detector) if arguments.detector else len
    with tempfile.TemporaryDirectory() as scratch:
        videos = copies(arguments.folder, Path(scratch) / "videos", arguments.videos)
        detector(torch.zeros((4, 3, PROTOCOL.frames, 256, 256), dtype=torch.uint8))  # its first call is slower
        ours, clips = timed(lambda: clips_in_memory(Path(scratch) / "videos", detector))
        theirs, expected = timed(lambda: clips_from_disk(videos, Path(scratch) / "frames", detector))
    same = "same pixels" if torch.equal(clips, expected) else "OTHER PIXELS"
    what = f"{arguments.videos} videos to {f'{arguments.detector} features' if arguments.detector else 'clips'}"
    where = f"{platform.machine()}, {os.cpu_count()} cores, PyAV {av.__version__}, load {os.getloadavg()[0]:.1f}"
    for clock, fast, slow in zip(("wall clock", "processor"), ours, theirs, strict=True):
        print(f"| {what}, {clock} | JPEG frames on disk {slow:.2f} s | {fast:.2f} s | {slow / fast:.1f}x | {same} | "
              f"{where} |")  # fmt: skip


if __name__ == "__main__":
    main()
