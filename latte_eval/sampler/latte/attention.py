"""Multi-head self-attention, with or without rotary positions, and the MLP after it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.sampler.latte.sizes import Sizes

# Fused attention on CUDA launches one row of blocks per sequence, and a grid has at most so many rows along y and z:
# "invalid configuration argument" (pytorch/pytorch#146704). Over time, 128 guided clips of 256 tokens are 65,536.
MOST_SEQUENCES = 65_535


def rotate(x: Tensor) -> Tensor:  # [..., L, head_width] -> the same, turned
    """Rotary positions 0..L-1 (Su et al. 2021): channel k and k + half are a pair, turned by position / 10000^(k/half).

    Scores of rotated queries and keys depend on positions through their differences alone.
    """
    length, half = x.shape[-2], x.shape[-1] // 2
    speed = 10000.0 ** -(torch.arange(half, dtype=torch.float32, device=x.device) / half)
    angles = torch.arange(length, dtype=torch.float32, device=x.device)[:, None] * speed
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # each [sequences, heads, L, head_width] -> the same
    """Attention inside every sequence, in as many calls as a GPU needs: sequences do not see each other."""
    if len(query) <= MOST_SEQUENCES:
        return F.scaled_dot_product_attention(query, key, value)
    parts = zip(*(x.split(MOST_SEQUENCES) for x in (query, key, value)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])


class Attention(nn.Module):
    """Multi-head self-attention over the last axis but one; no mask, no query or key norm.

    Args:
        config: width and heads.
        heads: how many heads it has; all of them, or half in variant 4.
        rotary: turn queries and keys by their position along the axis.
    """

    def __init__(self, config: Sizes, heads: int | None = None, rotary: bool = False):
        super().__init__()
        self.heads, self.rotary = heads or config.heads, rotary
        inner = self.heads * config.head_width
        self.qkv = nn.Linear(config.width, 3 * inner)
        self.proj = nn.Linear(inner, config.width)

    def forward(self, x: Tensor) -> Tensor:  # [..., L, width] -> [..., L, width]
        *lead, length, _ = x.shape
        qkv = self.qkv(x).reshape(-1, length, 3, self.heads, self.proj.in_features // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.rotary:
            query, key = rotate(query), rotate(key)
        attended = attend(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(*lead, length, -1))


class MLP(nn.Module):
    """Two layers, four times as wide inside, GELU (tanh form) between."""

    def __init__(self, config: Sizes):
        super().__init__()
        self.fc1 = nn.Linear(config.width, 4 * config.width)
        self.fc2 = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
