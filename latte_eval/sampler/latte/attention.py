"""Multi-head self-attention, with or without rotary positions, and the MLP after it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.sampler.latte.sizes import Sizes

# Fused attention on CUDA launches one row of blocks per sequence, and a grid has at most so many rows along y and z:
# "invalid configuration argument" (pytorch/pytorch#146704). Over time, 128 guided clips of 256 tokens are 65,536.
MOST_SEQUENCES = 65_535

# Over time a clip has few tokens in many sequences, for which fused kernels are not made: once compiled, matrix
# products with a softmax between them are faster (benchmarks/speed/RESULTS.md). Uncompiled they are not.
FEW_TOKENS = 32


def turns(length: int, half: int, like: Tensor) -> Tensor:  # -> [2, L, half] in the type of `like`
    """Cosine and sine of position / 10000^(k/half) for positions 0..L-1."""
    speed = 10000.0 ** -(torch.arange(half, dtype=torch.float32, device=like.device) / half)
    angles = torch.arange(length, dtype=torch.float32, device=like.device)[:, None] * speed
    return torch.stack([angles.cos().to(like.dtype), angles.sin().to(like.dtype)])


def rotate(x: Tensor, table: Tensor | None = None) -> Tensor:  # [..., L, head_width] -> the same, turned
    """Rotary positions 0..L-1 (Su et al. 2021): channel k and k + half are a pair, turned by position / 10000^(k/half).

    Scores of rotated queries and keys depend on positions through their differences alone. `table` is that of `turns`.
    """
    cos, sin = turns(x.shape[-2], x.shape[-1] // 2, x) if table is None else table
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # each [sequences, heads, L, head_width] -> the same
    """Attention inside every sequence, in as many calls as a GPU needs: sequences do not see each other."""
    if takes_products(query):
        return products(query, key, value)
    if len(query) <= MOST_SEQUENCES:
        return F.scaled_dot_product_attention(query, key, value)
    parts = zip(*(x.split(MOST_SEQUENCES) for x in (query, key, value)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])


def takes_products(query: Tensor) -> bool:
    """Whether attention is faster as matrix products: measured for half types on a GPU."""
    half = query.is_cuda and query.dtype in (torch.bfloat16, torch.float16)
    return torch.compiler.is_compiling() and half and query.shape[-2] <= FEW_TOKENS


def products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention as it is defined, the softmax in float32."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return scores.float().softmax(-1).to(value.dtype) @ value


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
        # [2, L, half of a head], where `tabulate` has been called.
        self.register_buffer("table", None, persistent=False)

    table: Tensor | None

    def tabulate(self, length: int) -> None:
        """Compute the turns of all positions now: a step of sampling then finds them."""
        self.table = turns(length, self.proj.in_features // self.heads // 2, self.proj.weight)

    def forward(self, x: Tensor) -> Tensor:  # [..., L, width] -> [..., L, width]
        *lead, length, _ = x.shape
        qkv = self.qkv(x).reshape(-1, length, 3, self.heads, self.proj.in_features // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.rotary:
            query, key = rotate(query, self.table), rotate(key, self.table)
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
