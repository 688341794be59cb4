"""Latte, the latent diffusion transformer for video (Ma et al., 2024, arXiv 2401.03048), as published.

Variant 1 of the paper: spatial and temporal blocks alternate, conditioned through S-AdaLN. Parameter names
are those of the published checkpoints, so a state dict loads as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.errors import CheckpointError, SamplerError

# Heads of the published widths (Table 4 of the paper). Weights do not tell the number of heads.
PUBLISHED_HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}


@dataclass(frozen=True)
class LatteConfig:
    """The sizes of a Latte. `classes` is None for an unconditional model; the null class is extra."""

    input_size: int
    patch: int
    channels: int
    width: int
    depth: int
    heads: int
    frames: int
    classes: int | None = None
    learned_variance: bool = True

    @property
    def out_channels(self) -> int:
        """Noise channels, and as many of variance logits where the variance is learned."""
        return self.channels * (2 if self.learned_variance else 1)

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return (self.input_size // self.patch) ** 2


def sincos_table(width: int, positions: np.ndarray) -> np.ndarray:  # [P] -> [P, width] float64, sine first
    """Sine-cosine rows for 1-D positions, the sine half first."""
    omega = 10000.0 ** -(np.arange(width // 2) / (width / 2))
    angles = np.asarray(positions, dtype=np.float64).reshape(-1, 1) * omega
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def spatial_table(width: int, grid: int) -> Tensor:  # -> [1, grid*grid, width] float32
    """Position table of one frame, row-major; the first half encodes the column, the second the row."""
    row, column = np.mgrid[:grid, :grid]
    halves = [sincos_table(width // 2, axis.ravel()) for axis in (column, row)]
    return torch.from_numpy(np.concatenate(halves, axis=1)).float()[None]


def temporal_table(width: int, frames: int) -> Tensor:  # -> [1, frames, width] float32
    """Position table over frames."""
    return torch.from_numpy(sincos_table(width, np.arange(frames))).float()[None]


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


class PatchEmbedding(nn.Module):
    """Uniform frame patch embedding: every frame is cut into patches on its own."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.proj = nn.Conv2d(config.channels, config.width, config.patch, config.patch)

    def forward(self, x: Tensor) -> Tensor:  # [N, T, C, H, W] -> [N, T, tokens, width]
        patches = self.proj(x.flatten(0, 1)).flatten(2).transpose(1, 2)
        return patches.unflatten(0, x.shape[:2])


class TimestepEmbedding(nn.Module):
    """Sinusoid of the original timestep 0..999, the cosine half first, through a two-layer MLP."""

    frequencies = 256

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(self.frequencies, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )

    def sinusoid(self, timesteps: Tensor) -> Tensor:  # [N] -> [N, 256] float32
        half = self.frequencies // 2
        steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
        angles = timesteps[:, None].float() * torch.exp(-np.log(10000) * steps / half)
        return torch.cat([angles.cos(), angles.sin()], dim=1)

    def forward(self, timesteps: Tensor) -> Tensor:  # [N] -> [N, width]
        return self.mlp(self.sinusoid(timesteps).to(self.mlp[0].weight.dtype))


class LabelEmbedding(nn.Module):
    """One row a class and a last row for the null class."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.embedding_table = nn.Embedding((config.classes or 0) + 1, config.width)

    def forward(self, labels: Tensor) -> Tensor:  # [N] -> [N, width]
        return self.embedding_table(labels)


class Attention(nn.Module):
    """Multi-head self-attention over the last axis but one; no mask, no query or key norm."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:  # [..., L, width] -> [..., L, width]
        *lead, length, width = x.shape
        qkv = self.qkv(x).reshape(-1, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(*lead, length, width))


