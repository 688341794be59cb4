"""Latte, the latent diffusion transformer for video (Ma et al., 2024, arXiv 2401.03048), and its whole family.

A model is put together from parts that have small files of their own:

    patches       embedding.py      uniform frames or tubes, and the way back
    conditioning  conditioning.py   S-AdaLN or all tokens
    blocks        variants.py       variants 1 to 4: when space and time are attended to
    attention     attention.py      with or without rotary positions

Variant 1 with uniform frames, S-AdaLN and absolute positions is the published one. Its parameter names are those of
the published checkpoints, so a state dict loads as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latte_eval.core.errors import CheckpointError, SamplerError
from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.sampler.latte.attention import Attention
from latte_eval.sampler.latte.conditioning import MODES
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.latte.embedding import (
    LabelEmbedding,
    PatchEmbedding,
    TimestepEmbedding,
    TubeEmbedding,
    spatial_table,
    temporal_table,
)
from latte_eval.sampler.latte.recognise import check_heads_told, check_keys, state_dict_to_config
from latte_eval.sampler.latte.variants import ROUTES
from latte_eval.sampler.model import VideoModel, run_block


class Latte(VideoModel):
    """A Latte: `model(latents, timesteps, labels)`.

    Args:
        config: sizes and choices; `Latte.from_state_dict` reads them off a checkpoint instead.

    Attributes:
        run_block: how a block is run.
    """

    config: LatteConfig

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.config, self.run_block = config, run_block
        self.conditioning = MODES[config.conditioning]()
        routes = ROUTES[config.variant](config.depth)
        self.first_temporal = [route.over_time for route in routes].index(True)
        # With rotary positions the table is not added; it tells the number of frames.
        self.pos_embed = nn.Parameter(spatial_table(config.width, config.input_size // config.patch), False)
        self.temp_embed = nn.Parameter(temporal_table(config.width, config.tubes), False)
        self.x_embedder = PatchEmbedding(config) if config.tube == 1 else TubeEmbedding(config)
        self.t_embedder = TimestepEmbedding(config)
        self.y_embedder = LabelEmbedding(config) if config.classes is not None else None
        self.blocks = nn.ModuleList(self.conditioning.block(config, route) for route in routes)
        self.final_layer = self.conditioning.final_layer(config)

    @classmethod
    def from_state_dict(
        cls,
        state: Mapping[str, Tensor],
        heads: int | None = None,
        *,
        variant: int | None = None,
        temporal_position: str | None = None,
        classes: int | None = None,
        frames: int | None = None,
    ) -> Latte:
        """Build the model that a state dict belongs to, in evaluation mode.

        Args:
            state: bare keys (`pos_embed`, `blocks.0.attn.qkv.weight`, ...), as `load_checkpoint` returns them.
            heads: attention heads. The weights do not tell; without it the published widths have theirs (Table 4),
                and any other is an error.
            variant: 2 for late fusion, whose weights look like those of variant 1. The weights show the others.
            temporal_position: `rotary`, which leaves no trace either; else `absolute`.
            classes: how many there are, if the label table has as many rows and no null class; else one less.
            frames: clips of another length: shorter ones, whose positions are the first of the table; with rotary
                positions longer ones as well.

        Raises:
            CheckpointError: keys or shapes are not those of a Latte; names the first few. Or an argument that the
                weights do not allow.
        """
        config = state_dict_to_config(state, heads, variant, temporal_position, classes)
        if frames is not None and frames != config.frames:
            state = with_frames(state, config, frames)
            config = dataclasses.replace(config, frames=frames)
        model = cls.fitting(config, state)
        check_heads_told(config, heads)
        model.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
        return model.requires_grad_(False).eval()

    @classmethod
    def fitting(cls, config: LatteConfig, state: Mapping[str, Tensor]) -> Latte:
        """The model without its weights, on the meta device. Raises `CheckpointError` for keys or shapes of another."""
        with UnsetWeights(), torch.device("meta"):
            model = cls(config)
        check_keys(model.state_dict(), state)
        return model

    def forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predicted noise, then variance logits. # [N, T, C, H, W], [N], [N] -> [N, T, 2C, H, W]

        `timesteps` are the original 0..999. A class-conditional model without labels uses its null class.
        """
        self.check_inputs(latents, self.config.frames)
        return self.transform(latents, self.embeddings(timesteps, labels))

    def joint_forward(
        self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None, image_labels: Tensor | None = None
    ) -> Tensor:
        """`forward` with U images after the frames, as Latte+IMG trains. Images take part in space only.

        # [N, T + U, C, H, W], [N], [N], [N, U] -> [N, T + U, 2C, H, W]
        """
        images = latents.shape[1] - self.config.frames
        if self.config.tube > 1:
            raise SamplerError(f"images cannot join clips cut in tubes of {self.config.tube} frames")
        self.check_inputs(latents, self.config.frames + max(images, 0))
        if labels is None:
            labels = self.null_labels(timesteps)
        if image_labels is None:
            image_labels = self.null_labels(labels)[:, None].expand(-1, images)
        every = torch.cat([labels[:, None].expand(-1, self.config.frames), image_labels], dim=1)
        return self.transform(latents, self.embeddings(timesteps, every))

    def guided_forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor, guidance_scale: float) -> Tensor:
        """Classifier-free guidance over all latent channels; the variance stays the conditional one.

        Same shapes as `forward`. eps = uncond + scale * (cond - uncond), Ho and Salimans 2022.
        """
        if self.y_embedder is None:
            raise SamplerError("guidance needs a class-conditional checkpoint, this one is unconditional")
        if guidance_scale == 1:
            return self(latents, timesteps, labels)
        labels = torch.cat([labels, self.null_labels(labels)])
        out = self(torch.cat([latents, latents]), torch.cat([timesteps, timesteps]), labels)
        (cond, uncond), c = out.chunk(2), self.config.channels
        noise = uncond[:, :, :c] + guidance_scale * (cond[:, :, :c] - uncond[:, :, :c])
        return torch.cat([noise, cond[:, :, c:]], dim=2)

    @property
    def null_class(self) -> int:
        """The label that means no class: the last row of the label table."""
        return self.config.classes or 0

    def null_labels(self, like: Tensor) -> Tensor:  # [N] -> [N]
        """The null class for every clip. Raises `SamplerError` where the label table has no row for it."""
        if not self.config.null_row:
            raise SamplerError(
                f"this checkpoint has {self.config.classes} classes and no null class: its clips need labels, "
                "and guidance is not possible"
            )
        return torch.full_like(like, self.null_class)

    def embeddings(self, timesteps: Tensor, labels: Tensor | None) -> list[Tensor]:
        """Timestep and class. # [N], [N] or [N, T] -> [N, 1, width] and, with classes, [N, 1 or T, width]"""
        embedded = [self.t_embedder(timesteps)[:, None]]
        if self.y_embedder is not None:
            labels = self.null_labels(timesteps) if labels is None else labels
            self.check_labels(labels)
            embedded.append(self.y_embedder(labels.reshape(len(labels), -1)))
        return embedded

    def transform(self, latents: Tensor, embeddings: list[Tensor]) -> Tensor:
        """Patches, blocks, decoder. # [N, T, C, H, W], each [N, 1 or T, width] -> [N, T, 2C, H, W]"""
        x = self.x_embedder(latents) + self.pos_embed.unsqueeze(1)
        x, condition = self.conditioning.enter(x, embeddings)
        for i, block in enumerate(self.blocks):
            if i == self.first_temporal:
                x = self.add_temporal_position(x)
            x = self.run_block(block, x, condition, self.config.tubes)
        return self.final_layer(self.conditioning.leave(x, embeddings), condition)

    def tabulate(self) -> None:
        """Compute now what depends on timestep or position alone, for all steps of sampling to come.

        The model must be on its device and of its type before.
        """
        self.t_embedder.tabulate()
        for module in self.modules():
            if isinstance(module, Attention) and module.rotary:
                module.tabulate(self.config.tubes)

    def add_temporal_position(self, x: Tensor) -> Tensor:  # [N, T and images, tokens, width]
        """The table is added once, to the frames of the video; rotary positions live in the attention."""
        if self.config.temporal_position == "rotary":
            return x
        images = x.shape[1] - self.config.tubes
        return x + nn.functional.pad(self.temp_embed, (0, 0, 0, images)).unsqueeze(2)

    def check_inputs(self, latents: Tensor, frames: int) -> None:
        c = self.config
        expected = (frames, c.channels, c.input_size, c.input_size)
        if latents.ndim != 5 or tuple(latents.shape[1:]) != expected:
            wanted = ", ".join(map(str, expected))
            raise SamplerError(f"latents are {tuple(latents.shape)}, this checkpoint takes (N, {wanted})")

    def check_labels(self, labels: Tensor) -> None:
        """Raise `SamplerError` for a label outside the classes and the null class.

        Labels on a GPU are not checked: reading them would make every step wait for the one before.
        """
        if labels.device.type != "cpu" or torch.compiler.is_compiling():
            return
        outside = labels[(labels < 0) | (labels >= self.null_class + self.config.null_row)]
        if len(outside):
            raise SamplerError(
                f"label {int(outside[0])} is outside 0..{self.null_class - 1}: "
                f"this checkpoint has {self.null_class} classes"
            )


def with_frames(state: Mapping[str, Tensor], config: LatteConfig, frames: int) -> dict[str, Tensor]:
    """A state dict whose temporal table serves clips of another length. Raises `CheckpointError` where it cannot."""
    if frames < config.tube or frames % config.tube:
        raise CheckpointError(f"{frames} frames are not a whole number of tubes of {config.tube}")
    tubes, table = frames // config.tube, state["temp_embed"]
    if tubes > config.tubes and config.temporal_position == "absolute":
        raise CheckpointError(
            f"this checkpoint has positions for {config.frames} frames; it cannot make clips of {frames}"
        )
    longer = temporal_table(config.width, tubes)[:, table.shape[1] :]
    return {**state, "temp_embed": torch.cat([table[:, :tubes], longer.to(table)], dim=1)}
