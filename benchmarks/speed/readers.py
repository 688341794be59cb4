"""Two ways from a folder of videos to clips, in memory and through JPEG frames on disk.

The baseline does what the published code does: extract every frame of every video, centre-crop, resize to 256 and save
it as JPEG, then read the frames of one window per video back. Both take the same windows, so that their clips are the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured
from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation.stored import StoredSource

# One window per video at offset 0: both ways find the same frames without asking each other.
PROTOCOL = named_protocol("latte").replace(real_stride=1, real_offset="zero", real_selection="sorted", real_clips=None)


def clips_in_memory(folder: Path) -> Tensor:
    """Ours: decode the window, crop, resize, JPEG in memory."""
    source = StoredSource(FolderSource.open(folder, PROTOCOL, 0, "real"), PROTOCOL.real_storage)
    batches = []
    for start in range(0, len(source), 4):
        batches.append(source.clips(range(start, min(start + 4, len(source)))))
    return torch.cat([batch.pixels for batch in batches])


def clips_from_disk(videos: Sequence[Path], frames: Path) -> Tensor:
    """Baseline: every frame to disk, then the frames of the window back."""
    for video in videos:
        extract(video, frames / video.stem)
    return torch.stack([read_window(frames / video.stem) for video in videos])


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


def measure(material: Material, turns: int) -> Measured:
    """Seconds of both, and the share of bytes in which their clips differ."""
    folder = material.videos
    videos = sorted(folder.iterdir())
    return take_turns(
        lambda: clips_in_memory(folder), lambda: clips_from_disk(videos, material.fresh()), turns, unequal, warm=1
    )


def unequal(clips: Tensor, expected: Tensor) -> float:
    """Share of bytes that differ."""
    return float((clips != expected).float().mean())
