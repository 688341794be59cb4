"""The tasks that a VDT is trained with: which part of every clip of a batch is given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.seeding import numpy_generator
from latte_eval.sampler.vdt.masks import COMPLETION, WHOLE_FRAMES, task_to_mask

# A fifth of the clips are completed, the others have one of the six tasks of whole frames (RERV/VDT@cdbad2b). There
# one task is drawn for a whole batch, here for every clip.
SHARE_COMPLETED = 0.2


def draw_task(generator: np.random.Generator) -> str:
    """A name in `TASKS`."""
    if generator.random() < SHARE_COMPLETED:
        return COMPLETION
    return str(generator.choice(list(WHOLE_FRAMES)))


def with_masks(data: Iterator[tuple[Tensor, Tensor]], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches with a mask for every clip in place of its label.

    # [N, T, C, H, W], [N] -> [N, T, C, H, W], [N, T, H, W] bool, True = generate
    """
    generator, numbers = numpy_generator("mixture", seed), count()
    for clips, _ in data:
        frames, side = clips.shape[1], clips.shape[3]
        masks = [task_to_mask(draw_task(generator), seed, next(numbers), frames, side) for _ in clips]
        yield clips, torch.stack(masks)
