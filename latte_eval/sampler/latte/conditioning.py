"""How timestep and class reach the blocks: S-AdaLN, or all tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from latte_eval.sampler.latte.attention import MLP, Attention
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.latte.embedding import PatchDecoder
from latte_eval.sampler.latte.sizes import Sizes


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def layer_norm(config: Sizes, affine: bool) -> nn.LayerNorm:
    return nn.LayerNorm(config.width, elementwise_affine=affine, eps=1e-6)


class Branch(Protocol):
    """A residual branch: what stands around an attention or an MLP."""

    def __call__(self, x: Tensor, inside: Callable[[Tensor], Tensor]) -> Tensor: ...

    def of_video(self) -> Branch:
        """The branch for the video alone, where every frame has a condition of its own."""


# Branches are compared by identity: Dynamo of torch 2.11 hashes them before they have their fields.
@dataclass(frozen=True, eq=False)
class AdaptiveBranch:
    """x + gate * inside(norm(x) * (1 + scale) + shift); shift, scale, gate: [N, 1 or frames, 1, width]."""

    norm: nn.LayerNorm
    modulation: tuple[Tensor, ...]

    def __call__(self, x: Tensor, inside: Callable[[Tensor], Tensor]) -> Tensor:
        shift, scale, gate = self.modulation
        return x + gate * inside(modulate(self.norm(x), shift, scale))

    def of_video(self) -> AdaptiveBranch:
        return AdaptiveBranch(self.norm, tuple(part[:, :1] for part in self.modulation))


@dataclass(frozen=True, eq=False)
class PlainBranch:
    """x + inside(norm(x))."""

    norm: nn.LayerNorm

    def __call__(self, x: Tensor, inside: Callable[[Tensor], Tensor]) -> Tensor:
        return x + inside(self.norm(x))

    def of_video(self) -> PlainBranch:
        return self


@dataclass(frozen=True)
class Route:
    """How a block attends: the attentions that it has, and the way a clip takes through them.

    `run` takes the block, tokens [N, frames and images, tokens, width], the condition, and the number of frames.
    `sequences` says into how many sequences attention divides a clip of (frames, tokens); the published code
    computes the modulation once for each of them.
    """

    attentions: Callable[[LatteConfig], dict[str, Attention]]
    run: Callable[[Block, Tensor, Tensor | None, int], Tensor]
    over_time: bool
    sequences: Callable[[int, int], int]


class Block(nn.Module):
    """A transformer block: the attentions of its route, and an MLP."""

    attn: Attention
    temporal_attn: Attention

    def __init__(self, config: LatteConfig, route: Route):
        super().__init__()
        self.route = route
        for name, attention in route.attentions(config).items():
            self.add_module(name, attention)
        self.mlp = MLP(config)

    def branches(self, condition: Tensor | None) -> tuple[Branch, Branch]:
        """The residual branches of attention and MLP."""
        raise NotImplementedError

    def forward(self, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
        """# [N, frames and images, tokens, width], [N, 1 or frames and images, width] -> like x"""
        return self.route.run(self, x, condition, frames)


class AdaptiveBlock(Block):
    """S-AdaLN: shift, scale and gate of both branches come from the condition."""

    def __init__(self, config: LatteConfig, route: Route):
        super().__init__(config, route)
        self.norm = layer_norm(config, affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))

    def branches(self, condition: Tensor | None) -> tuple[Branch, Branch]:
        parts = self.adaLN_modulation(condition).unsqueeze(2).chunk(6, dim=-1)
        return AdaptiveBranch(self.norm, parts[:3]), AdaptiveBranch(self.norm, parts[3:])


class TokenBlock(Block):
    """All tokens: a plain pre-norm block; timestep and class are among its tokens."""

    def __init__(self, config: LatteConfig, route: Route):
        super().__init__(config, route)
        self.norm1, self.norm2 = layer_norm(config, affine=True), layer_norm(config, affine=True)

    def branches(self, condition: Tensor | None) -> tuple[Branch, Branch]:
        return PlainBranch(self.norm1), PlainBranch(self.norm2)


class FinalLayer(PatchDecoder):
    """S-AdaLN, then the decoder."""

    def __init__(self, config: Sizes):
        super().__init__(config)
        self.norm = layer_norm(config, affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 2 * config.width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [N, T, tokens, width] -> [N, T, C, H, W]
        shift, scale = self.adaLN_modulation(condition).unsqueeze(2).chunk(2, dim=-1)
        return self.decode(modulate(self.norm(x), shift, scale))


class TokenFinalLayer(PatchDecoder):
    """A plain norm, then the decoder."""

    def __init__(self, config: LatteConfig):
        super().__init__(config)
        self.norm = layer_norm(config, affine=True)

    def forward(self, x: Tensor, condition: None) -> Tensor:  # [N, T, tokens, width] -> [N, T, C, H, W]
        return self.decode(self.norm(x))


class AdaptiveConditioning:
    """Timestep and class are summed into one condition that modulates every block."""

    block, final_layer = AdaptiveBlock, FinalLayer

    def enter(self, x: Tensor, embeddings: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """# [N, T, tokens, width], each [N, 1 or T, width] -> tokens, [N, 1 or T, width]"""
        condition = embeddings[0]
        for embedding in embeddings[1:]:
            condition = condition + embedding
        return x, condition

    def leave(self, x: Tensor, embeddings: list[Tensor]) -> Tensor:
        return x


class TokenConditioning:
    """Timestep and class stand before the tokens of every frame, and are dropped at the end."""

    block, final_layer = TokenBlock, TokenFinalLayer

    def enter(self, x: Tensor, embeddings: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """# [N, T, tokens, width], each [N, 1 or T, width] -> [N, T, len(embeddings) + tokens, width], None"""
        tokens = [embedding.expand(*x.shape[:2], -1) for embedding in embeddings]
        return torch.cat([torch.stack(tokens, dim=2).to(x.dtype), x], dim=2), None

    def leave(self, x: Tensor, embeddings: list[Tensor]) -> Tensor:
        return x[:, :, len(embeddings) :]


Conditioning = AdaptiveConditioning | TokenConditioning
MODES: dict[str, type[Conditioning]] = {"s-adaln": AdaptiveConditioning, "all-tokens": TokenConditioning}
