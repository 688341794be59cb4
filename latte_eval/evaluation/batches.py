"""Batches of clips that a program gives, brought to what a protocol compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from latte_eval.benchmarks.readers.prepare import of_side, prepare_frame
from latte_eval.core.clips import Clips, stack_clips
from latte_eval.core.errors import ClipError, UsageError
from latte_eval.core.notices import notice
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.fields import value_to_text
from latte_eval.evaluation.inputs import Reading, array_to_videos
from latte_eval.evaluation.request import without_benchmark
from latte_eval.files.h264 import from_frames
from latte_eval.files.lossy import apply_storage

# Fields that say which frames of which videos are taken: done by whoever makes the batches.
CHOSEN_BEFORE = ("real_stride", "fake_stride", "real_split", "real_selection", "real_clips", "fake_clips", "windows",
                 "real_offset", "fake_offset", "decoder", "labels", "counted")  # fmt: skip
FIELDS = tuple(field.name for field in dataclasses.fields(Protocol))


def batch_protocol(protocol: str | Protocol, fields: Mapping[str, Any]) -> Protocol:
    """A protocol with some fields set by hand, as far as batches can honour it; a notice names what they cannot.

    Raises `ProtocolError` for an unknown name or value, `UsageError` for a field by hand that would change no batch.
    """
    if wrong := [name for name in fields if name in (*CHOSEN_BEFORE, "stem", "benchmark")]:
        raise UsageError(f"{wrong[0]} changes no clip of a batch, only the name of its protocol: leave it out")
    base = protocol if isinstance(protocol, Protocol) else without_benchmark(protocol)
    asked, usual = base.replace(**fields), Protocol()
    unseen = [name for name in CHOSEN_BEFORE if getattr(asked, name) != getattr(usual, name)]
    if unseen:
        told = ", ".join(f"{name}={value_to_text(getattr(asked, name))}" for name in unseen)
        notice(f"batches are measured as they come: see to {told} of the protocol {asked.stem} where they are made")
    return asked


def batch_to_clips(batch: Any, side: str, protocol: Protocol, reading: Reading) -> Tensor:
    """Clips of a batch as a detector sees them: at the size of the protocol, after its storage, the frames that count.

    # array or tensor as `fvd(fake=...)` takes it -> [N, 3, T - skip_frames, size, size] uint8 on the CPU

    Raises `ClipError` for what is no clips, or for another number of frames than the protocol compares.
    """
    videos = array_to_videos(batch, reading, f"{side} clips")
    frames = videos.shape[1]
    if frames != protocol.frames:
        advice = "single images are x[:, None]" if protocol.frames == 1 else f"frames={frames} changes the protocol"
        raise ClipError(f"the {side} clips have {frames} frames, the protocol compares {protocol.frames}: {advice}")
    pixels = stack_clips([from_frames(prepared(video, of_side(protocol, side))) for video in videos])
    clips = Clips(pixels, tuple(range(len(pixels))))
    stored = apply_storage(clips, getattr(protocol, f"{side}_storage"))
    return stored.to_detector()[:, :, protocol.skip_frames :]


def prepared(video: np.ndarray, protocol: Protocol) -> np.ndarray:  # [T, H, W, 3] uint8 -> [T, size, size, 3] uint8
    """A clip at the size of the protocol, frame by frame as those of a file."""
    return np.stack([prepare_frame(frame, protocol) for frame in video])
