"""The network of VDT (Lu et al., ICLR 2024): every block attends over time, then in space.

Facts are those of RERV/VDT@cdbad2b; parameter names are those of its checkpoints, so a state dict loads as it is.
Patches, timesteps, attention, MLP and decoder are Latte's: both come from DiT. What differs from a Latte:

    time      its position table is added to all tokens before the first block; its attention has a norm with weights,
              no modulation, and a layer of its own at the end
    label     row 0 of the label table is added to the timestep in every clip: there are no classes, and no guidance
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from latte_eval.core.errors import SamplerError
from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.sampler.latte.attention import MLP, Attention
from latte_eval.sampler.latte.conditioning import AdaptiveBranch, FinalLayer, layer_norm
from latte_eval.sampler.latte.embedding import PatchEmbedding, TimestepEmbedding, spatial_table, temporal_table
from latte_eval.sampler.latte.recognise import check_keys
from latte_eval.sampler.model import VideoModel, run_block
from latte_eval.sampler.vdt.config import VDTConfig
from latte_eval.sampler.vdt.positions import with_positions
from latte_eval.sampler.vdt.recognise import check_frames, check_heads_told, state_dict_to_config


class LabelTable(nn.Module):
    """The label table, of which a VDT uses one row."""

    def __init__(self, config: VDTConfig):
        super().__init__()
        self.embedding_table = nn.Embedding(config.label_rows, config.width)

    def forward(self) -> Tensor:  # -> [width]
        row: Tensor = self.embedding_table(torch.zeros((), dtype=torch.long, device=self.embedding_table.weight.device))
        return row


class VDTBlock(nn.Module):
    """Attention over time without modulation, attention in space and an MLP with it.

    Attributes:
        route: what kind of block it is, as `Block` has it: a VDT has one kind.
    """

    route: ClassVar[str] = "time, then space"

    def __init__(self, config: VDTConfig):
        super().__init__()
        self.temporal_norm1 = nn.LayerNorm(config.width, eps=1e-5)
        self.temporal_attn = Attention(config)
        self.temporal_fc = nn.Linear(config.width, config.width)
        self.norm = layer_norm(config, affine=False)
        self.attn, self.mlp = Attention(config), MLP(config)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))

    def forward(self, x: Tensor, condition: Tensor, frames: int) -> Tensor:
        """# [N, T, tokens, width], [N, 1, width] -> like x"""
        parts = self.adaLN_modulation(condition).unsqueeze(2).chunk(6, dim=-1)
        x = x + self.over_time(x)
        x = AdaptiveBranch(self.norm, parts[:3])(x, self.attn)
        return AdaptiveBranch(self.norm, parts[3:])(x, self.mlp)

    def over_time(self, x: Tensor) -> Tensor:  # [N, T, tokens, width] -> the same
        """What the frames at each position say to each other."""
        attended = self.temporal_attn(self.temporal_norm1(x.transpose(1, 2)))
        return self.temporal_fc(attended).transpose(1, 2)


class VDT(VideoModel):
    """A VDT: `model(latents, timesteps)`.

    Args:
        config: sizes; `VDT.from_state_dict` reads them off a checkpoint instead.
    """

    config: VDTConfig

    def __init__(self, config: VDTConfig):
        super().__init__()
        self.config, self.run_block = config, run_block
        self.pos_embed = nn.Parameter(spatial_table(config.width, config.input_size // config.patch), False)
        self.time_embed = nn.Parameter(temporal_table(config.width, config.frames), False)
        self.x_embedder = PatchEmbedding(config)
        self.t_embedder = TimestepEmbedding(config)
        self.y_embedder = LabelTable(config)
        self.blocks = nn.ModuleList(VDTBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)

    @classmethod
    def from_state_dict(
        cls,
        state: Mapping[str, Tensor],
        heads: int | None = None,
        *,
        frames: int | None = None,
        resize_pos_embed: int | None = None,
    ) -> VDT:
        """Build the model that a state dict belongs to, in evaluation mode.

        Args:
            state: bare keys (`pos_embed`, `blocks.0.temporal_fc.weight`, ...), as `load_checkpoint` returns them.
            heads: attention heads. The weights do not tell; without it the published widths have theirs, and any
                other is an error.
            frames: the length of clips that is needed; only the file's own is served.
            resize_pos_embed: side of other latents than the model was trained on, to which its table of positions is
                brought.

        Raises:
            CheckpointError: keys or shapes are not those of a VDT; names the first few. Or an argument that the
                weights do not allow.
        """
        state = state if resize_pos_embed is None else with_positions(state, resize_pos_embed)
        config = state_dict_to_config(state, heads)
        check_frames(config, frames)
        model = cls.fitting(config, state)
        check_heads_told(config, heads)
        model.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
        return model.requires_grad_(False).eval()

    @classmethod
    def fitting(cls, config: VDTConfig, state: Mapping[str, Tensor]) -> VDT:
        """The model without its weights, on the meta device. Raises `CheckpointError` for keys or shapes of another."""
        with UnsetWeights(), torch.device("meta"):
            model = cls(config)
        check_keys(model.state_dict(), state, "VDT")
        return model

    def forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predicted noise, then variance logits. # [N, T, C, H, W], [N] -> [N, T, 2C, H, W]

        `timesteps` are the original 0..999. Raises `SamplerError` for latents of other sizes, and for labels.
        """
        self.check_inputs(latents, labels)
        x = self.x_embedder(latents) + self.pos_embed.unsqueeze(1) + self.time_embed.unsqueeze(2)
        condition = (self.t_embedder(timesteps) + self.y_embedder())[:, None]
        for block in self.blocks:
            x = self.run_block(block, x, condition, self.config.frames)
        return self.final_layer(x, condition)

    def check_inputs(self, latents: Tensor, labels: Tensor | None) -> None:
        c = self.config
        expected = (c.frames, c.channels, c.input_size, c.input_size)
        if latents.ndim != 5 or tuple(latents.shape[1:]) != expected:
            wanted = ", ".join(map(str, expected))
            raise SamplerError(f"latents are {tuple(latents.shape)}, this VDT takes (N, {wanted})")
        if labels is not None:
            self.check_labels(labels)
