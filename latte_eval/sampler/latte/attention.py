"""Multi-head self-attention, with or without rotary positions, and the MLP after it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.sampler.latte.config import LatteConfig


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


class Attention(nn.Module):
    """Multi-head self-attention over the last axis but one; no mask, no query or key norm.

    Args:
        config: width and heads.
        heads: how many heads it has; all of them, or half in variant 4.
        rotary: turn queries and keys by their position along the axis.
    """

    def __init__(self, config: LatteConfig, heads: int | None = None, rotary: bool = False):
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
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(*lead, length, -1))


class MLP(nn.Module):
    """Two layers, four times as wide inside, GELU (tanh form) between."""

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.width, 4 * config.width)
        self.fc2 = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
