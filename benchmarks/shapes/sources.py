"""The `shapes` benchmark and Gaussian noise as clip sources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from latte_eval.benchmarks.shapes.draw import FRAMES, SIZE, draw_clips
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.seeding import numpy_generator

# Increase this when the drawing changes.
DRAWING_VERSION = 1


def fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class ShapesSource:
    """Clips `start` to `start + count - 1` of the `shapes` benchmark under one seed, frames `interval` apart.

    Clips of the `test` split are independent of those the demo checkpoints were trained on.
    """

    count: int
    seed: int = 0
    start: int = 0
    split: str = "test"
    name: str = "shapes"
    rejected: Sequence[Rejected] = ()
    interval: int = 1
    frames: int = FRAMES

    @property
    def fingerprint(self) -> str:
        # Clips of the usual length keep the fingerprint that earlier versions gave them.
        length = [] if self.frames == FRAMES else [self.frames]
        return fingerprint("shapes", DRAWING_VERSION, self.split, self.seed, self.start, self.interval, *length)

    def __len__(self) -> int:
        return self.count

    def clips(self, indices: Sequence[int]) -> Clips:
        """# [N, T, 3, 16, 16] uint8 with labels 0..3"""
        own = [self.start + i for i in indices]
        pixels, labels = draw_clips(self.seed, own, self.split, self.interval, self.frames)
        return Clips(torch.from_numpy(pixels), tuple(indices), tuple(int(label) for label in labels))

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [f"shapes-{self.split}-{self.start + i:06d}" for i in indices]


@dataclass(frozen=True)
class NoiseSource:
    """Clipped Gaussian noise, the worst that a sampler can do: standard normal, clamped to -1..1."""

    count: int
    seed: int = 0
    name: str = "noise"
    rejected: Sequence[Rejected] = ()

    @property
    def fingerprint(self) -> str:
        return fingerprint("noise", self.seed, FRAMES, SIZE)

    def __len__(self) -> int:
        return self.count

    def clips(self, indices: Sequence[int]) -> Clips:
        """# [N, 16, 3, 16, 16] uint8"""
        shape = (FRAMES, 3, SIZE, SIZE)
        noise = np.stack([numpy_generator("noise", self.seed, i).standard_normal(shape) for i in indices])
        pixels = np.rint(np.clip(noise, -1, 1) * 127.5 + 127.5).astype(np.uint8)
        return Clips(torch.from_numpy(pixels), tuple(indices))

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [f"noise-{i:06d}" for i in indices]
