"""The paper's four variants: in which order the blocks attend in space and over time.

A variant is a list of routes, one per block. Images after the frames take part in space only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latte_eval.sampler.latte.attention import Attention
from latte_eval.sampler.latte.conditioning import Block, Route
from latte_eval.sampler.latte.config import LatteConfig


def on_video(x: Tensor, frames: int, inside: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `inside` to the first `frames` frames; the images after them stay as they are."""
    video = inside(x[:, :frames])
    return torch.cat([video, x[:, frames:]], dim=1) if x.shape[1] > frames else video


def across(inside: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`inside` with frames and positions exchanged: what attends over the last axis but one attends over time."""
    return lambda x: inside(x.transpose(1, 2)).transpose(1, 2)


def temporal_attention(config: LatteConfig, heads: int | None = None) -> Attention:
    return Attention(config, heads, rotary=config.temporal_position == "rotary")


def run_space(block: Block, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
    attention, mlp = block.branches(condition)
    return mlp(attention(x, block.attn), block.mlp)


def run_time(block: Block, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
    attention, mlp = (branch.of_video() for branch in block.branches(condition))
    return on_video(x, frames, across(lambda video: mlp(attention(video, block.attn), block.mlp)))


def run_space_then_time(block: Block, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
    attention, mlp = block.branches(condition)
    over_time = attention.of_video()
    x = attention(x, block.attn)
    x = on_video(x, frames, across(lambda video: over_time(video, block.temporal_attn)))
    return mlp(x, block.mlp)


def run_space_and_time(block: Block, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
    attention, mlp = block.branches(condition)

    def both(x: Tensor) -> Tensor:
        temporal = across(block.temporal_attn)(x[:, :frames])
        return on_video(block.attn(x), frames, lambda spatial: spatial + temporal)

    return mlp(attention(x, both), block.mlp)


def one_attention(config: LatteConfig) -> dict[str, Attention]:
    return {"attn": Attention(config)}


def one_temporal_attention(config: LatteConfig) -> dict[str, Attention]:
    return {"attn": temporal_attention(config)}


def two_attentions(config: LatteConfig) -> dict[str, Attention]:
    return {"attn": Attention(config), "temporal_attn": temporal_attention(config)}


def two_halves(config: LatteConfig) -> dict[str, Attention]:
    half = config.heads // 2
    return {"attn": Attention(config, half), "temporal_attn": temporal_attention(config, half)}


SPACE = Route(one_attention, run_space, False, lambda frames, tokens: frames)
TIME = Route(one_temporal_attention, run_time, True, lambda frames, tokens: tokens)
SPACE_THEN_TIME = Route(two_attentions, run_space_then_time, True, lambda frames, tokens: frames + tokens)
SPACE_AND_TIME = Route(two_halves, run_space_and_time, True, lambda frames, tokens: frames)

ROUTES: dict[int, Callable[[int], list[Route]]] = {
    1: lambda depth: [SPACE, TIME] * (depth // 2),
    2: lambda depth: [SPACE] * (depth // 2) + [TIME] * (depth // 2),
    3: lambda depth: [SPACE_THEN_TIME] * depth,
    4: lambda depth: [SPACE_AND_TIME] * depth,
}
