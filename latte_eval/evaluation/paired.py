"""Detectors of paired metrics: each fake clip beside the real clip that it was given a part of, and two anchors.

Of several samples of a clip, each beside the real clip, and in pairs beside each other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latte_eval.core.clips import Clips
from latte_eval.evaluation.repeated import RepeatedClips
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.paired import (
    ANCHORS,
    FRAME_MEASURES,
    PAIRED,
    VARIANTS,
    FrameMeasure,
    between_samples,
    clip_values,
    copy_nearest_given,
    mask_to_positions,
    samples_apart,
)

if TYPE_CHECKING:
    from latte_eval.sampler.masked_source import Conditions
    from latte_eval.sampler.vae import Codec


# Of the metrics that need no weights.
OWN_VARIANTS = {name: VARIANTS[name] for name in FRAME_MEASURES}


@dataclass(frozen=True)
class PairedDetector(Detector):
    """What each clip is worth beside its own truth. # [N, 3, T, H, W] uint8 -> [N, 6] by metric

    Columns are those of `latte_eval.metrics.paired.COLUMNS`. K samples of a clip (`RepeatedClips`) give [N, 6, K], and
    what they are worth beside each other: [N, P], by the name that `between_samples` gives.
    """

    conditions: Conditions | None = None
    codec: Codec | None = None
    measures: Mapping[str, FrameMeasure] = field(default_factory=dict)
    samples: int = 1

    def record(self) -> dict[str, Any]:
        """With the number of samples, where it is not one: features of other numbers are others."""
        return super().record() | ({"samples": self.samples} if self.samples > 1 else {})

    def on_clips(self, clips: Clips) -> dict[str, Tensor]:
        from latte_eval.sampler.masked_source import codec_round_trip

        assert self.conditions is not None and self.codec is not None  # `Pairing.open`
        truth = self.conditions.pixels(clips.indices)
        generated = mask_to_positions(self.conditions.mask(clips.indices), self.codec.factor)
        made = [clips.pixels, *(clips.others if isinstance(clips, RepeatedClips) else ())]
        anchors = [copy_nearest_given(truth, generated), codec_round_trip(self.codec, truth)]
        assert (len(made), len(anchors)) == (self.samples, len(ANCHORS))
        found = {name: columns(measure, made, anchors, truth, generated) for name, measure in self.measures.items()}
        apart = {between_samples(name): samples_apart(measure, made, generated) for name, measure in
                 self.measures.items() if self.samples > 1}  # fmt: skip
        return {name: values.float() for name, values in (found | apart).items()}


def columns(
    measure: FrameMeasure, made: Sequence[Tensor], anchors: Sequence[Tensor], truth: Tensor, generated: Tensor
) -> Tensor:  # -> [N, 6], of K samples [N, 6, K]
    """A metric of every sample, and of the anchors, which are the same beside each."""
    fixed = [clip_values(measure, each, truth, generated) for each in anchors]
    tables = [torch.cat([clip_values(measure, each, truth, generated), *fixed], dim=1) for each in made]
    return torch.stack(tables, dim=2) if len(made) > 1 else tables[0]


@dataclass(frozen=True)
class Pairing:
    """What pairs a fake clip with its own truth: the conditions that it was made under, `samples` times."""

    conditions: Conditions
    codec: Codec
    samples: int = 1

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
        told: dict[str, Any] = {each.name: getattr(detector, each.name) for each in dataclasses.fields(Detector)}
        return PairedDetector(
            **told, conditions=self.conditions, codec=self.codec, measures=measures, samples=self.samples
        )


def nothing(clips: Tensor) -> dict[str, Tensor]:
    """Clips by themselves say nothing: they are asked for with their indices."""
    raise NotImplementedError("a paired detector takes `Clips`, which have indices")
