"""Arrays of clips: the layout is told by the shape, the range by the dtype, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from latte_eval.core.errors import ClipError
from latte_eval.core.layout import (
    LAYOUTS,
    array_to_pixels,
    clips_to_channels_first,
    clips_to_channels_last,
    layout_of_shape,
)

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 7, 3), np.uint8)


def in_layout(layout: str) -> np.ndarray:
    """`CLIPS` in a layout."""
    return np.ascontiguousarray(np.transpose(CLIPS, ["NTHWC".index(axis) for axis in layout]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_each_layout_is_told_by_its_shape(layout: str, kind: Any) -> None:
    clips = kind(in_layout(layout))
    assert layout_of_shape(clips.shape) == layout
    last, first = clips_to_channels_last(clips), clips_to_channels_first(clips)
    assert type(last) is type(clips) and np.array_equal(last, CLIPS)
    assert np.array_equal(first, in_layout("NTCHW")) and np.shares_memory(np.asarray(first), np.asarray(clips))
    assert np.array_equal(array_to_pixels(clips), in_layout("NTCHW"))


@pytest.mark.parametrize("shape", [(3, 3, 3, 3, 3), (2, 3, 6, 7, 3), (2, 3, 3, 6, 7), (2, 5, 3, 7, 3)])
def test_a_shape_that_fits_two_layouts_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ClipError, match=r"may be \[N, .* or \[N, .*say which with layout="):
        layout_of_shape(shape)
    with pytest.raises(ClipError, match="store another"):
        layout_of_shape(shape, advice="store another")


def test_a_layout_that_is_named_is_not_ambiguous() -> None:
    clips = np.zeros((2, 3, 6, 7, 3), np.uint8)
    assert clips_to_channels_last(clips, "NCTHW").shape == (2, 6, 7, 3, 3)
    assert clips_to_channels_last(clips, "NTHWC").shape == (2, 3, 6, 7, 3)
    with pytest.raises(ClipError, match=r"\(2, 3, 6, 7, 3\) are not NTCHW"):
        clips_to_channels_last(clips, "NTCHW")
    with pytest.raises(ClipError, match="layout cannot be 'NHWC'; one of NTHWC"):
        clips_to_channels_last(clips, "NHWC")


@pytest.mark.parametrize("shape", [(2, 5, 6, 7, 1), (2, 5, 6, 7), (5, 6, 7, 3), (2, 5, 4, 6, 7), (), (3,)])
def test_a_shape_that_fits_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ClipError, match=r"none of \[N, T, H, W, 3\]") as told:
        layout_of_shape(shape)
    assert ("x[None]" in str(told.value)) == (shape == (5, 6, 7, 3))


def test_floats_are_taken_where_they_are_said_to_be_normalized() -> None:
    floats = CLIPS / 255
    for dtype in (np.float32, np.float64):
        assert np.array_equal(array_to_pixels(floats.astype(dtype), normalize=True), in_layout("NTCHW"))
    halves = torch.from_numpy(floats).half()
    assert np.array_equal(array_to_pixels(halves, normalize=True), in_layout("NTCHW"))
    with pytest.raises(ClipError, match=r"torch.float64 from 0 to 1, they must be torch.uint8 .*normalize=True"):
        array_to_pixels(floats)
    with pytest.raises(ClipError, match="clips are torch.uint8; normalize=True is for floats"):
        array_to_pixels(CLIPS, normalize=True)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, 255.0, np.nan, np.inf])
def test_floats_outside_are_refused(wrong: float) -> None:
    clips = np.full((1, 4, 5, 6, 3), 0.5)
    clips[0, 1, 2, 3, 1] = wrong
    with pytest.raises(ClipError, match="1 of 360 numbers are not within 0..1"):
        array_to_pixels(clips, normalize=True)


@pytest.mark.parametrize("clips", [CLIPS.astype(np.int64), CLIPS > 4, [["a"]], [None], CLIPS.astype(np.float16)])
def test_other_numbers_are_refused(clips: Any) -> None:
    with pytest.raises(ClipError, match="clips are"):
        array_to_pixels(clips)


def test_read_only_and_reversed_arrays_are_taken(recwarn: pytest.WarningsRecorder) -> None:
    clips = CLIPS.copy()
    clips.flags.writeable = False
    assert np.array_equal(array_to_pixels(clips), in_layout("NTCHW"))
    assert np.array_equal(array_to_pixels(CLIPS[:, ::-1]), in_layout("NTCHW")[:, ::-1])
    assert not recwarn.list
