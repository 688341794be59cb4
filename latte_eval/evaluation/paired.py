"""The detector of paired metrics: each fake clip beside the real clip that it was given a part of, and two anchors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.clips import Clips
from latte_eval.core.errors import FeatureError
from latte_eval.core.features import Features
from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.paired import (
    ANCHORS,
    PAIRED,
    VARIANTS,
    clip_values,
    copy_nearest_given,
    mask_to_positions,
)

if TYPE_CHECKING:
    from latte_eval.sampler.masked_source import Conditions
    from latte_eval.sampler.vae import Codec


@dataclass(frozen=True)
class PairedDetector(Detector):
    """What each clip is worth beside its own truth. # [N, 3, T, H, W] uint8 -> {"psnr": [N, 6], "ssim": [N, 6]}

    Columns are those of `latte_eval.metrics.paired.COLUMNS`.
    """

    conditions: Conditions | None = None
    codec: Codec | None = None

    def on_clips(self, clips: Clips) -> dict[str, Tensor]:
        from latte_eval.sampler.masked_source import codec_round_trip

        assert self.conditions is not None and self.codec is not None  # `paired_detector`
        truth = self.conditions.pixels(clips.indices)
        generated = mask_to_positions(self.conditions.mask(clips.indices), self.codec.factor)
        shown = [clips.pixels, copy_nearest_given(truth, generated), codec_round_trip(self.codec, truth)]
        assert len(shown) == 1 + len(ANCHORS)
        return {name: torch.cat([clip_values(name, each, truth, generated) for each in shown], dim=1).float()
                for name in VARIANTS}  # fmt: skip


def paired_detector(conditions: Conditions, codec: Codec) -> PairedDetector:
    """The detector of clips that were made under these conditions."""
    recipe = json.dumps([PAIRED, VARIANTS, codec.name, codec.sha256], sort_keys=True)
    return PairedDetector(
        PAIRED, forward=nothing, weights=None, sha256=hashlib.sha256(recipe.encode()).hexdigest(),
        conditions=conditions, codec=codec,
    )  # fmt: skip


def nothing(clips: Tensor) -> dict[str, Tensor]:
    """Clips by themselves say nothing: they are asked for with their indices."""
    raise NotImplementedError("a paired detector takes `Clips`, which have indices")


def samples_beside(first: Features, more: Sequence[Features]) -> Features:
    """Values of all samples of every clip. # outputs [N, 6] each -> [N, 6, K]

    Raises `FeatureError` where samples are of other clips.
    """
    if any(each.indices != first.indices for each in more):
        raise FeatureError("the samples of the clips are not of the same clips")
    outputs = {name: np.stack([values, *(each.outputs[name] for each in more)], axis=2)
               for name, values in first.outputs.items()}  # fmt: skip
    return dataclasses.replace(first, outputs=outputs)
