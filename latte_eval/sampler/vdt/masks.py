"""The seven mask tasks of VDT: which part of a clip is given, and which is generated.

A mask is a function of (seed, clip): never of batch, worker or rank. What is given in each task is that of
RERV/VDT@cdbad2b at 16 frames; the blocks of `completion` follow Bao et al. 2021 (BEiT, blockwise masking).

In the reference a completion whose last frame is to be masked ends in a slice up to -0, which is empty: a quarter of
all clips is given whole. The rule `corrected` masks these frames; under `upstream` nothing is masked, and such a clip
is refused as a generated one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.choices import check_choice
from latte_eval.core.errors import SamplerError
from latte_eval.core.seeding import numpy_generator

MASK_RULES = ("corrected", "upstream")

# Of `completion`: at most so many frames at either end are given whole, and this share of a frame is masked.
MOST_WHOLE, SHARE_MASKED = 3, 0.5
# Blocks are between this share of the masked part and all of it, and at most so much longer than wide.
LEAST_BLOCK, LONGEST_BLOCK = 0.2, 1 / 0.3
MOST_BLOCKS = 100
# Of `arbitrary`: the chance of each frame to be given.
CHANCE_GIVEN = 0.2

# Frames of a clip -> whether each is given. # generator, T -> [T] bool
FramesGiven = Callable[[np.random.Generator, int], np.ndarray]


def given_first_half(generator: np.random.Generator, frames: int) -> np.ndarray:
    return np.arange(frames) < frames // 2


def given_last_half(generator: np.random.Generator, frames: int) -> np.ndarray:
    return np.arange(frames) >= frames - frames // 2


def given_every_fourth(generator: np.random.Generator, frames: int) -> np.ndarray:
    return np.arange(frames) % 4 == 0


def given_none(generator: np.random.Generator, frames: int) -> np.ndarray:
    return np.zeros(frames, bool)


def given_one(generator: np.random.Generator, frames: int) -> np.ndarray:
    return np.arange(frames) == generator.integers(frames)


def given_by_chance(generator: np.random.Generator, frames: int) -> np.ndarray:
    return generator.random(frames) < CHANCE_GIVEN


# What is given in the tasks that give whole frames.
WHOLE_FRAMES: dict[str, FramesGiven] = {
    "unconditional": given_none,
    "predict": given_first_half,
    "backward": given_last_half,
    "interpolation": given_every_fourth,
    "one-frame": given_one,
    "arbitrary": given_by_chance,
}
COMPLETION = "completion"
TASKS = (*WHOLE_FRAMES, COMPLETION)
# Tasks that draw what is given, for every clip.
DRAWN = ("one-frame", "arbitrary", COMPLETION)


def task_to_mask(task: str, seed: int, clip: int, frames: int, side: int, rule: str = "corrected") -> Tensor:
    """The mask of one clip. # -> [frames, side, side] bool, True = generate

    Args:
        task: a name in `TASKS`.
        frames, side: of the clip's latents.
        rule: of `completion`: `corrected`, or `upstream`, under which one clip in four has nothing to generate.

    Raises:
        SamplerError: no such task or rule.
    """
    check_choice("--task", task, TASKS, SamplerError)
    check_choice("--mask-rule", rule, MASK_RULES, SamplerError)
    generator = numpy_generator("mask", task, seed, clip)
    if task == COMPLETION:
        return torch.from_numpy(completion_mask(generator, frames, side, rule))
    given = WHOLE_FRAMES[task](generator, frames)
    while given.all() and rule == "corrected" and frames > 1:
        given = WHOLE_FRAMES[task](generator, frames)
    return frames_to_mask(given, side)


def frames_to_mask(given: np.ndarray | Tensor, side: int) -> Tensor:  # [T] bool -> [T, side, side] bool
    """The mask of a clip some frames of which are given whole."""
    generate = ~torch.as_tensor(given)
    return generate[:, None, None].expand(-1, side, side).clone()


def completion_mask(generator: np.random.Generator, frames: int, side: int, rule: str) -> np.ndarray:
    """The same blocks in all frames but a few at both ends. # -> [frames, side, side] bool"""
    most = min(MOST_WHOLE, (frames - 1) // 2)
    first, last = generator.integers(0, most + 1, size=2)
    mask = np.zeros((frames, side, side), bool)
    if last or rule == "corrected":
        mask[first : frames - last] = blocks_mask(generator, side)
    return mask


def blocks_mask(generator: np.random.Generator, side: int) -> np.ndarray:  # -> [side, side] bool
    """Rectangles, one over the other, until about half of a frame is covered."""
    wanted, mask = max(1, round(side * side * SHARE_MASKED)), np.zeros((side, side), bool)
    for _ in range(MOST_BLOCKS):
        lacking = wanted - int(mask.sum())
        if not lacking:
            break
        rows, columns = block_size(generator, min(LEAST_BLOCK * wanted, lacking), lacking)
        if rows > side or columns > side:
            continue
        top, left = generator.integers(side - rows + 1), generator.integers(side - columns + 1)
        block = mask[top : top + rows, left : left + columns]
        if int((~block).sum()) <= lacking:
            block[:] = True
    # A frame of very few positions may have room for no block.
    mask[0, 0] |= not mask.any()
    return mask


def block_size(generator: np.random.Generator, least: float, most: float) -> tuple[int, int]:
    """Rows and columns of a block with an area between two bounds, before rounding."""
    area: Any = generator.uniform(least, most)
    stretch = np.exp(generator.uniform(-np.log(LONGEST_BLOCK), np.log(LONGEST_BLOCK)))
    return max(1, round(float(np.sqrt(area * stretch)))), max(1, round(float(np.sqrt(area / stretch))))
