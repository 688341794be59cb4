"""Masks of the seven tasks: those of the reference where they are fixed, and their rules where they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latte_eval.core.errors import SamplerError
from latte_eval.sampler.vdt.masks import TASKS, blocks_mask, frames_to_mask, task_to_mask

FIXED = ["predict", "backward", "interpolation", "unconditional"]
DRAWN = ["one-frame", "arbitrary", "completion"]


def masks(task: str, clips: int = 400, frames: int = 16, side: int = 8, **options) -> torch.Tensor:
    return torch.stack([task_to_mask(task, 0, clip, frames, side, **options) for clip in range(clips)])


def whole(mask: torch.Tensor, value: bool) -> torch.Tensor:  # [..., T, H, W] -> [..., T]
    """Which frames have this value everywhere."""
    return (mask == value).flatten(-2).all(-1)


@pytest.mark.parametrize("task", FIXED)
def test_fixed_masks_are_the_published_ones(golden, task):
    for clip in (0, 7):
        assert np.array_equal(task_to_mask(task, 3, clip, 16, 8).numpy(), golden("vdt")[f"mask_{task}"])


@pytest.mark.parametrize("task", TASKS)
def test_a_mask_is_a_function_of_seed_and_clip(task):
    one, again = task_to_mask(task, 5, 9, 16, 8), task_to_mask(task, 5, 9, 16, 8)
    assert (one.shape, one.dtype) == ((16, 8, 8), torch.bool) and torch.equal(one, again)
    others = [task_to_mask(task, seed, clip, 16, 8) for seed, clip in ((5, 10), (6, 9), (6, 10), (7, 9))]
    assert any(not torch.equal(one, other) for other in others) == (task in DRAWN)


def test_one_frame_is_any_frame(golden):
    given = whole(masks("one-frame"), False)
    assert (given.sum(1) == 1).all()
    assert given.sum(0).min() > 10, "each of the 16 comes in about 25 of 400 clips"
    assert whole(torch.from_numpy(golden("vdt")["mask_one_frame"]) == 1, False).nonzero().tolist() == [[8]]


def test_every_frame_has_its_chance_in_arbitrary():
    found = masks("arbitrary")
    given = whole(found, False)
    assert torch.equal(given, ~whole(found, True)), "frames are whole"
    assert given.float().mean() == pytest.approx(0.2, abs=0.02)
    assert (given.sum(1) == 0).any(), "none may be given"


def test_arbitrary_always_leaves_something_to_generate():
    """With two frames both are given in one clip of 25: these are drawn again."""
    assert masks("arbitrary", frames=2).flatten(1).any(1).all()
    assert not masks("arbitrary", frames=2, rule="upstream").flatten(1).any(1).all()


def ends_and_blocks(found: torch.Tensor) -> tuple[int, int, torch.Tensor]:
    """How many frames are given whole at both ends, and the one mask of all others."""
    inside = (~whole(found, False)).nonzero().flatten()
    first, last = int(inside[0]), len(found) - 1 - int(inside[-1])
    blocks = found[first]
    assert all(torch.equal(frame, blocks) for frame in found[first : len(found) - last])
    return first, last, blocks


def test_completion_masks_the_same_half_of_all_frames_but_a_few(golden):
    ends, shares = [], []
    for found in masks("completion"):
        first, last, blocks = ends_and_blocks(found)
        ends.append((first, last))
        shares.append(float(blocks.float().mean()))
    assert set(ends) == {(first, last) for first in range(4) for last in range(4)}
    assert min(shares) > 0.35 and max(shares) <= 0.5 and np.mean(shares) > 0.45
    first, last, blocks = ends_and_blocks(torch.from_numpy(golden("vdt")["mask_spatial_temporal"]) == 1)
    assert (first, last, float(blocks.float().mean())) == (3, 1, 0.5)


def test_upstream_gives_everything_in_a_quarter_of_completions(golden):
    empty = ~masks("completion", rule="upstream").flatten(1).any(1)
    assert float(empty.float().mean()) == pytest.approx(golden("vdt").meta["spatial_mask_empty_fraction"], abs=0.05)
    assert masks("completion").flatten(1).any(1).all()
    for clip in (~empty).nonzero().flatten()[:20].tolist():
        both = (task_to_mask("completion", 0, clip, 16, 8, rule) for rule in ("corrected", "upstream"))
        assert torch.equal(*both)


def test_blocks_are_of_one_piece_or_few():
    """Not single positions: most masked positions have a masked neighbour in their row and in their column."""
    generator = np.random.default_rng(0)
    found = np.stack([blocks_mask(generator, 16) for _ in range(50)])
    beside = (found[:, :, 1:] & found[:, :, :-1]).sum() / found.sum()
    assert beside > 0.8


@pytest.mark.parametrize(("frames", "side"), [(1, 1), (2, 1), (2, 2), (3, 2), (5, 3), (16, 32)])
def test_small_clips_have_masks_too(frames, side):
    for clip in range(20):
        assert task_to_mask("completion", 0, clip, frames, side).any()


def test_frames_and_names():
    mask = frames_to_mask(np.array([True, False]), 2)
    assert mask.tolist() == [[[False] * 2] * 2, [[True] * 2] * 2]
    with pytest.raises(SamplerError, match="--task cannot be 'forward'.*predict"):
        task_to_mask("forward", 0, 0, 16, 8)
    with pytest.raises(SamplerError, match="--mask-rule cannot be 'old'.*upstream"):
        task_to_mask("completion", 0, 0, 16, 8, "old")
