"""Detectors of paired metrics: each fake clip beside the real clip that it was given a part of, and two anchors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.clips import Clips
from latte_eval.core.errors import FeatureError
from latte_eval.core.features import Features
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.paired import (
    ANCHORS,
    FRAME_MEASURES,
    PAIRED,
    VARIANTS,
    FrameMeasure,
    clip_values,
    copy_nearest_given,
    mask_to_positions,
)

if TYPE_CHECKING:
    from latte_eval.sampler.masked_source import Conditions
    from latte_eval.sampler.vae import Codec


# Of the metrics that need no weights.
OWN_VARIANTS = {name: VARIANTS[name] for name in FRAME_MEASURES}


@dataclass(frozen=True)
class PairedDetector(Detector):
    """What each clip is worth beside its own truth. # [N, 3, T, H, W] uint8 -> [N, 6] by metric

    Columns are those of `latte_eval.metrics.paired.COLUMNS`.
    """

    conditions: Conditions | None = None
    codec: Codec | None = None
    measures: Mapping[str, FrameMeasure] = field(default_factory=dict)

    def on_clips(self, clips: Clips) -> dict[str, Tensor]:
        from latte_eval.sampler.masked_source import codec_round_trip

        assert self.conditions is not None and self.codec is not None  # `Pairing.open`
        truth = self.conditions.pixels(clips.indices)
        generated = mask_to_positions(self.conditions.mask(clips.indices), self.codec.factor)
        shown = [clips.pixels, copy_nearest_given(truth, generated), codec_round_trip(self.codec, truth)]
        assert len(shown) == 1 + len(ANCHORS)
        return {name: torch.cat([clip_values(measure, each, truth, generated) for each in shown], dim=1).float()
                for name, measure in self.measures.items()}  # fmt: skip


@dataclass(frozen=True)
class Pairing:
    """What pairs a fake clip with its own truth: the conditions that it was made under."""

    conditions: Conditions
    codec: Codec

    def open(self, name: str, device: str, trust: bool = False) -> PairedDetector:
        """The detector of this name, of the table's paired ones, over these clips.

        Raises `ClipError` for frames that are too small, `WeightsError` or `UsageError` where weights are missing.
        """
        if name == PAIRED:
            recipe = json.dumps([PAIRED, OWN_VARIANTS, self.codec.name, self.codec.sha256], sort_keys=True)
            digest = hashlib.sha256(recipe.encode()).hexdigest()
            own = Detector(PAIRED, forward=nothing, weights=None, sha256=digest)
            return self.over(own, FRAME_MEASURES)
        from latte_eval.metrics.detectors.lpips import LPIPSDetector, check_frame_size

        side = self.conditions.masks.side * self.codec.factor
        check_frame_size((side, side))
        opened = open_detector(name, device, trust=trust)
        assert isinstance(opened, LPIPSDetector) and opened.network is not None
        return self.over(opened, {"lpips": opened.network.frame_distance})

    def over(self, detector: Detector, measures: Mapping[str, FrameMeasure]) -> PairedDetector:
        """A detector with these measures, and what is said of another one."""
        told = {each.name: getattr(detector, each.name) for each in dataclasses.fields(Detector)}
        return PairedDetector(**told, conditions=self.conditions, codec=self.codec, measures=measures)


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
