"""`LongerSource`: clips longer than the model's, predicted block after block from the first frames of real ones.

Every block is a clip of the model whose first S frames are the last S of what was made before: T - S new frames each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from latte_eval.core.errors import SamplerError
from latte_eval.core.seeding import clip_generator
from latte_eval.sampler.masked import first_frames_given
from latte_eval.sampler.masked_source import MaskedSource
from latte_eval.sampler.tasks import Masks, first_given


class LongerSource(MaskedSource):
    """As `MaskedSource`, where the masks are longer than the model's clips.

    Clip i depends on (seed, i) alone: the noise of its first block is that of a clip of the usual length.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.masks: Masks = self.conditions.masks
        self.blocks, self.first = blocks_of(self.masks), first_given(self.masks) or 0
        self.block, self.made = 0, torch.empty(0)

    @property
    def clip_frames(self) -> int:
        return self.masks.clip_frames

    def part_latents(self, indices: Sequence[int], part: int, parts: int) -> Tensor:  # -> [N, length, C, H, W] float32
        """All blocks of these clips, the given frames before them."""
        for block in range(self.blocks):
            self.block = block
            whole = super().part_latents(indices, part * self.blocks + block, parts * self.blocks)
            self.made = torch.cat([self.made, whole[:, self.first :]], dim=1) if block else whole
        return self.made[:, : self.clip_frames]

    def given(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """As of `MaskedSource`; of a later block, the last frames before it."""
        if not self.block:
            return super().given(indices)
        return first_frames_given(self.made[:, -self.first :], self.masks.frames)

    def generator(self, index: int) -> tuple[Generator, float]:
        """As of `SampledSource`, and another one for every later block."""
        if not self.block:
            return super().generator(index)
        return clip_generator(self.settings.seed, index, self.block), 0.0


def blocks_of(masks: Masks) -> int:
    """How many clips of the model make one of these. Raises `SamplerError` where other frames than the first are given.

    A block of T frames that is given S adds T - S.
    """
    first = first_given(masks)
    if not first:
        raise SamplerError("a longer clip goes on from its first frames: give --task predict or --given 0:N")
    return math.ceil((masks.clip_frames - first) / (masks.frames - first))
