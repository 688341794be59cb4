"""`MaskedSource`: a checkpoint as a source of clips a part of which is given, from real clips of the same index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.clips import Clips
from latte_eval.core.errors import SamplerError
from latte_eval.core.seeding import identity_to_seed
from latte_eval.sampler.diffusion import Denoiser
from latte_eval.sampler.given_clips import GivenClips
from latte_eval.sampler.masked import check_condition, composite, masked_denoiser
from latte_eval.sampler.sources import SampledSource
from latte_eval.sampler.tasks import Masks
from latte_eval.sampler.vae import Codec, IdentityCodec


@dataclass(frozen=True)
class Conditions(GivenClips):
    """What of fake clip i is given: the part of real clip i that its mask leaves, encoded.

    Latents are the most likely ones of the encoder (its mode), or drawn, with a noise that belongs to (seed, clip).
    """

    masks: Masks

    def check(self, count: int) -> None:
        """Raise `NotEnoughClips` or `SamplerError` unless clips 0..count-1 can be conditioned."""
        super().check(count)
        self.masks.check_clips(count)

    def noise(self, indices: Sequence[int], shape: tuple[int, ...]) -> Tensor | None:  # -> [N, *shape] float32
        """With what latents are drawn; None where the most likely ones are given."""
        if self.masks.settings.given_latents == "mode":
            return None
        seeds = [identity_to_seed("given latents", self.masks.seed, index) % 2**63 for index in indices]
        return torch.stack([torch.randn(shape, generator=Generator().manual_seed(seed)) for seed in seeds])

    def mask(self, indices: Sequence[int]) -> Tensor:  # -> [N, T, h, w] bool
        return torch.stack([self.masks.mask(index) for index in indices])

    @property
    def record(self) -> dict[str, Any]:
        """What a result says about them, in JSON types."""
        return {**self.masks.record, "conditions": self.real.fingerprint, "conditions_of": self.real.name,
                "conditions_latents": self.masks.settings.given_latents}  # fmt: skip


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
        if conditions.masks.settings.given_latents == "drawn" and isinstance(self.codec, IdentityCodec):
            raise SamplerError("--given-latents drawn needs a VAE: this model is given pixels, which are not drawn")
        conditions.check(self.count)
        self.conditions = conditions

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips that are given parts of one video are not independent."""
        return self.conditions.real.groups(indices)

    @property
    def record(self) -> dict[str, object]:
        """Everything that changes a clip, in JSON types."""
        told = {name: value for name, value in self.conditions.record.items() if name != "conditions_of"}
        return {**super().record, **told}

    @exact_float32()
    def given(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Given latents and masks of clips, on the device of the model. # -> [N, T, C, H, W] float32, [N, T, H, W] bool

        Raises `SamplerError` for latents that are NaN or infinite, or real clips of another size.
        """
        pixels, mask = self.conditions.pixels(indices), self.conditions.mask(indices)
        frames, _, side, _ = self.latent_shape
        wanted = (self.clip_frames, 3, side * self.codec.factor, side * self.codec.factor)
        if tuple(pixels.shape[1:]) != wanted:
            raise SamplerError(f"real clips are {tuple(pixels.shape[1:])}, this checkpoint is given {wanted}")
        pixels, mask = pixels[:, :frames], mask[:, :frames]
        latents = self.codec.encode(pixels.to(self.device), self.conditions.noise(indices, self.latent_shape)).float()
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
