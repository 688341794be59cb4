"""Every kind of video file, frame by frame: the frames of a clip are those of the source, in order and upright."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from footage import ENCODINGS, FRAMES, frame_numbers, lifelike_frames, x264
from media_makers import TURNS, decode_all, turn
from remuxers import filter_packets, pack_pictures, write_streams

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.video import count_frames, frame_size, read_video
from latte_eval.core.protocol import Protocol

WINDOWS = Protocol(frames=4, size=None, windows="all", real_selection="sorted")
Footage = Callable[[str], Path]

# What decord reads in the same way: it repeats or refuses frames of transport streams, and converts ten bits, odd
# sizes and interlaced frames otherwise.
IN_DECORD = ("H.264", "H.264 in m4v", "H.264 in mov", "H.264 in Matroska", "H.264, open groups", "H.264, intra refresh",
             "H.264, full chroma", "MPEG-4 in AVI, B-frames", "motion JPEG", "FFV1", "FFV1, grey", "VP8", "VP9",
             "MPEG-2", "MPEG-1", "HEVC")  # fmt: skip


def clip_frames(path: Path) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """All windows of a place, one behind the other, read together."""
    source = FolderSource.open(path, WINDOWS, 0, "real")
    clips = source.clips(range(len(source)))
    assert not source.rejected
    return clips.pixels.permute(0, 1, 3, 4, 2).flatten(0, 1).numpy()


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_frames_of_the_source_come_back(name: str, footage: Footage) -> None:
    encoding, frames = ENCODINGS[name], clip_frames(footage(name))
    assert frame_numbers(frames) == list(range(FRAMES))
    assert frames.shape == encoding.frames().shape
    assert np.abs(frames.astype(float) - encoding.frames()).mean(axis=(1, 2, 3)).max() <= encoding.error
    assert frame_size(footage(name)) == (encoding.width, encoding.height)


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_window_alone_has_the_frames_of_a_full_pass(name: str, footage: Footage) -> None:
    path = footage(name)
    decoded = decode_all(path)
    assert count_frames(path) == len(decoded) == FRAMES
    for start in (3, 10, 17, 32):
        np.testing.assert_array_equal(list(read_video(path, range(start, start + 4))), decoded[start : start + 4])


@pytest.mark.parametrize("name", IN_DECORD)
def test_decord_agrees_where_it_decodes_from_the_start(name: str, footage: Footage) -> None:
    decord = pytest.importorskip("decord")
    path = footage(name)
    reader = decord.VideoReader(str(path), num_threads=1)
    expected = np.stack([reader.next().asnumpy() for _ in range(len(reader))])
    np.testing.assert_array_equal(list(read_video(path, range(count_frames(path)))), expected)


# Display matrix (a, b, c, d) -> what a player makes of [T, H, W, 3].
SHOWN: dict[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]] = {
    TURNS[90]: lambda frames: np.rot90(frames, -1, axes=(1, 2)),
    TURNS[180]: lambda frames: np.rot90(frames, 2, axes=(1, 2)),
    TURNS[270]: lambda frames: np.rot90(frames, 1, axes=(1, 2)),
    (-1, 0, 0, 1): lambda frames: frames[:, :, ::-1],
    (1, 0, 0, -1): lambda frames: frames[:, ::-1],
    (0, 1, 1, 0): lambda frames: frames.transpose(0, 2, 1, 3),
    (0, -1, -1, 0): lambda frames: np.rot90(frames, 2, axes=(1, 2)).transpose(0, 2, 1, 3),
}


@pytest.mark.parametrize("matrix", SHOWN)
@pytest.mark.parametrize("name", ["H.264", "HEVC in mov", "AV1 in mp4"])
def test_phone_video_is_upright(name: str, matrix: tuple[int, int, int, int], footage: Footage, tmp_path: Path) -> None:
    """A phone turns no pixels, a camera on its front mirrors none: the file says what a player is to do."""
    path = shutil.copy(footage(name), tmp_path)
    frames = clip_frames(turn(Path(path), matrix))
    np.testing.assert_array_equal(frames, SHOWN[matrix](decode_all(path)))


def test_a_turn_in_the_stream_itself(footage: Footage, tmp_path: Path) -> None:
    """In a transport stream there is no other place for it."""
    path = footage("H.264 in a transport stream")
    turned = filter_packets(path, tmp_path / "a.ts", "h264_metadata=display_orientation=insert:flip=horizontal")
    np.testing.assert_array_equal(clip_frames(turned), decode_all(path)[:, :, ::-1])


def test_pictures_packed_as_in_ucf101(tmp_path: Path) -> None:
    encoding = ENCODINGS["MPEG-4 in AVI, B-frames"]
    plain = dataclasses.replace(encoding, options={**encoding.options, "bf": "1"}).write(tmp_path / "plain.avi")
    packed = pack_pictures(plain, tmp_path / "packed.avi")
    with av.open(str(packed)) as container:
        assert min(packet.size for packet in container.demux(video=0) if packet.size) < 10
    np.testing.assert_array_equal(clip_frames(packed), decode_all(plain))
    assert frame_numbers(clip_frames(packed)) == list(range(FRAMES))


def test_times_out_of_order(tmp_path: Path) -> None:
    """Four small frames, whose B-frames lie behind the frame that is shown after them."""
    encoding = dataclasses.replace(ENCODINGS["H.264 in mov"], options=x264("b-adapt=0:bframes=2:b-pyramid=none"))
    path = encoding.write(tmp_path / "a.mov", 4)
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert len(times) == 4 and times != sorted(times)
    assert frame_numbers(clip_frames(path)) == [0, 1, 2, 3]


def test_one_frame(tmp_path: Path) -> None:
    # Not "HEVC": of one frame of x265, the mov writer of PyAV 19 refuses some, at random.
    for name in ("H.264", "HEVC in Matroska", "VP9", "AV1", "MPEG-4 in AVI", "MPEG-2", "GIF", "FFV1"):
        path = ENCODINGS[name].write(tmp_path / f"{name}.{ENCODINGS[name].suffix}", 1)
        assert count_frames(path) == 1 and frame_numbers(np.stack(list(read_video(path, [0], check=10)))) == [0]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_sound_beside_the_pictures(suffix: str, tmp_path: Path) -> None:
    frames = clip_frames(write_streams(tmp_path / f"a.{suffix}", [(96, 64)], sound=True))
    assert frame_numbers(frames) == list(range(FRAMES))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cover_is_no_video(suffix: str, tmp_path: Path) -> None:
    frames = clip_frames(write_streams(tmp_path / f"a.{suffix}", [(96, 64)], cover=True))
    assert frames.shape[1:3] == (64, 96) and frame_numbers(frames) == list(range(FRAMES))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_one_of_two_videos_in_a_file_is_read_through(suffix: str, tmp_path: Path) -> None:
    frames = clip_frames(write_streams(tmp_path / f"a.{suffix}", [(96, 64), (96, 64)]))
    assert frame_numbers(frames) == list(range(FRAMES))
    errors = [np.abs(lifelike_frames(seed=seed).astype(float) - frames).mean() for seed in (0, 1)]
    assert min(errors) < 10 < max(errors)
