"""Folders of frames: their order, every kind of image, and what is read without a second resize or JPEG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_makers import cut, moving_frames, stored, write_frames, write_lossless
from PIL import Image

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.entries import natural_key
from latte_eval.benchmarks.readers.prepare import passed_steps
from latte_eval.core.protocol import STORAGE_STEPS, Protocol
from latte_eval.files.lossy import jpeg_round_trip

NATIVE = Protocol(frames=4, size=None)


def read_first(folder: Path, protocol: Protocol = NATIVE, side: str = "fake") -> np.ndarray:  # -> [T, H, W, 3]
    source = stored(FolderSource.open(folder, protocol, 0, side))
    clips = source.clips([0])
    assert len(clips), source.rejected
    return clips.pixels[0].permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(
    "names",
    [
        ["frame2.png", "frame10.png", "frame100.png"],
        ["000001.jpg", "000002.jpg", "000010.jpg"],
        ["0.png", "1.png", "9.png", "10.png", "11.png"],
        ["clip_3_1.png", "clip_3_2.png", "clip_3_10.png"],
        ["v1_frame_0009.jpg", "v1_frame_0010.jpg", "v2_frame_0001.jpg"],
        ["2_left.png", "10_left.png"],
        ["000000.jpg", "000001.jpg", "x000.png", "x001.png"],
        ["-1.png", "a.png", "b.png"],
    ],
)
def test_natural_order(names: list[str]) -> None:
    assert sorted(names[1:] + names[:1], key=natural_key) == names


def test_unpadded_names_are_read_in_their_order(tmp_path: Path) -> None:
    frames = moving_frames(12)
    write_frames(tmp_path / "v", frames, "frame{}.png")
    np.testing.assert_array_equal(read_first(tmp_path, NATIVE.replace(frames=12)), frames)


@pytest.mark.parametrize("suffix", ["png", "PNG"])
def test_pixels_of_png_are_exact(suffix: str, tmp_path: Path) -> None:
    frames = moving_frames(4)
    write_frames(tmp_path / "v", frames, "{:03d}." + suffix)
    np.testing.assert_array_equal(read_first(tmp_path), frames)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG"])
def test_pixels_of_jpeg(suffix: str, tmp_path: Path) -> None:
    frames = moving_frames(4)
    write_frames(tmp_path / "v", frames, "{:03d}." + suffix, quality=75, subsampling=2)
    np.testing.assert_array_equal(read_first(tmp_path), jpeg_round_trip(frames))


def grey(frame: np.ndarray) -> np.ndarray:
    return frame[..., 0]


SIXTEEN = (grey(moving_frames(1)[0]).astype(np.uint16) * 257).astype(np.uint16)
COLOUR = moving_frames(1)[0]
FEW_COLOURS = COLOUR // 86 * 86
GREY = np.repeat(grey(COLOUR)[..., None], 3, axis=-1)
IMAGES: dict[str, tuple[Callable[[], Image.Image], np.ndarray]] = {
    "grey": (lambda: Image.fromarray(grey(COLOUR)), GREY),
    "16-bit grey": (lambda: Image.fromarray(SIXTEEN), GREY),
    "grey with alpha": (lambda: Image.fromarray(np.dstack([grey(COLOUR), 255 - grey(COLOUR)])), GREY),
    "transparent": (lambda: Image.fromarray(np.dstack([COLOUR, COLOUR[..., 0]])), COLOUR),
    "black and white": (lambda: Image.fromarray(grey(COLOUR) > 128), 255 * (GREY > 128)),
    "palette": (lambda: Image.fromarray(FEW_COLOURS).convert("P", palette=Image.Palette.ADAPTIVE), FEW_COLOURS),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_every_kind_of_png_becomes_rgb(kind: str, tmp_path: Path) -> None:
    make, expected = IMAGES[kind]
    (tmp_path / "v").mkdir()
    for index in range(4):
        make().save(tmp_path / "v" / f"{index}.png")
    np.testing.assert_array_equal(read_first(tmp_path)[3], expected)


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for index in range(4):
        Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "v" / f"{index}.jpg", quality=98)
    assert np.abs(read_first(tmp_path)[0].astype(int) - COLOUR).mean() < 8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    for index in range(4):
        Image.fromarray(ramp).save(tmp_path / "v" / f"{index}.png")
    np.testing.assert_array_equal(read_first(tmp_path)[0, ..., 1], np.round(ramp / 257))


def test_a_missing_number_is_no_missing_frame(tmp_path: Path) -> None:
    frames = moving_frames(5)
    write_frames(tmp_path / "v", frames)
    (tmp_path / "v" / "000002.png").unlink()
    np.testing.assert_array_equal(read_first(tmp_path), frames[[0, 1, 3, 4]])


def rejected(folder: Path, protocol: Protocol = NATIVE) -> list[tuple[str, str]]:
    write_lossless(folder / "good.mkv", moving_frames(8))
    source = FolderSource.open(folder, protocol, 0, "real")
    assert source.groups(source.clips(range(len(source))).indices) == ["good.mkv"]
    return [(each.path, each.reason) for each in source.rejected]


def test_frames_of_different_sizes(tmp_path: Path) -> None:
    write_frames(tmp_path / "v", moving_frames(8))
    Image.new("RGB", (32, 20)).save(tmp_path / "v" / "000006.png")
    assert rejected(tmp_path) == [("v", "frames of different sizes: 000000.png is 64x48, 000006.png is 32x20")]


def test_a_text_file_among_the_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "v", moving_frames(8))
    (tmp_path / "v" / "000003.png").write_text("not a picture")
    assert rejected(tmp_path) == [("v", "000003.png is not an image")]


def test_a_frame_cut_short(tmp_path: Path) -> None:
    write_frames(tmp_path / "v", moving_frames(4), "{:06d}.jpg")
    cut(tmp_path / "v" / "000002.jpg", 0.7)
    ((path, reason),) = rejected(tmp_path)
    assert path == "v" and reason.startswith("damaged: 000002.jpg: image file is truncated")


def test_too_few_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "v", moving_frames(3))
    assert rejected(tmp_path) == [("v", "too short: 3 frames, 4 needed (4 at stride 1)")]


def test_frames_at_the_target_size_are_read_as_they_are(tmp_path: Path) -> None:
    frames = moving_frames(4, 32, 32)
    write_frames(tmp_path / "v", frames, "{:06d}.jpg", quality=95, subsampling=0)
    stored = np.stack([np.asarray(Image.open(path)) for path in sorted((tmp_path / "v").iterdir())])
    protocol = Protocol(frames=4, size=32, real_storage=("jpeg75",), fake_storage=("h264-crf5", "jpeg75"))
    for side in ("real", "fake"):
        np.testing.assert_array_equal(read_first(tmp_path, protocol, side), stored)
    assert (jpeg_round_trip(stored) != stored).any()


def test_frames_of_another_size_are_resized_and_stored(tmp_path: Path) -> None:
    frames = moving_frames(4, 32, 32)
    write_frames(tmp_path / "v", frames)
    protocol = Protocol(frames=4, size=16, real_storage=("jpeg75",))
    images = [Image.fromarray(frame).resize((16, 16), Image.Resampling.LANCZOS) for frame in frames]
    expected = jpeg_round_trip(np.stack([np.asarray(image) for image in images]))
    np.testing.assert_array_equal(read_first(tmp_path, protocol, "real"), expected)


def test_a_video_at_the_target_size_is_stored_but_not_resized(tmp_path: Path) -> None:
    frames = moving_frames(4, 32, 32)
    write_lossless(tmp_path / "v.mkv", frames)
    protocol = Protocol(frames=4, size=32, real_storage=("jpeg75",), fake_storage=("h264-crf5", "jpeg75"))
    for side in ("real", "fake"):
        np.testing.assert_array_equal(read_first(tmp_path, protocol, side), jpeg_round_trip(frames))


@pytest.mark.parametrize(
    ("kind", "at_size", "side", "steps"),
    [
        ("frames", True, "real", ()),
        ("frames", True, "fake", ()),
        ("frames", False, "real", ("h264-crf5", "jpeg75")),
        ("frames", False, "fake", ("jpeg75",)),
        ("video", False, "real", ("h264-crf5", "jpeg75")),
        ("video", False, "fake", ("jpeg75",)),
    ],
)
def test_which_storage_still_applies(kind: str, at_size: bool, side: str, steps: tuple[str, ...]) -> None:
    assert tuple(step for step in STORAGE_STEPS if step not in passed_steps(kind, at_size, side)) == steps
