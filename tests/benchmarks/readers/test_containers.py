"""How long a file says it is: the account of each container, made by hand and by real muxers."""

from __future__ import annotations

from pathlib import Path

import pytest
from media_makers import cut, moving_frames, write_lossless, write_video

from latte_eval.benchmarks.readers.containers import container_kind, missing_bytes
from latte_eval.benchmarks.readers.video import count_frames
from latte_eval.core.errors import ClipError


def box(kind: bytes, payload: int, length: int | None = None) -> bytes:
    """An ISO box whose header may announce another length than it has."""
    return (8 + payload if length is None else length).to_bytes(4, "big") + kind + bytes(payload)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


LARGE = (1).to_bytes(4, "big") + b"mdat" + (16 + 50).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (box(b"ftyp", 12) + box(b"mdat", 100), 0),
        (box(b"ftyp", 12) + box(b"mdat", 100, 300), 192),
        (box(b"ftyp", 12) + box(b"mdat", 100, 0), 0),  # 0: up to the end of the file
        (box(b"ftyp", 12) + LARGE + bytes(50), 0),
        (box(b"ftyp", 12) + LARGE + bytes(20), 30),
        (box(b"ftyp", 12) + bytes(100), 0),  # padding behind the last box
    ],
)
def test_boxes(data: bytes, missing: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", data)
    assert container_kind(path) == "mov"
    assert missing_bytes(path) == missing


def chunk(payload: int, length: int | None = None) -> bytes:
    return b"RIFF" + (4 + payload if length is None else length).to_bytes(4, "little") + b"AVI " + bytes(payload)


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (chunk(100), 0),
        (chunk(100) + chunk(60), 0),
        (chunk(100, 200), 96),
        (chunk(100) + chunk(60, 100), 36),
        (chunk(101), 0),  # the padding byte behind an odd chunk may be absent
        (chunk(100, 0), 0),  # never finished: the length was not written
        (chunk(100) + b"trailing bytes", 0),
    ],
)
def test_riff_chunks(data: bytes, missing: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", data)
    assert container_kind(path) == "avi"
    assert missing_bytes(path) == missing


def test_other_files_say_nothing(tmp_path: Path) -> None:
    for data in (b"", b"x", b"plain text", bytes(100)):
        path = write(tmp_path / "a.mp4", data)
        assert container_kind(path) is None and missing_bytes(path) == 0


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mp4", "libx264", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"), ("a.mkv", "ffv1", "bgr0"),
     ("a.webm", "libvpx", "yuv420p"), ("a.gif", "gif", "rgb8")],
)  # fmt: skip
def test_what_real_muxers_write(name: str, codec: str, pix_fmt: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, moving_frames(20), codec, pix_fmt)
    size = path.stat().st_size
    assert missing_bytes(path) == 0
    cut(path, 0.7)
    missing = missing_bytes(path)
    assert missing == 1 if name == "a.gif" else abs(missing - (size - path.stat().st_size)) <= 1


def test_padding_behind_a_gif(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", moving_frames(5), "gif", "rgb8")
    write(path, path.read_bytes() + bytes(20))
    assert count_frames(path) == 5


def test_a_live_recording_has_no_length(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", moving_frames(20), container_options={"live": "1"})
    assert missing_bytes(path) == 0 and count_frames(path) == 20
    cut(path, 0.9)
    assert missing_bytes(path) == 0


def test_frames_lost_from_an_avi_of_the_right_length(tmp_path: Path) -> None:
    """A cut file whose length was put right still counts its frames in its header."""
    path = cut(write_video(tmp_path / "a.avi", moving_frames(40), "mjpeg", "yuvj420p"))
    data = bytearray(path.read_bytes())
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    assert missing_bytes(write(path, bytes(data))) <= 1
    with pytest.raises(ClipError, match=r"^truncated: \d+ of 40 frames"):
        count_frames(path)


def test_a_damaged_matroska_header_ends_somewhere(tmp_path: Path) -> None:
    path = write_lossless(tmp_path / "a.mkv", moving_frames(4))
    data = bytearray(path.read_bytes())
    for position in range(4, 60):
        for value in (0, 255):
            broken = bytearray(data)
            broken[position] = value
            assert missing_bytes(write(path, bytes(broken))) >= 0


@pytest.mark.parametrize("container", ["mpeg", "mpeg1video", "mpegts"])
def test_the_kinds_of_mpg_files(container: str, tmp_path: Path) -> None:
    codec = "mpeg1video" if container == "mpeg1video" else "mpeg2video"
    path = write_video(tmp_path / "a.mpg", moving_frames(20), codec, format=container)
    assert count_frames(path) == 20 and missing_bytes(path) == 0
