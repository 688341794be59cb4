"""A folder of videos as a source of clips: names, batches, memory, sizes. Kinds of files are in test_encodings.py."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from media_makers import moving_frames, write_frames, write_lossless, write_video
from PIL import Image

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.clips import Clips, ClipSource
from latte_eval.core.protocol import Protocol

FRAMES = 40
NATIVE = Protocol(frames=4, size=None)


def frames_of(clips: Clips, index: int = 0) -> np.ndarray:  # -> [T, H, W, 3]
    return clips.pixels[index].permute(0, 2, 3, 1).numpy()


def all_windows(folder: Path, protocol: Protocol = NATIVE) -> Clips:
    source = FolderSource.open(folder, protocol.replace(windows="all", real_selection="sorted"), 0, "real")
    return source.clips(range(len(source)))


def test_strided_frames(tmp_path: Path) -> None:
    frames = moving_frames(FRAMES)
    write_lossless(tmp_path / "a.mkv", frames)
    clips = all_windows(tmp_path, NATIVE.replace(real_stride=3))
    assert len(clips) == FRAMES // 12
    np.testing.assert_array_equal(frames_of(clips, 2), frames[24:36:3])


def test_is_a_clip_source(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", moving_frames(8))
    source = FolderSource.open(tmp_path, NATIVE, 0, "real")
    assert isinstance(source, ClipSource)
    assert source.name == str(tmp_path)


@pytest.mark.parametrize("name", ["a:b.mkv", "100%d.mkv", "x#1 y.mkv", "-dash.mkv", "q?.mkv", "\N{SNOWMAN}.mkv"])
def test_odd_names(name: str, tmp_path: Path) -> None:
    frames = moving_frames(4)
    write_lossless(tmp_path / "plain.mkv", frames).rename(tmp_path / name)
    source = FolderSource.open(tmp_path, NATIVE, 0, "real")
    np.testing.assert_array_equal(frames_of(source.clips([0])), frames)
    assert source.groups([0]) == [name]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    frames = moving_frames(4)
    plain = write_lossless(tmp_path / "plain.mkv", frames)
    try:
        plain.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mkv"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    source = FolderSource.open(tmp_path, NATIVE.replace(windows="all"), 0, "real")
    np.testing.assert_array_equal(frames_of(source.clips([0])), frames)
    assert source.groups([0]) == ["\\xff\\xfe.mkv"] and source.fingerprint


def test_clips_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    for name in "abc":
        write_lossless(tmp_path / f"{name}.mkv", moving_frames(20) // (1 + ord(name) % 3))
    source = FolderSource.open(tmp_path, NATIVE.replace(windows="all"), 0, "real")
    together = source.clips(range(len(source)))
    for index in (3, 0, 14, 7):
        assert torch.equal(source.clips([index]).pixels[0], together.pixels[index])
    backwards = source.clips([5, 2, 9])
    assert backwards.indices == (5, 2, 9)
    assert torch.equal(backwards.pixels, together.pixels[[5, 2, 9]])


def test_no_clips_asked_for(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", moving_frames(8))
    assert FolderSource.open(tmp_path, NATIVE.replace(size=16), 0, "real").clips([]).pixels.shape == (0, 4, 3, 16, 16)


def test_only_the_frames_of_a_clip_are_held(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", np.repeat(moving_frames(20, 240, 320), 15, axis=0))  # 69 MB of pixels
    source = FolderSource.open(tmp_path, Protocol(frames=8, size=64, real_offset="seeded"), 3, "real")
    source.clips([0])
    tracemalloc.start()
    source.clips([0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_crop_and_resize_of_a_video(tmp_path: Path) -> None:
    frames = moving_frames(4, 40, 64)
    write_lossless(tmp_path / "a.mkv", frames)
    clips = FolderSource.open(tmp_path, Protocol(frames=4, size=32), 0, "real").clips([0])
    image = Image.fromarray(frames[1]).crop((12, 0, 52, 40)).resize((32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(frames_of(clips)[1], np.asarray(image))


def test_folder_and_frames_of_the_same_video_agree(tmp_path: Path) -> None:
    frames = moving_frames(6)
    write_lossless(tmp_path / "video" / "v.mkv", frames)
    write_frames(tmp_path / "frames" / "v", frames)
    protocol = Protocol(frames=6, size=32)
    video, images = (FolderSource.open(tmp_path / kind, protocol, 0, "fake").clips([0]) for kind in ("video", "frames"))
    assert torch.equal(video.pixels, images.pixels)
