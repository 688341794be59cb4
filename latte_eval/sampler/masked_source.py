"""`MaskedSource`: a checkpoint as a source of clips a part of which is given, from real clips of the same index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.clips import Clips
from latte_eval.core.errors import SamplerError
from latte_eval.sampler.diffusion import Denoiser
from latte_eval.sampler.given_clips import GivenClips
from latte_eval.sampler.masked import check_condition, composite, masked_denoiser
from latte_eval.sampler.sources import SampledSource
from latte_eval.sampler.tasks import Masks
from latte_eval.sampler.vae import Codec


@dataclass(frozen=True)
class Conditions(GivenClips):
    """What of fake clip i is given: the part of real clip i that its mask leaves, encoded.

    Latents are the most likely ones of the encoder (its mode), not drawn: a condition then has no noise of its own.
    """

    masks: Masks

    def check(self, count: int) -> None:
        """Raise `NotEnoughClips` or `SamplerError` unless clips 0..count-1 can be conditioned."""
        super().check(count)
        self.masks.check_clips(count)

    def mask(self, indices: Sequence[int]) -> Tensor:  # -> [N, T, h, w] bool
        return torch.stack([self.masks.mask(index) for index in indices])

    @property
    def record(self) -> dict[str, Any]:
        """What a result says about them, in JSON types."""
        return {**self.masks.record, "conditions": self.real.fingerprint, "conditions_latents": "mode"}


class MaskedSource(SampledSource):
    """Clips of a checkpoint that continue, fill in or complete real ones.

    Args:
        conditions: what is given.
        arguments: those of `SampledSource`.

    Raises:
        SamplerError, NotEnoughClips: what `SampledSource` raises; clips that cannot be conditioned.
    """

    def __init__(self, conditions: Conditions, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        conditions.check(self.count)
        self.conditions = conditions

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips that are given parts of one video are not independent."""
        return self.conditions.real.groups(indices)

    @property
    def record(self) -> dict[str, object]:
        """Everything that changes a clip, in JSON types."""
        return {**super().record, **self.conditions.record}

    @exact_float32()
    def given(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Given latents and masks of clips, on the device of the model. # -> [N, T, C, H, W] float32, [N, T, H, W] bool

        Raises `SamplerError` for latents that are NaN or infinite, or real clips of another size.
        """
        pixels, mask = self.conditions.pixels(indices), self.conditions.mask(indices)
        frames, _, side, _ = self.latent_shape
        wanted = (frames, 3, side * self.codec.factor, side * self.codec.factor)
        if tuple(pixels.shape[1:]) != wanted:
            raise SamplerError(f"real clips are {tuple(pixels.shape[1:])}, this checkpoint is given {wanted}")
        latents = self.codec.encode(pixels.to(self.device)).float()
        check_condition(latents, latents, mask)
        return latents, mask.to(self.device)

    def conditioned(self, denoiser: Denoiser, indices: Sequence[int]) -> Denoiser:
        """The denoiser of these clips, which sees what is given of them."""
        self.shown = self.given(indices)
        return masked_denoiser(denoiser, *self.shown)

    def part_latents(self, indices: Sequence[int], part: int, parts: int) -> Tensor:  # -> [N, T, C, H, W] float32
        """The composites."""
        return composite(super().part_latents(indices, part, parts), *self.shown)

    def latents_to_clips(self, latents: Tensor, indices: Sequence[int], room: int | None = None) -> Clips:
        """The frames, with real pixels at given positions where the settings say so."""
        clips = super().latents_to_clips(latents, indices, room)
        if self.conditions.masks.settings.given_pixels == "round-trip" or not indices:
            return clips
        factor = self.codec.factor
        generated = self.conditions.mask(indices).repeat_interleave(factor, 2).repeat_interleave(factor, 3).unsqueeze(2)
        pixels = torch.where(generated, clips.pixels, self.conditions.pixels(indices))
        return Clips(pixels, clips.indices, clips.labels)


def codec_round_trip(codec: Codec, pixels: Tensor) -> Tensor:  # [N, T, 3, H, W] uint8 -> the same
    """The anchor 'the codec's round trip of the truth': what a model of these latents can reach at most."""
    return codec.decode(codec.encode(pixels)).cpu()
