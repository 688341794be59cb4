"""Operations of one forward pass, from the sizes alone.

`sampler/cost.py` counts the same by running the network on the meta device, for which torch imports its compiler: two
seconds, which a person who waits for the first clip should not pay. The tests hold the two against each other.
"""

from __future__ import annotations

from latte_eval.sampler.latte.config import LatteConfig

# Of the sinusoid that a timestep becomes.
FREQUENCIES = 256


def forward_operations(config: LatteConfig) -> int:
    """Multiplications and additions of matrix products, convolutions and attention for one clip: two per pair."""
    width, tokens = config.width, config.tubes * config.tokens
    patch_values = config.channels * config.patch**2 * config.tube
    decoded_values = config.out_channels * config.patch**2
    timestep = 2 * (FREQUENCIES * width + width**2)
    around = 2 * tokens * width * (patch_values + decoded_values) + upsampling_operations(config) + timestep
    final = 4 * width**2 if config.conditioning == "s-adaln" else 0
    return config.depth * block_operations(config) + around + final


def block_operations(config: LatteConfig) -> int:
    """One block; of variants 1 and 2 the mean of one in space and one over time, which have half of the depth each."""
    width, length = config.width, config.tokens + conditioning_tokens(config)
    space = attention_operations(width, config.tubes, length)
    time = attention_operations(width, length, config.tubes)
    attention = space + time if config.variant == 3 else (space + time) // 2
    mlp = 16 * config.tubes * length * width**2
    return attention + mlp + (12 * width**2 if config.conditioning == "s-adaln" else 0)


def attention_operations(width: int, sequences: int, length: int) -> int:
    """Queries, keys, values and output of every token; two products of every pair of tokens in a sequence."""
    return 8 * sequences * length * width**2 + 4 * sequences * length**2 * width


def conditioning_tokens(config: LatteConfig) -> int:
    """Tokens of timestep and class that stand before those of every frame."""
    return 0 if config.conditioning == "s-adaln" else 1 + (config.classes is not None)


def upsampling_operations(config: LatteConfig) -> int:
    """The transposed convolution that makes frames of tubes."""
    return 2 * config.frames * config.input_size**2 * config.out_channels**2 if config.tube > 1 else 0
