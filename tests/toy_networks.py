"""Networks of the families that the metric classes use, which take a moment: `toy-i3d`, `toy-c3d`, ..."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.detectors.base import DETECTORS, DetectorRow

# [N, 3, T, H, W] of this shape in T, H, W
FRAMES, SIDE = 4, 8

# Fewer than Inception gives: tables of 2048 x 2048 take their time.
FRAME_OUTPUTS = 48


def mixed(values: Tensor, outputs: int) -> Tensor:  # [..., D] -> [..., outputs] float32
    """Random features of pixels, the same each time."""
    weights = torch.randn(values.shape[-1], outputs, generator=torch.Generator().manual_seed(outputs))
    sums = values.double() / 255 @ weights.double() / values.shape[-1] ** 0.5
    return (sums.tanh() + 0.1).float()  # float32 sums would depend on the size of a batch


def of_clips(clips: Tensor) -> dict[str, Tensor]:
    return {"features": mixed(clips.flatten(1), 400)}


def of_frames(clips: Tensor) -> dict[str, Tensor]:
    return {"features": mixed(clips.transpose(1, 2).flatten(2), FRAME_OUTPUTS)}


def of_classes(clips: Tensor) -> dict[str, Tensor]:
    return {"probabilities": (20 * mixed(clips.flatten(1), 101)).softmax(1)}


NETWORKS = {"i3d": of_clips, "inception": of_frames, "c3d": of_classes}


def opener(family: str, forward: Callable[[Tensor], dict[str, Tensor]]) -> Callable[..., Detector]:
    def open_toy(device: str, *, trust: bool, offline: bool | None) -> Detector:
        return Detector(f"toy-{family}", forward, weights=None, sha256="7" * 64, device=device, comparable=False)

    return open_toy


ROWS = {
    f"toy-{family}": DetectorRow(family, opener(family, forward), seeded=True, per_frame=family == "inception")
    for family, forward in NETWORKS.items()
}


def register_toys() -> None:
    """For a program of its own; tests take the rows away again."""
    for name, row in ROWS.items():
        DETECTORS.register(name, row)
