"""The lossy steps that clips pass through before they are measured, applied in memory.

Published numbers were computed from files: samples written as H.264, and frames of both sides written as JPEG.
`Protocol.real_storage` and `Protocol.fake_storage` name those steps; here they happen without the files.
"""

from __future__ import annotations

import io
import operator
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
from PIL import Image
from torch import Tensor

from latte_eval.core.choices import check_choice
from latte_eval.core.clips import Clips, stack_clips
from latte_eval.files.h264 import from_frames, h264_round_trip, to_frames

JPEG_QUALITY = 75
CHROMA_420 = 2  # Pillow's number for 4:2:0


def jpeg_round_trip(frames: np.ndarray) -> np.ndarray:  # [T, H, W, 3] uint8 -> same
    """Frames as they come back from JPEG files of quality 75, 4:2:0.

    The converters of StyleGAN-V and Latte ask for `q=95`, which Pillow ignores: their files have its default, 75.
    """
    return np.stack([jpeg_frame(frame) for frame in frames])


def jpeg_frame(frame: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8 -> same
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=CHROMA_420)
    return np.asarray(Image.open(buffer))


STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"h264-crf5": h264_round_trip, "jpeg75": jpeg_round_trip}


def store_frames(frames: np.ndarray, steps: Sequence[str]) -> np.ndarray:  # [T, H, W, 3] uint8 -> same
    """The frames of one clip after all steps, in order. Raises `ProtocolError` for a step that does not exist."""
    for step in steps:
        check_choice("storage step", step, STEPS)
        frames = STEPS[step](frames)
    return frames


def apply_storage(
    clips: Clips, steps: Sequence[str], workers: Executor | None = None
) -> Clips:  # [N, T, 3, H, W] uint8 -> same
    """Clips after all steps, in order, except the steps that their files have been through already.

    Each clip is stored on its own, so neither batch nor threads matter: those of `workers`, else as many as there are
    cores. Raises `ProtocolError` for a step that does not exist.
    """
    passed = clips.passed or ((),) * len(clips)
    left = [tuple(step for step in steps if step not in done) for done in passed]
    if not any(left):
        return clips
    if workers is None:
        with ThreadPoolExecutor(min(len(clips), os.cpu_count() or 1)) as pool:
            return apply_storage(clips, steps, pool)
    stored = list(workers.map(store_clip, clips.pixels, left))
    return Clips(stack_clips(stored), clips.indices, clips.labels, tuple(map(operator.add, passed, left)))


def store_clip(clip: Tensor, steps: Sequence[str]) -> Tensor:  # [T, 3, H, W] uint8 -> same
    return from_frames(store_frames(to_frames(clip), steps)) if steps else clip
