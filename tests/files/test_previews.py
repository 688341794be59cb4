"""Small pictures of clips beside their features."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.core.errors import StoreError
from latte_eval.evaluation.extract import extract
from latte_eval.files.previews import FRAMES, SIDE, check_strip, clip_to_strip, strip_frames, webp_size
from latte_eval.files.run_folder import PREVIEWS, RunFolder, preview_key
from latte_eval.metrics.detectors import Detector


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
    # Blocks of WebP reach over the borders of frames.
    # Blocks of WebP reach over the borders of frames.
    assert np.abs(strip[:, :SIDE].mean(axis=(0, 2)) - expected).max() < 8


def test_long_clips_show_every_so_many_frames() -> None:
    clip = torch.zeros(150, 3, 8, 8, dtype=torch.uint8)
    assert strip_frames(150) == 30 <= FRAMES
    assert opened(clip_to_strip(clip)).shape == (8, 8 * 30, 3)
    assert [strip_frames(n) for n in (1, 16, 32, 33, 128)] == [1, 16, 32, 17, 32]


def test_previews_come_with_the_features_and_once(tmp_path: Path) -> None:
    source, run = ShapesSource(40, seed=3), RunFolder(tmp_path)
    mean = Detector("mean", lambda clips: {"features": clips.float().mean((2, 3, 4))}, weights=None, sha256="0" * 64)
    features = extract(source, [mean], run, batch_size=8)[0]
    clips = source.clips(list(range(40)))
    assert features.labels == list(clips.labels or ())
    found = run.read_previews(source.fingerprint, [0, 33, 39, 77])
    assert sorted(found) == [0, 33, 39]
    assert np.array_equal(opened(found[33])[:, :16], clips.pixels[33, 0].permute(1, 2, 0).numpy())
    assert check_strip(found[33], "there") == (256, 16)


def test_damaged_previews_are_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_previews("source", 0, 32, {})
    (path,) = tmp_path.rglob("000000-000032.safetensors")
    path.write_bytes(b"not a shard")
    with pytest.raises(StoreError, match="000000-000032.safetensors is damaged"):
        run.read_previews("source", [3])
    assert RunFolder(tmp_path / "absent").read_previews("source", [3]) == {}


def webp(size: tuple[int, int], **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(buffer, "WEBP", **how)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_sizes_are_read_from_the_header() -> None:
    strip = torch.randint(0, 256, (3, 3, 100, 60), dtype=torch.uint8)
    assert webp_size(clip_to_strip(strip)) == (180, 100)
    assert webp_size(webp((77, 33), lossless=True)) == (77, 33)
    assert webp_size(webp((77, 33), xmp=b"<x/>")) == (77, 33)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GIF89a", "no WebP picture"),
        (b"", "no WebP picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "no WebP picture"),
        (b"RIFF\x64\0\0\0WEBPABCD" + bytes(100), "no WebP picture"),
        (webp((32, 8))[:-8], "is damaged"),
        (webp((16383, 16383), lossless=True), "16,383 x 16,383 pixels, more than any preview"),
        (webp((FRAMES * SIDE, SIDE + 1)), "more than any preview"),
    ],
)
def test_what_is_no_strip_is_not_shown(data: bytes, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        check_strip(data, "there")


def test_files_with_other_names_are_left_alone(tmp_path: Path) -> None:
    run, strip = RunFolder(tmp_path), webp((32, 8))
    key = preview_key("source")
    run.write_shard(PREVIEWS, key, (0, 8), {"000003": np.frombuffer(strip, np.uint8), "x": np.zeros(3)}, {})
    (tmp_path / "previews" / key / "0-x.safetensors").write_bytes(b"not mine")
    assert run.read_previews("source", [3, 5]) == {3: strip}
