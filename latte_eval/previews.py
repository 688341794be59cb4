"""Small pictures of clips, kept beside their features: a report shows clips without sampling or reading them again.

A preview is a strip: the frames of a clip side by side in one WebP picture, 29 KB for 16 frames of 128 pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from latte_eval.errors import StoreError
from latte_eval.media import to_frames
from latte_eval.store import content_key, read_shard_file

# Counts up when a change here changes what is stored.
STEP_VERSION = 1

SIDE = 128  # pixels; larger frames are made smaller
SMALL = 64  # frames up to this side are kept without loss
FRAMES = 32  # longer clips show every second, third, ... frame; WebP pictures end at 16,383 pixels


def preview_key(fingerprint: str) -> str:
    """The folder of a source's previews in a run, below `previews/`."""
    return content_key(fingerprint, STEP_VERSION)


def clip_to_strip(clip: Tensor) -> bytes:  # [T, 3, H, W] uint8 -> WebP of [h, t * w]
    """The frames of a clip side by side, none larger than `SIDE`, at most `FRAMES` of them."""
    frames = to_frames(clip)[:: -(-len(clip) // FRAMES)]
    height, width = frames.shape[1:3]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    strip = np.concatenate([shrink(frame, size) for frame in frames], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "WEBP", quality=60, method=2, lossless=max(height, width) <= SMALL)
    return buffer.getvalue()


def shrink(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [H, W, 3] uint8 -> [h, w, 3] uint8
    image = Image.fromarray(frame)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX))


def strip_frames(clip_frames: int) -> int:
    """How many frames a strip shows of a clip of so many."""
    return -(-clip_frames // -(-clip_frames // FRAMES))


def strips_to_arrays(strips: Mapping[int, bytes]) -> dict[str, np.ndarray]:
    """Strips by clip index, as a shard stores them."""
    return {f"{index:06d}": np.frombuffer(data, np.uint8) for index, data in strips.items()}


@dataclass(frozen=True)
class Previews:
    """The strips of one source in a run folder; `folder` need not exist."""

    folder: Path

    @classmethod
    def of(cls, run: Path, fingerprint: str) -> Previews:
        return cls(run / "previews" / preview_key(fingerprint))

    def read(self, indices: Sequence[int]) -> dict[int, bytes]:
        """Strips of these clips, as far as they are there. Raises `StoreError` for a damaged file."""
        wanted = set(indices)
        found: dict[int, bytes] = {}
        for path in sorted(self.folder.glob("[0-9]*-*.safetensors")):
            start, stop = (int(part) for part in path.stem.split("-"))
            if wanted & set(range(start, stop)):
                arrays, _ = read_shard_file(path)
                found |= {int(name): array.tobytes() for name, array in arrays.items() if int(name) in wanted}
        return found


def check_strip(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of a strip in pixels. Raises `StoreError` for what is no picture."""
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            return image.size
    except (OSError, ValueError) as error:
        raise StoreError(f"{where} holds a preview that is no picture ({error}); delete the folder and run again"
                         ) from error  # fmt: skip
