"""Small pictures of clips beside their features."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.errors import StoreError
from latte_eval.extract import extract
from latte_eval.metrics.detectors import open_detector
from latte_eval.previews import FRAMES, SIDE, Previews, check_strip, clip_to_strip, strip_frames
from latte_eval.store import RunFolder


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_small_frames_are_kept_without_loss() -> None:
    clip = torch.randint(0, 256, (5, 3, 16, 20), dtype=torch.uint8)
    strip = opened(clip_to_strip(clip))
    assert strip.shape == (16, 100, 3)
    for i in range(5):
        assert np.array_equal(strip[:, 20 * i : 20 * (i + 1)], clip[i].permute(1, 2, 0).numpy())


def test_large_frames_become_small_and_stay_alike() -> None:
    ramp = torch.linspace(0, 255, 256).to(torch.uint8).expand(4, 3, 192, 256)
    strip = opened(clip_to_strip(ramp))
    assert strip.shape == (96, 4 * SIDE, 3)
    expected = np.linspace(0, 255, 256).astype(np.uint8).reshape(SIDE, 2).mean(1)
    assert np.abs(strip[:, :SIDE].mean(axis=(0, 2)) - expected).max() < 8  # blocks of WebP reach over the borders of frames


def test_long_clips_show_every_so_many_frames() -> None:
    clip = torch.zeros(150, 3, 8, 8, dtype=torch.uint8)
    assert strip_frames(150) == 30 <= FRAMES
    assert opened(clip_to_strip(clip)).shape == (8, 8 * 30, 3)
    assert [strip_frames(n) for n in (1, 16, 32, 33, 128)] == [1, 16, 32, 17, 32]


def test_previews_come_with_the_features_and_once(tmp_path: Path) -> None:
    source, run = ShapesSource(40, seed=3), RunFolder(tmp_path)
    features = extract(source, [open_detector("i3d-seeded", "cpu")], run, batch_size=8)[0]
    previews = Previews.of(run.path, source.fingerprint)
    clips = source.clips(list(range(40)))
    assert features.labels == list(clips.labels or ())
    found = previews.read([0, 33, 39, 77])
    assert sorted(found) == [0, 33, 39]
    assert np.array_equal(opened(found[33])[:, :16], clips.pixels[33, 0].permute(1, 2, 0).numpy())
    assert check_strip(found[33], "there") == (256, 16)


def test_damaged_previews_are_named(tmp_path: Path) -> None:
    path = tmp_path / "000000-000032.safetensors"
    path.write_bytes(b"not a shard")
    with pytest.raises(StoreError, match="000000-000032.safetensors is damaged"):
        Previews(tmp_path).read([3])
    with pytest.raises(StoreError, match="no picture"):
        check_strip(b"GIF89a", "there")
    assert Previews(tmp_path / "absent").read([3]) == {}
