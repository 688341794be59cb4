"""Operations of one forward pass of a VDT, from the sizes alone, as `latte/operations.py` counts those of a Latte."""

from __future__ import annotations

from latte_eval.sampler.latte.operations import FREQUENCIES, attention_operations
from latte_eval.sampler.vdt.config import VDTConfig


def forward_operations(config: VDTConfig) -> int:
    """Multiplications and additions of matrix products, convolutions and attention for one clip: two per pair."""
    width, tokens = config.width, config.frames * config.tokens
    values = (config.channels + config.out_channels) * config.patch**2
    around = 2 * tokens * width * values + 2 * (FREQUENCIES * width + width**2) + 4 * width**2
    return config.depth * block_operations(config) + around


def block_operations(config: VDTConfig) -> int:
    """Attention over time with its own last layer, attention in space, the MLP, and the modulation of a clip."""
    width, tokens = config.width, config.frames * config.tokens
    space = attention_operations(width, config.frames, config.tokens)
    time = attention_operations(width, config.tokens, config.frames) + 2 * tokens * width**2
    return space + time + 16 * tokens * width**2 + 12 * width**2
