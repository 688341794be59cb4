"""The embedded benchmark: clips are functions of seed and index, shapes are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latte_eval.benchmarks.shapes import CLASSES, FRAMES, SIZE, draw_clip, draw_clips
from latte_eval.benchmarks.shapes.draw import BACKGROUND
from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.core.seeding import clip_generator, identity_to_seed, numpy_generator


def covered(clip: np.ndarray) -> np.ndarray:  # [T, 3, H, W] uint8 -> [T, H, W] bool
    return np.abs(clip.astype(int) - BACKGROUND[None, :, None, None]).max(axis=1) > 60


def test_clips_depend_on_seed_split_and_index_alone() -> None:
    together, labels = draw_clips(3, [5, 9, 2])
    alone, label = draw_clips(3, [2])
    assert np.array_equal(together[2], alone[0]) and labels[2] == label[0]
    assert not np.array_equal(draw_clips(4, [2])[0], alone)
    assert not np.array_equal(draw_clips(3, [2], "test")[0], alone)
    assert together.shape == (3, FRAMES, 3, SIZE, SIZE) and together.dtype == np.uint8


def test_every_class_occurs_about_equally_often() -> None:
    counts = np.bincount(draw_clips(0, range(400))[1], minlength=len(CLASSES))
    assert counts.min() > 70


def test_every_shape_stays_inside_and_moves() -> None:
    for label in range(len(CLASSES)):
        clip = draw_clip(label, numpy_generator("test", label))
        mask = covered(clip)
        assert mask.any(axis=(1, 2)).all()
        assert not np.array_equal(clip[0], clip[8])
        areas = mask.sum(axis=(1, 2))
        assert areas.max() < 0.6 * SIZE * SIZE


def test_the_ring_has_a_hole_and_the_disc_has_none() -> None:
    ring, disc = (covered(draw_clip(label, numpy_generator("hole", label))) for label in (3, 0))
    assert not ring[:, SIZE // 2, SIZE // 2].all()
    rows, columns = np.nonzero(disc[0])
    assert disc[0][round(rows.mean()), round(columns.mean())]


def test_the_source_is_the_drawing() -> None:
    source = ShapesSource(10, seed=1, start=20)
    clips = source.clips([0, 3])
    expected, labels = draw_clips(1, [20, 23], "test")
    assert torch.equal(clips.pixels, torch.from_numpy(expected)) and clips.labels == tuple(labels)
    assert source.fingerprint != ShapesSource(10, seed=1).fingerprint


def test_seeds_are_the_same_everywhere() -> None:
    assert identity_to_seed("clip", 0, 17) == 10463632456782530037
    assert list(numpy_generator("a", 1).integers(1000, size=3)) == [782, 139, 851]
    assert identity_to_seed("a", "b") != identity_to_seed("ab")
    first, second = (torch.randn(4, generator=clip_generator(0, index)) for index in (1, 2))
    assert torch.equal(first, torch.randn(4, generator=clip_generator(0, 1)))
    assert not torch.equal(first, second)
    assert first.tolist() == pytest.approx([0.6366, 1.4865, 1.3394, 1.2770], abs=1e-4)
