"""Into tokens and out of them: position tables, patches, timesteps, classes, and the decoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from latte_eval.sampler.diffusion import TRAINING_STEPS
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.latte.sizes import Sizes


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


class PatchEmbedding(nn.Module):
    """Uniform frame patch embedding: every frame is cut into patches on its own."""

    def __init__(self, config: Sizes):
        super().__init__()
        self.proj = nn.Conv2d(config.channels, config.width, config.patch, config.patch)

    def forward(self, x: Tensor) -> Tensor:  # [N, T, C, H, W] -> [N, T, tokens, width]
        patches = self.proj(x.flatten(0, 1)).flatten(2).transpose(1, 2)
        return patches.unflatten(0, x.shape[:2])


class TubeEmbedding(nn.Module):
    """Compression frame patch embedding: tubes of several frames, as in ViViT (Arnab et al. 2021)."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        kernel = (config.tube, config.patch, config.patch)
        self.proj = nn.Conv3d(config.channels, config.width, kernel, kernel)

    def forward(self, x: Tensor) -> Tensor:  # [N, T, C, H, W] -> [N, T / tube, tokens, width]
        return self.proj(x.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)


class TimestepEmbedding(nn.Module):
    """Sinusoid of the original timestep 0..999, the cosine half first, through a two-layer MLP."""

    frequencies = 256

    def __init__(self, config: Sizes):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(self.frequencies, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )
        # [1000, width], a row for every timestep, where `tabulate` has been called.
        self.register_buffer("table", None, persistent=False)

    table: Tensor | None

    def tabulate(self) -> None:
        """Compute the rows of all timesteps now: a step of sampling then looks its row up."""
        self.table = self.embed(torch.arange(TRAINING_STEPS, device=next(self.mlp.parameters()).device))

    def sinusoid(self, timesteps: Tensor) -> Tensor:  # [N] -> [N, 256] float32
        half = self.frequencies // 2
        steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
        angles = timesteps[:, None].float() * torch.exp(-np.log(10000) * steps / half)
        return torch.cat([angles.cos(), angles.sin()], dim=1)

    def forward(self, timesteps: Tensor) -> Tensor:  # [N] -> [N, width]
        return self.embed(timesteps) if self.table is None else self.table[timesteps]

    def embed(self, timesteps: Tensor) -> Tensor:  # [N] -> [N, width]
        embedded: Tensor = self.mlp(self.sinusoid(timesteps).to(next(self.mlp.parameters()).dtype))
        return embedded


class LabelEmbedding(nn.Module):
    """One row per class and, in nearly all, a last row for the null class."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.embedding_table = nn.Embedding((config.classes or 0) + config.null_row, config.width)

    def forward(self, labels: Tensor) -> Tensor:  # [...] -> [..., width]
        return self.embedding_table(labels)


class PatchDecoder(nn.Module):
    """Tokens to patches; inside a patch the channel is the fastest index.

    After the linear layer a model with tubes has a transposed convolution over time that brings the frames back.
    """

    def __init__(self, config: Sizes):
        super().__init__()
        self.patch, self.grid, self.channels = config.patch, config.input_size // config.patch, config.out_channels
        self.linear = nn.Linear(config.width, config.patch**2 * config.out_channels)
        self.temporal_upsample = None
        if config.tube > 1:
            kernel = (config.tube, 1, 1)
            self.temporal_upsample = nn.ConvTranspose3d(self.channels, self.channels, kernel, kernel)

    def decode(self, x: Tensor) -> Tensor:  # [N, T / tube, tokens, width] -> [N, T, C, H, W]
        x = self.linear(x).unflatten(2, (self.grid, self.grid)).unflatten(4, (self.patch, self.patch, self.channels))
        x = x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
        if self.temporal_upsample is None:
            return x
        return self.temporal_upsample(x.transpose(1, 2)).transpose(1, 2)
