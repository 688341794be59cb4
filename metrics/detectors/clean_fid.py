"""Inception as clean-fid calls it (Parmar et al. 2022, arXiv 2104.11222): frames resized without aliasing.

Each channel goes through PIL's bicubic filter as floating point, which low-passes before it takes samples away, and
the result is clipped to 0..255 and not rounded. Everything after the resize is the Inception of `inception.py`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latte_eval.metrics.detectors.base import Detector
from latte_eval.metrics.detectors.inception import (
    check_images,
    inception_from_state,
    open_inception,
    open_inception_seeded,
)
from latte_eval.metrics.detectors.inception_network import SIZE


def clean_resize(images: Tensor) -> Tensor:  # [N, 3, H, W] uint8 -> [N, 3, 299, 299] float32
    """Images brought to 299x299 by PIL's bicubic filter on float channels; values keep their scale of 0 to 255.

    Where the filter overshoots, values are clipped to 0..255. Aspect ratio is not kept. Raises `ClipError` for
    another dtype or layout.
    """
    check_images(images)
    channels = images.flatten(0, 1).to("cpu", torch.float32).numpy()
    resized = np.stack([channel_resized(channel) for channel in channels])
    return torch.from_numpy(resized).unflatten(0, tuple(images.shape[:2])).to(images.device)


def channel_resized(channel: np.ndarray) -> np.ndarray:  # [H, W] float32 -> [299, 299] float32
    return np.asarray(Image.fromarray(channel).resize((SIZE, SIZE), Image.Resampling.BICUBIC)).clip(0, 255)


def open_inception_clean(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """Inception with the published weights behind clean-fid's resize. Raises what `open_inception` raises."""
    return behind_clean_resize(open_inception(device, trust=trust, offline=offline), "inception-clean")


def inception_clean_from_state(path: Path, device: str) -> Detector:
    """Inception with the weights of a state dict behind clean-fid's resize. Raises `WeightsError`."""
    return behind_clean_resize(inception_from_state(path, device), "inception-clean")


def open_inception_clean_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """Inception with seeded weights behind clean-fid's resize."""
    return behind_clean_resize(open_inception_seeded(device), "inception-clean-seeded")


def behind_clean_resize(detector: Detector, name: str) -> Detector:
    """A detector of Inception whose frames are resized before it sees them: it leaves those of 299x299 as they are."""

    def forward(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8
        frames = clean_resize(clips.transpose(1, 2).flatten(0, 1))
        return detector.forward(frames.unflatten(0, (len(clips), -1)).transpose(1, 2))

    return dataclasses.replace(detector, name=name, forward=forward)