class MLP(nn.Module):
    def __init__(self, config: LatteConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.width, 4 * config.width)
        self.fc2 = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """A transformer block with S-AdaLN: shift, scale and gate of both halves come from the condition."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(config)
        self.mlp = MLP(config)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [N, A, L, width], [N, width]; attends over L
        modulation = self.adaLN_modulation(condition)[:, None, None]
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, dim=-1)
        x = x + gate1 * self.attn(modulate(self.norm(x), shift1, scale1))
        return x + gate2 * self.mlp(modulate(self.norm(x), shift2, scale2))


class FinalLayer(nn.Module):
    """Tokens to patches; inside a patch the channel is the fastest index."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.patch, self.grid, self.channels = config.patch, config.input_size // config.patch, config.out_channels
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(config.width, config.patch**2 * config.out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 2 * config.width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [N, T, tokens, width] -> [N, T, C, H, W]
        shift, scale = self.adaLN_modulation(condition)[:, None, None].chunk(2, dim=-1)
        x = self.linear(modulate(self.norm(x), shift, scale))
        x = x.unflatten(2, (self.grid, self.grid)).unflatten(4, (self.patch, self.patch, self.channels))
        return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


class Latte(nn.Module):
    """The published Latte: `model(latents, timesteps, labels)`.

    Args:
        config: sizes; `Latte.from_state_dict` reads them off a checkpoint instead.
    """

    def __init__(self, config: LatteConfig):
        super().__init__()
        if config.depth % 2:
            raise CheckpointError(f"Latte alternates spatial and temporal blocks: depth {config.depth} is odd")
        self.config = config
        grid = config.input_size // config.patch
        self.pos_embed = nn.Parameter(spatial_table(config.width, grid), requires_grad=False)
        self.temp_embed = nn.Parameter(temporal_table(config.width, config.frames), requires_grad=False)
        self.x_embedder = PatchEmbedding(config)
        self.t_embedder = TimestepEmbedding(config)
        self.y_embedder = LabelEmbedding(config) if config.classes is not None else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], heads: int | None = None) -> Latte:
        """Build the model that a published state dict belongs to, in evaluation mode.

        Args:
            state: bare keys (`pos_embed`, `blocks.0.attn.qkv.weight`, ...), as `load_checkpoint` returns them.
            heads: attention heads. The weights do not tell; without it the published sizes keep theirs
                (Table 4), any other width up to 256 has 4, and wider ones have 64 channels a head.

        Raises:
            CheckpointError: keys or shapes are not those of a Latte; names the first few.
        """
        config = state_dict_to_config(state, heads)
        with torch.device("meta"):
            model = cls(config)
        check_keys(model.state_dict(), state)
        model.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
        return model.requires_grad_(False).eval()

    def forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predicted noise, then variance logits. # [N, T, C, H, W], [N], [N] -> [N, T, 2C, H, W]

        `timesteps` are the original 0..999. A class-conditional model without labels uses its null class.
        """
        self.check_inputs(latents)
        condition = self.condition(timesteps, labels)
        x = self.x_embedder(latents) + self.pos_embed.unsqueeze(1)
        for i in range(0, self.config.depth, 2):
            x = self.blocks[i](x, condition).transpose(1, 2)
            if i == 0:
                x = x + self.temp_embed.unsqueeze(1)
            x = self.blocks[i + 1](x, condition).transpose(1, 2)
        return self.final_layer(x, condition)

    def guided_forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor, guidance_scale: float) -> Tensor:
        """Classifier-free guidance over all latent channels; the variance stays the conditional one.

        Same shapes as `forward`. eps = uncond + scale * (cond - uncond), Ho and Salimans 2022.
        """
        if self.y_embedder is None:
            raise SamplerError("guidance needs a class-conditional checkpoint, this one is unconditional")
        if guidance_scale == 1:
            return self(latents, timesteps, labels)
        labels = torch.cat([labels, torch.full_like(labels, self.null_class)])
        out = self(torch.cat([latents, latents]), torch.cat([timesteps, timesteps]), labels)
        (cond, uncond), c = out.chunk(2), self.config.channels
        noise = uncond[:, :, :c] + guidance_scale * (cond[:, :, :c] - uncond[:, :, :c])
        return torch.cat([noise, cond[:, :, c:]], dim=2)

    @property
    def null_class(self) -> int:
        """The label that means no class: the last row of the label table."""
        return self.config.classes or 0

    def condition(self, timesteps: Tensor, labels: Tensor | None) -> Tensor:  # [N], [N] -> [N, width]
        embedding = self.t_embedder(timesteps)
        if self.y_embedder is None:
            return embedding
        if labels is None:
            labels = torch.full_like(timesteps, self.null_class)
        return embedding + self.y_embedder(labels)

    def check_inputs(self, latents: Tensor) -> None:
        c = self.config
        expected = (c.frames, c.channels, c.input_size, c.input_size)
        if latents.ndim != 5 or tuple(latents.shape[1:]) != expected:
            wanted = ", ".join(map(str, expected))
            raise SamplerError(f"latents are {tuple(latents.shape)}, this checkpoint takes (N, {wanted})")


def state_dict_to_config(state: Mapping[str, Tensor], heads: int | None = None) -> LatteConfig:
    """Read size, patch, classes, frames and conditioning off the keys and shapes of a state dict."""
    try:
        width, channels, patch = state["x_embedder.proj.weight"].shape[:3]
        tokens, frames = state["pos_embed"].shape[1], state["temp_embed"].shape[1]
        depth = 1 + max(int(m[1]) for key in state if (m := re.match(r"blocks\.(\d+)\.", key)))
        out_channels = state["final_layer.linear.bias"].shape[0] // patch**2
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(foreign_state_dict(state)) from error
    table = state.get("y_embedder.embedding_table.weight")
    return LatteConfig(
        input_size=int(round(tokens**0.5)) * patch,
        patch=patch,
        channels=channels,
        width=width,
        depth=depth,
        heads=heads or default_heads(width),
        frames=frames,
        classes=None if table is None else table.shape[0] - 1,
        learned_variance=out_channels == 2 * channels,
    )


def default_heads(width: int) -> int:
    """Heads of a width: the published ones, 4 up to 256, else 64 channels a head."""
    return PUBLISHED_HEADS.get(width, 4 if width <= 256 else width // 64)


def foreign_state_dict(state: Mapping[str, Tensor]) -> str:
    first = ", ".join(list(state)[:3]) or "nothing"
    if any("caption_projection" in key or "temporal_transformer_blocks" in key for key in state):
        return f"this is a text-to-video Latte ({first}, ...); a class-conditional or unconditional one is needed"
    return f"this is not a Latte checkpoint: it holds {first}, ... and lacks pos_embed, x_embedder or blocks"


def check_keys(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` that names the first missing, unknown and misshapen keys."""
    wrong = [f"{key} is missing" for key in expected if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in expected]
    wrong += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise CheckpointError(f"not a Latte of these sizes: {'; '.join(wrong[:3])}{more}")
