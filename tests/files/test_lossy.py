"""The lossy steps in memory: what they do to pixels, and that nothing but the clip matters."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from media_makers import decode_all, moving_frames
from PIL import Image

from latte_eval.core.clips import Clips
from latte_eval.core.errors import ProtocolError
from latte_eval.core.protocol import STORAGE_STEPS
from latte_eval.files.h264 import from_frames, write_clip
from latte_eval.files.lossy import STEPS, apply_storage, store_frames


def make_clips(count: int = 3, frames: int = 4) -> Clips:
    pixels = torch.stack([from_frames(moving_frames(frames, 32, 32) // (i + 1)) for i in range(count)])
    return Clips(pixels, tuple(range(10, 10 + count)), tuple(range(count)))


def test_every_step_of_the_protocol_exists() -> None:
    assert tuple(STEPS) == STORAGE_STEPS


def test_no_steps_no_change() -> None:
    clips = make_clips()
    assert apply_storage(clips, ()) is clips


@pytest.mark.parametrize("steps", [["jpeg75"], ["h264-crf5"], ["h264-crf5", "jpeg75"]])
def test_layout_indices_and_labels_stay(steps: list[str]) -> None:
    clips = make_clips()
    stored = apply_storage(clips, steps)
    assert stored.pixels.shape == clips.pixels.shape and stored.pixels.dtype == torch.uint8
    assert (stored.indices, stored.labels) == (clips.indices, clips.labels)
    difference = (stored.pixels.float() - clips.pixels.float()).abs()
    assert 0.5 < difference.mean() < 8


def test_jpeg_is_that_of_a_file(tmp_path: Path) -> None:
    """Pillow's default quality, which is what the published converters write."""
    frames = moving_frames(2, 40, 56)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{index}.jpg", q=95)
    files = np.stack([np.asarray(Image.open(tmp_path / f"{index}.jpg")) for index in range(2)])
    np.testing.assert_array_equal(store_frames(frames, ["jpeg75"]), files)


def test_jpeg_at_full_chroma_would_differ() -> None:
    frame = moving_frames(1, 40, 56)[0]
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=75, subsampling=0)
    assert (np.asarray(Image.open(buffer)) != store_frames(frame[None], ["jpeg75"])[0]).any()


def test_h264_is_that_of_a_file(tmp_path: Path) -> None:
    """Clips kept in memory and clips written by `sample` and read back are the same."""
    clips = make_clips(1, 16)
    write_clip(tmp_path / "a.mp4", clips.pixels[0])
    stored = apply_storage(clips, ["h264-crf5"]).pixels[0]
    np.testing.assert_array_equal(decode_all(tmp_path / "a.mp4"), stored.permute(0, 2, 3, 1).numpy())


def test_order_of_steps_matters() -> None:
    clips = make_clips(1)
    one, other = (apply_storage(clips, steps).pixels for steps in (["h264-crf5", "jpeg75"], ["jpeg75", "h264-crf5"]))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("size", [(33, 32), (32, 33), (31, 17)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    frames = moving_frames(4, *size)
    stored = store_frames(frames, ["h264-crf5", "jpeg75"])
    assert stored.shape == frames.shape
    assert np.abs(stored.astype(int) - frames).mean() < 12


def test_neither_batch_nor_threads_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    clips, steps = make_clips(5), ["h264-crf5", "jpeg75"]
    together = apply_storage(clips, steps).pixels
    alone = [apply_storage(Clips(clips.pixels[i : i + 1], (i,)), steps).pixels[0] for i in range(5)]
    assert torch.equal(together, torch.stack(alone))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert torch.equal(apply_storage(clips, steps).pixels, together)


def test_steps_that_a_file_has_passed_are_not_applied_again() -> None:
    clips = make_clips(3)
    passed: tuple[tuple[str, ...], ...] = ((), ("h264-crf5",), ("h264-crf5", "jpeg75"))
    given = Clips(clips.pixels, clips.indices, clips.labels, passed)
    stored = apply_storage(given, STORAGE_STEPS)
    assert torch.equal(stored.pixels[0], apply_storage(clips, STORAGE_STEPS).pixels[0])
    assert torch.equal(stored.pixels[1], apply_storage(clips, ["jpeg75"]).pixels[1])
    assert torch.equal(stored.pixels[2], clips.pixels[2])
    assert stored.passed == (STORAGE_STEPS,) * 3
    assert apply_storage(stored, STORAGE_STEPS) is stored


def test_a_step_adds_to_those_that_were_passed() -> None:
    clips = make_clips(2)
    given = Clips(clips.pixels, clips.indices, clips.labels, (("h264-crf5",), ()))
    assert apply_storage(given, ["jpeg75"]).passed == (("h264-crf5", "jpeg75"), ("jpeg75",))


def test_no_clips() -> None:
    empty = Clips(torch.empty((0, 4, 3, 8, 8), dtype=torch.uint8), ())
    assert len(apply_storage(empty, ["jpeg75"])) == 0


def test_unknown_step() -> None:
    with pytest.raises(ProtocolError, match="storage step cannot be 'jpeg95'. Did you mean jpeg75"):
        apply_storage(make_clips(), ["jpeg95"])
