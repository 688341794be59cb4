"""Batches of clips that a program gives, brought to what a protocol compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.benchmarks.readers.prepare import has_target_size, prepare_frame
from latte_eval.core.clips import Clips
from latte_eval.core.errors import ClipError, UsageError
from latte_eval.core.layout import array_to_pixels
from latte_eval.core.notices import notice
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.fields import value_to_text
from latte_eval.evaluation.request import without_benchmark
from latte_eval.files.lossy import apply_storage

# Fields that say which frames of which videos are taken: done by whoever makes the batches.
CHOSEN_BEFORE = ("real_stride", "fake_stride", "real_split", "real_selection", "real_clips", "fake_clips", "windows",
                 "real_offset", "labels")  # fmt: skip
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


def batch_to_clips(batch: Any, side: str, protocol: Protocol, normalize: bool, layout: str | None) -> Tensor:
    """Clips of a batch as a detector sees them: at the size of the protocol, after its storage.

    # [N, T, H, W, 3] or [N, T, 3, H, W] uint8, with `normalize` floats 0..1 -> [N, 3, T, size, size] uint8

    Raises `ClipError` for other clips, or for another number of frames than the protocol compares.
    """
    pixels = array_to_pixels(batch, normalize, layout)
    if pixels.shape[1] != protocol.frames:
        raise ClipError(
            f"the {side} clips have {pixels.shape[1]} frames, the protocol compares {protocol.frames}: "
            f"frames={pixels.shape[1]} changes the protocol"
        )
    steps = getattr(protocol, f"{side}_storage")
    if len(pixels) and not has_target_size(pixels.shape[4], pixels.shape[3], protocol):
        pixels = torch.stack([resized(clip, protocol) for clip in pixels.cpu()])
    clips = Clips(pixels.cpu() if steps else pixels, tuple(range(len(pixels))))
    return apply_storage(clips, steps).to_detector() if len(clips) else pixels.transpose(1, 2)


def resized(clip: Tensor, protocol: Protocol) -> Tensor:  # [T, 3, H, W] uint8 -> [T, 3, size, size] uint8
    """A clip at the size of the protocol, frame by frame as those of a file."""
    frames = [prepare_frame(frame, protocol) for frame in clip.permute(0, 2, 3, 1).numpy()]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
