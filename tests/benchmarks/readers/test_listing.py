"""Files that are no video of their own are counted and told; formats that PyAV or Pillow reads are read."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_makers import cut, moving_frames, write_frames, write_lossless, write_video
from PIL import Image

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=4, size=None, real_selection="sorted")
FRAMES = moving_frames(4)


def open_source(path: Path, **changes: Any) -> FolderSource:
    return FolderSource.open(path, PROTOCOL.replace(**changes), 0, "real")


def pixels(path: Path) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    source = open_source(path)
    return source.clips(range(len(source))).pixels.permute(0, 1, 3, 4, 2).numpy()


def test_every_file_that_was_not_used_is_counted(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", FRAMES)
    for name in ("b.xyz", "deep/c.XYZ", "notes.txt", "LICENSE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    source = open_source(tmp_path)
    assert source.about["ignored"] == {".xyz": 2, ".txt": 1, "without suffix": 1} and source.ignored == 4
    assert source.notes[0].startswith("not used: 2 .xyz, 1 ")


def test_what_would_read_a_file_is_said(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", FRAMES)
    for name in ("b.heic", "c.rmvb"):
        (tmp_path / name).write_text("x")
    (note,) = open_source(tmp_path).notes
    assert "1 .heic (pillow-heif reads it)" in note and "1 .rmvb (ffmpeg -i IN OUT.mp4 converts it)" in note


def test_nothing_but_unknown_files(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("x")
    with pytest.raises(ClipError, match=r"only 1 other files \(1 .xyz\); convert videos with ffmpeg"):
        open_source(tmp_path)


@pytest.mark.parametrize("pattern", ["{}.jpg", "poster_{}.png", "{}-big.webp"])
def test_posters_beside_videos(pattern: str, tmp_path: Path) -> None:
    for i in range(5):
        write_lossless(tmp_path / f"{i}.mkv", FRAMES)
        Image.fromarray(FRAMES[0]).save(tmp_path / pattern.format(i))
    source = open_source(tmp_path)
    assert len(source) == 5 and source.ignored == 5
    assert source.notes[1].startswith("5 images beside video files: not taken for frames")


def test_covers_among_frames(tmp_path: Path) -> None:
    for name in "ab":
        write_frames(tmp_path / name, FRAMES)
        Image.fromarray(FRAMES[0]).save(tmp_path / name / "cover.png")
    source = open_source(tmp_path)
    assert [len(entry.names) for entry in source.entries] == [4, 4] and source.about["ignored"] == {".png": 2}
    assert source.notes[1].startswith("2 images among frames without being one")


def test_a_folder_that_is_not_one_video_is_left_out_and_keyed_apart(tmp_path: Path) -> None:
    for name in "ab":
        write_frames(tmp_path / name, FRAMES, "img_{:05d}.png")
    before = open_source(tmp_path).fingerprint
    write_frames(tmp_path / "a", FRAMES, "flow_x_{:05d}.png")
    source = open_source(tmp_path)
    assert len(source) == 1 and source.fingerprint != before
    assert [each.path for each in source.rejected] == ["a"] and "images of 2 kinds" in source.rejected[0].reason


def test_images_in_one_folder_are_frames_of_one_video(tmp_path: Path) -> None:
    write_frames(tmp_path, FRAMES, "{}.png")
    source = open_source(tmp_path)
    assert len(source) == 1 and "the 4 images in one folder count as the frames of one video" in source.notes[0]
    assert "--param frames=1 --windows all" in source.advice
    assert len(open_source(tmp_path, frames=1, windows="all")) == 4


@pytest.mark.parametrize("kind", ["video", "frames", "middle frame"])
def test_a_file_of_the_same_size_and_time(kind: str, tmp_path: Path) -> None:
    if kind == "video":
        path = write_video(tmp_path / "a.avi", FRAMES, "rawvideo", "rgb24")
    else:
        write_frames(tmp_path / "a", FRAMES, "{}.bmp")
        path = tmp_path / "a" / ("0.bmp" if kind == "frames" else "2.bmp")
    status, before = path.stat(), open_source(tmp_path).fingerprint
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert open_source(tmp_path).fingerprint != before


@pytest.mark.parametrize("suffix", ["webp", "png", "apng", "tif", "avif"])
def test_images_that_move(suffix: str, tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in FRAMES]
    options = {"webp": {"lossless": True}, "avif": {"quality": 100, "subsampling": "4:4:4"},
               "apng": {"format": "PNG"}}.get(suffix, {})  # fmt: skip
    try:
        for name in "ab":
            images[0].save(tmp_path / f"{name}.{suffix}", save_all=True, append_images=images[1:], **options)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"this Pillow writes no {suffix}")
    found = pixels(tmp_path)
    assert found.shape == (2, 4, 48, 64, 3)
    assert np.abs(found[1].astype(int) - FRAMES).mean() < (2 if suffix == "avif" else 1e-9)


@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_an_image_that_moves_and_was_cut(suffix: str, tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in moving_frames(12)]
    for name in "ab":
        images[0].save(tmp_path / f"{name}.{suffix}", save_all=True, append_images=images[1:])
    cut(tmp_path / f"b.{suffix}", 0.3)
    source = open_source(tmp_path, frames=12)
    assert len(source.clips(range(len(source)))) == 1
    assert [each.path for each in source.rejected] == [f"b.{suffix}"] and "damaged" in source.rejected[0].reason


@pytest.mark.parametrize("suffix", ["webp", "bmp", "tif", "tiff", "ppm", "jfif", "jpe", "tga"])
def test_frames_of_other_formats(suffix: str, tmp_path: Path) -> None:
    options = {"webp": {"lossless": True}, "jfif": {"format": "JPEG", "quality": 95},
               "jpe": {"format": "JPEG", "quality": 95}}.get(suffix, {})  # fmt: skip
    write_frames(tmp_path / "a", FRAMES, f"{{:04d}}.{suffix}", **options)
    exact = suffix not in ("jfif", "jpe")
    assert np.abs(pixels(tmp_path)[0].astype(int) - FRAMES).mean() <= (0 if exact else 6)


def test_frames_without_a_known_white(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for i in range(4):
        Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a" / f"{i}.tif")
    source = open_source(tmp_path)
    assert not len(source.clips([0])) and "floating-point" in source.rejected[0].reason


CONTAINERS = {
    "wmv": ("wmv2", "asf"), "flv": ("flv1", "flv"), "ts": ("libx264", "mpegts"), "3gp": ("mpeg4", "3gp"),
    "y4m": ("rawvideo", "yuv4mpegpipe"), "mts": ("libx264", "mpegts"), "ivf": ("libvpx", "ivf"),
    "ogv": ("libvpx", "ogg"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_other_containers(suffix: str, tmp_path: Path) -> None:
    codec, container = CONTAINERS[suffix]
    write_video(tmp_path / f"a.{suffix}", FRAMES, codec, format=container)
    assert np.abs(pixels(tmp_path)[0].astype(int) - FRAMES).mean() < 20


def test_names_that_end_a_line_or_steer_a_terminal_are_written_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr("a\nb\x1b[31m.mp4", b"no video")
    with pytest.raises(ClipError, match=r"a\\nb\\x1b\[31m\.mp4") as caught:
        FolderSource.open(tmp_path / "clips.zip", Protocol(frames=4), 0, "real")
    assert str(caught.value).isprintable()
