"""Every kind of video, frame by frame: the frames of a clip are the frames of the file, whatever the codec."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from media_makers import decode_all, moving_frames, turn, write_frames, write_lossless, write_video
from PIL import Image

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.video import count_frames, read_video
from latte_eval.core.clips import Clips, ClipSource
from latte_eval.core.protocol import Protocol

FRAMES = 40
NATIVE = Protocol(frames=4, size=None)
Maker = Callable[[Path, np.ndarray], Path]


def x264(options: str) -> Maker:
    return lambda path, frames: write_video(path, frames, options={"x264-params": options})


def codec(*args: str, **options: str) -> Maker:
    return lambda path, frames: write_video(path, frames, *args, options=options)


KINDS: dict[str, Maker] = {
    "h264.mp4": codec(),
    "h264.m4v": codec(),
    "h264.mov": codec(),
    "open-groups.mp4": x264("open-gop=1:keyint=10:min-keyint=10:bframes=3:scenecut=0"),
    "intra-refresh.mp4": x264("intra-refresh=1:keyint=10:bframes=0"),
    "bframes.avi": codec("mpeg4", bf="2"),
    "motion-jpeg.avi": codec("mjpeg", "yuvj420p"),
    "ffv1.mkv": codec("ffv1", "bgr0"),
    "grey.mkv": codec("ffv1", "gray"),
    "vp9.webm": codec("libvpx-vp9"),
    "vp8.webm": codec("libvpx"),
    "mpeg2.mpg": codec("mpeg2video"),
    "mpeg1.mpeg": codec("mpeg1video"),
    "gif.gif": codec("gif", "rgb8"),
    "full-chroma.mp4": codec("libx264", "yuv444p"),
    "ten-bit.mp4": codec("libx264", "yuv420p10le"),
}


def frames_of(clips: Clips, index: int = 0) -> np.ndarray:  # -> [T, H, W, 3]
    return clips.pixels[index].permute(0, 2, 3, 1).numpy()


def all_windows(folder: Path, protocol: Protocol = NATIVE) -> Clips:
    source = FolderSource.open(folder, protocol.replace(windows="all", real_selection="sorted"), 0, "real")
    return source.clips(range(len(source)))


@pytest.mark.parametrize("name", KINDS)
def test_windows_are_slices_of_the_decoded_file(name: str, tmp_path: Path) -> None:
    frames = moving_frames(FRAMES)
    path = KINDS[name](tmp_path / name, frames)
    decoded = decode_all(path)
    clips = all_windows(tmp_path)
    assert len(decoded) == FRAMES == 4 * len(clips)
    np.testing.assert_array_equal(np.concatenate([frames_of(clips, i) for i in range(len(clips))]), decoded)
    if "grey" not in name:
        assert np.abs(decoded.astype(float) - frames).mean() < (25 if "gif" in name else 12)


@pytest.mark.parametrize("name", ["open-groups.mp4", "intra-refresh.mp4", "bframes.avi", "mpeg2.mpg"])
def test_a_late_window_alone_has_the_frames_of_a_full_pass(name: str, tmp_path: Path) -> None:
    path = KINDS[name](tmp_path / name, moving_frames(FRAMES))
    np.testing.assert_array_equal(list(read_video(path, range(30, 34))), decode_all(path)[30:34])


@pytest.mark.parametrize("name", KINDS)
def test_decord_agrees_where_it_decodes_from_the_start(name: str, tmp_path: Path) -> None:
    decord = pytest.importorskip("decord")
    if name in ("gif.gif", "ten-bit.mp4"):
        pytest.skip("decord refuses GIF and converts ten bits in another way")
    path = KINDS[name](tmp_path / name, moving_frames(FRAMES))
    reader = decord.VideoReader(str(path), num_threads=1)
    expected = np.stack([reader.next().asnumpy() for _ in range(len(reader))])
    np.testing.assert_array_equal(list(read_video(path, range(count_frames(path)))), expected)


def test_decord_agrees_on_real_files(clips_folder: Path) -> None:
    decord = pytest.importorskip("decord")
    for path in sorted(clips_folder.glob("*_3*x2*")):
        reader = decord.VideoReader(str(path), num_threads=1)
        assert len(reader) == count_frames(path)
        indices = range(0, 30, 3)
        np.testing.assert_array_equal(list(read_video(path, indices)), reader.get_batch(list(indices)).asnumpy())


def test_strided_frames(tmp_path: Path) -> None:
    frames = moving_frames(FRAMES)
    write_lossless(tmp_path / "a.mkv", frames)
    clips = all_windows(tmp_path, NATIVE.replace(real_stride=3))
    assert len(clips) == FRAMES // 12
    np.testing.assert_array_equal(frames_of(clips, 2), frames[24:36:3])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phone_video_is_upright(degrees: int, tmp_path: Path) -> None:
    frames = moving_frames(8)
    path = turn(write_video(tmp_path / "phone.mp4", frames), degrees)
    upright = np.rot90(decode_all(path), -degrees // 90, axes=(1, 2))
    read = np.stack(list(read_video(path, range(8))))
    np.testing.assert_array_equal(read, upright)
    clips = FolderSource.open(tmp_path, NATIVE, 0, "fake").clips([0])
    np.testing.assert_array_equal(frames_of(clips), upright[:4])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate_counts_frames_not_time(suffix: str, tmp_path: Path) -> None:
    times = np.cumsum([[33, 100, 40, 7][i % 4] for i in range(FRAMES)]).tolist()
    path = write_video(tmp_path / f"vfr.{suffix}", moving_frames(FRAMES), times=times)
    assert count_frames(path) == FRAMES
    np.testing.assert_array_equal(list(read_video(path, range(FRAMES))), decode_all(path))


def test_times_out_of_order(clips_folder: Path, tmp_path: Path) -> None:
    shutil.copy(clips_folder / "bad_4frames_unordered.mov", tmp_path)
    clips = FolderSource.open(tmp_path, NATIVE, 0, "real").clips([0])
    np.testing.assert_array_equal(frames_of(clips), decode_all(tmp_path / "bad_4frames_unordered.mov"))


def test_real_files_of_every_format(clips_folder: Path) -> None:
    source = FolderSource.open(clips_folder, Protocol(), 0, "real")
    clips = source.clips(range(len(source)))
    rejected = {each.path: each.reason for each in source.rejected}
    assert clips.pixels.shape == (7, 16, 3, 256, 256)
    assert set(rejected) == {"bad_4frames_unordered.mov", "bad_corrupted.mp4"}
    assert rejected["bad_4frames_unordered.mov"] == "too short: 4 frames, 16 needed (16 at stride 1)"
    assert rejected["bad_corrupted.mp4"].startswith("damaged: frame 28 does not decode")


def test_five_long_files_give_82_clips(clips_folder: Path) -> None:
    long = ("arm_", "cleaning_", "basketball_", "ucf101_", "flipping_")
    protocol = Protocol(windows="all")
    source = FolderSource.open(clips_folder, protocol, 0, "real", keep=lambda path: path.startswith(long))
    assert len(source) == 82 and not source.rejected


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
