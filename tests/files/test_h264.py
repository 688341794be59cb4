"""mp4 files: whole or absent, the same bytes for the same frames, readable by anything."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from media_makers import decode_all, moving_frames
from repository import ROOT

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.errors import StoreError
from latte_eval.core.protocol import Protocol
from latte_eval.files.h264 import encode_mp4, from_frames, h264_round_trip, to_frames, write_clip

FRAMES = moving_frames(16, 32, 48)


def test_layouts_are_inverse() -> None:
    clip = from_frames(FRAMES)
    assert clip.shape == (16, 3, 32, 48) and clip.is_contiguous()
    np.testing.assert_array_equal(to_frames(clip), FRAMES)


def test_what_is_written(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", from_frames(FRAMES))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.format.name, stream.average_rate) == ("h264", "yuv420p", 8)
        assert (stream.width, stream.height, stream.frames) == (48, 32, 16)
    assert np.abs(decode_all(tmp_path / "a.mp4").astype(int) - FRAMES).mean() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_grey_survives_almost_unchanged() -> None:
    """What is lost is chroma resolution: grey frames come back within a few levels."""
    grey = np.repeat(FRAMES[..., :1], 3, axis=-1)
    assert np.abs(h264_round_trip(grey).astype(int) - grey).max() <= 6


def test_same_frames_same_bytes() -> None:
    assert encode_mp4(FRAMES) == encode_mp4(FRAMES.copy())
    assert encode_mp4(FRAMES) != encode_mp4(FRAMES[::-1])


def test_same_bytes_whatever_was_in_memory() -> None:
    """x264 left to itself fails this at sizes up to 64 pixels."""
    script = (
        "import hashlib; from media_makers import moving_frames; from latte_eval.files.h264 import encode_mp4;"
        "sizes = (32, 48), (48, 64), (64, 64);"
        "print([hashlib.sha256(encode_mp4(moving_frames(16, *s) // k)).hexdigest() for s in sizes for k in (1, 2)])"
    )
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    printed = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": paths, "MALLOC_PERTURB_": fill},
        ).stdout
        for fill in ("1", "255")
    }  # fmt: skip
    assert len(printed) == 1


def test_frame_rate() -> None:
    with av.open(io.BytesIO(encode_mp4(FRAMES, fps=25))) as container:
        assert container.streams.video[0].average_rate == 25


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (31, 33)])
def test_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    frames = moving_frames(4, *size)
    write_clip(tmp_path / "a.mp4", from_frames(frames))
    height, width = (side + side % 2 for side in size)
    assert decode_all(tmp_path / "a.mp4").shape == (4, height, width, 3)
    assert h264_round_trip(frames).shape == frames.shape


def test_written_clips_are_read_back(tmp_path: Path) -> None:
    """What `sample` writes, `--fake` reads: the pixels of the in-memory round trip."""
    for index in range(3):
        write_clip(tmp_path / f"{index:06d}.mp4", from_frames(FRAMES // (index + 1)))
    source = FolderSource.open(tmp_path, Protocol(size=None, real_selection="sorted"), 0, "fake")
    for index, clip in enumerate(source.clips(range(3)).pixels):
        np.testing.assert_array_equal(to_frames(clip), h264_round_trip(FRAMES // (index + 1)))


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_clip(tmp_path / "new" / "a.mp4", from_frames(FRAMES))
    assert (tmp_path / "new" / "a.mp4").is_file()


def test_an_unwritable_target(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write .*a.mp4"):
        write_clip(tmp_path / "file" / "a.mp4", from_frames(FRAMES))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "old.mp4", from_frames(FRAMES))
    before = (tmp_path / "old.mp4").read_bytes()

    def fill(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    for name in ("old.mp4", "new.mp4"):
        with pytest.raises(StoreError, match=rf"cannot write .*{name}: No space left on device"):
            write_clip(tmp_path / name, from_frames(FRAMES // 2))
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == before


def test_an_av_without_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"h264"})
    with pytest.raises(StoreError, match="this PyAV has no libx264; install it with: pip install"):
        h264_round_trip(FRAMES)
