"""decord as the decoder of a protocol: where its frames are PyAV's, where they are not, and bad files."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from footage import ENCODINGS, FRAMES
from media_makers import cut, moving_frames, write_frames, write_video

from latte_eval.benchmarks.readers import FolderSource, decoder_process, decoders, decord_frames
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError, UsageError
from latte_eval.core.protocol import Protocol

WINDOWS = Protocol(frames=4, size=None, windows="all", real_selection="sorted")
Footage = Callable[[str], Path]

# What decord cannot open, or not read: AV1 and pictures that move, transport streams, streams without a container, and
# pixels with an alpha channel.
REFUSED = (
    "H.264 in a transport stream", "H.264, packets of a camera", "VP8 in IVF", "VP8 in Ogg", "AV1", "AV1 in mp4",
    "AV1, ten bits", "MPEG-2 without a container", "GIF", "GIF of uneven times", "QuickTime animation", "PNG in mov",
)  # fmt: skip
# Mean difference in grey levels of what it reads otherwise. After a seek into open groups, B-frames at the start of a
# group or streams without an index it gives other frames; the others are other pixels: interlaced frames, ten bits and
# odd sizes are converted in another way.
DIFFERS = {
    "H.264, open groups": 6.1, "H.264, open groups in a transport stream": 58.273, "H.264, intra refresh": 18.76,
    "H.264, interlaced": 2.549, "H.264, ten bits": 2.55, "HEVC, open groups": 7.802, "HEVC, ten bits": 2.554,
    "HEVC in a transport stream": 47.704, "VP9, odd size": 1.804, "MPEG-4 in AVI, B-frames": 27.597,
    "MPEG-4, quarter pixels": 20.939, "MPEG-4, odd size": 2.556, "MPEG-2": 27.711,
    "MPEG-2 in a transport stream": 62.507, "MPEG-2 of a disc": 28.198, "MPEG-1": 20.036,
}  # fmt: skip
SAME = [name for name in ENCODINGS if name not in (*REFUSED, *DIFFERS)]


@pytest.fixture
def decord() -> None:
    pytest.importorskip("decord")


def read(path: Path, decoder: str, **changes: Any) -> tuple[np.ndarray, list[Rejected]]:  # [N, T, 3, H, W] uint8
    """All clips of a place by a decoder, and what it does not take."""
    source = FolderSource.open(path, dataclasses.replace(WINDOWS, decoder=decoder, **changes), 0, "real")
    return source.clips(range(len(source))).pixels.numpy(), list(source.rejected)


def levels_apart(path: Path) -> tuple[float, float]:
    """Mean and largest difference of the frames of the two decoders, in grey levels."""
    one, other = (read(path, decoder)[0].astype(int) for decoder in ("pyav", "decord"))
    assert one.shape == other.shape
    return float(np.abs(one - other).mean()), float(np.abs(one - other).max())


@pytest.mark.usefixtures("decord")
@pytest.mark.parametrize("name", SAME)
def test_frames_of_most_files_are_the_same(name: str, footage: Footage) -> None:
    assert levels_apart(footage(name)) == (0, 0)


@pytest.mark.usefixtures("decord")
@pytest.mark.parametrize("name", DIFFERS)
def test_frames_of_some_files_differ(name: str, footage: Footage) -> None:
    mean, largest = levels_apart(footage(name))
    assert mean == pytest.approx(DIFFERS[name], rel=0.25) and largest > 50


@pytest.mark.usefixtures("decord")
@pytest.mark.parametrize("name", REFUSED)
def test_some_files_are_refused(name: str, footage: Footage) -> None:
    path = footage(name)
    try:
        _, (rejected,) = read(path, "decord")
        reason = rejected.reason
    except ClipError as error:  # the only video of its folder
        reason = str(error)
    assert "decord cannot read it: " in reason and f"[{path}" not in reason


@pytest.mark.usefixtures("decord")
def test_frames_of_cameras_are_the_same(clips_folder: Path, tmp_path: Path) -> None:
    """The largest part of what is measured: all that decord takes of the real files."""
    good = [path for path in clips_folder.iterdir() if path.name.partition("_")[0] not in ("bad", "av1")]
    videos = [path for path in good if path.suffix != ".md"]
    assert len(videos) == 6
    for path in videos:
        (tmp_path / path.stem).mkdir()
        (tmp_path / path.stem / path.name).symlink_to(path)
        one, other = (read(tmp_path / path.stem, each, windows="one", size=32)[0] for each in ("pyav", "decord"))
        np.testing.assert_array_equal(one, other, err_msg=path.name)


@pytest.mark.usefixtures("decord")
def test_what_it_does_not_take_is_rejected_with_its_reason(clips_folder: Path, tmp_path: Path) -> None:
    for name in ("av1_640x360.mkv", "bad_corrupted.mp4", "short_32frames_340x256.mp4"):
        (tmp_path / name).symlink_to(clips_folder / name)
    cut(clips_folder / "ucf101_apply_eye_makeup_320x240.avi", 0.5, tmp_path / "half.avi")
    (tmp_path / "text.mp4").write_text("#EXTM3U\nhttp://127.0.0.1:1/x.ts\n")
    clips, rejected = read(tmp_path, "decord", windows="one", size=32)
    reasons = {each.path: each.reason for each in rejected}
    assert len(clips) == 1 and set(reasons) == {"av1_640x360.mkv", "bad_corrupted.mp4", "half.avi", "text.mp4"}
    assert reasons["av1_640x360.mkv"].startswith("decord cannot read it: ")
    assert reasons["bad_corrupted.mp4"].startswith("damaged: frame 28 does not decode")
    assert reasons["half.avi"].startswith("truncated: ") and reasons["text.mp4"] == "not a video file"


@pytest.mark.usefixtures("decord")
def test_a_window_does_not_depend_on_those_beside_it(footage: Footage) -> None:
    """decord seeks, and goes on from where it is: each window has a reader of its own."""
    path = footage("H.264, closed groups")
    together, _ = read(path, "decord")
    source = FolderSource.open(path, WINDOWS.replace(decoder="decord"), 0, "real")
    for index in reversed(range(len(source))):
        np.testing.assert_array_equal(source.clips([index]).pixels[0], together[index])
    assert len(together) == FRAMES // 4


@pytest.mark.usefixtures("decord")
def test_nothing_of_a_damaged_video_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the damage is: decord gives damaged frames as if they were whole, or fails on those around them."""
    from latte_eval.benchmarks.readers import reading

    monkeypatch.setattr(reading, "CHECKED_FRAMES", 4)
    path = write_video(tmp_path / "a.avi", moving_frames(24, 32, 32), "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    at = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xd8"][12]
    data[at + 200 : at + 500] = bytes(300)
    path.write_bytes(data)
    clips, (rejected, *more) = read(tmp_path, "decord")
    assert len(clips) == 0 and rejected.reason.startswith("damaged: frame 12 ") and not more
    source = FolderSource.open(tmp_path, WINDOWS.replace(decoder="decord"), 0, "real")
    assert len(source.clips([0]).pixels) == 0


@pytest.mark.usefixtures("decord")
def test_it_is_told_in_the_record_and_the_fingerprint(footage: Footage, tmp_path: Path) -> None:
    pair = [WINDOWS.replace(decoder=each) for each in ("pyav", "decord")]
    sources = [FolderSource.open(footage("VP9"), each, 0, "real") for each in pair]
    assert sources[0].about["decoder"].startswith("PyAV ") and sources[1].about["decoder"].startswith("decord 0.")
    assert sources[0].fingerprint != sources[1].fingerprint
    write_frames(tmp_path / "a", moving_frames(8, 16, 16))
    frames = [FolderSource.open(tmp_path, each, 0, "real") for each in pair]
    assert frames[0].fingerprint == frames[1].fingerprint and "decoder" not in frames[1].honours


def test_without_decord_one_line_says_so(footage: Footage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="^decoder=decord needs decord, which is not installed: pip install decord"):
        read(footage("VP9"), "decord")
    write_frames(tmp_path / "a", moving_frames(8, 16, 16))
    assert len(read(tmp_path, "decord")[0]) == 2  # frames need no decoder


def stand_in(monkeypatch: pytest.MonkeyPatch, first: str, counting: str) -> None:
    """New decoder processes, in which decord counts frames by this expression."""
    program = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
        f"from latte_eval.benchmarks.readers import decoder_process as here; {first}; "
        f"here.decord_frames.count_frames = lambda path: {counting}; here.serve()"
    )
    monkeypatch.setattr(decoders, "PROGRAM", program)
    monkeypatch.setattr(decoders, "POOL", decoders.Pool())


def test_a_decoder_that_waits_for_ever_is_ended(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on with the other files."""
    stand_in(monkeypatch, "import time; here.DECORD_SECONDS = 1", "time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(ClipError, match="^decord did not give a frame of it within 60 seconds$"):
        decoders.count_frames(footage("VP9"), "a.webm", "decord")
    assert time.monotonic() - started < 20
    decoders.POOL.close()


def test_a_crash_in_decord_is_a_bad_file(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ClipError, match="the decoder crashed on it"):
        decoders.count_frames(footage("VP9"), "a.webm", "decord")
    decoders.POOL.close()


def test_messages_of_pyav_have_no_limit() -> None:
    assert list(decoder_process.timed(iter([({}, b"")]), False)) == [({}, b"")]


def test_reasons_say_nothing_of_where_decord_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    class DECORDError(Exception):
        pass

    monkeypatch.setitem(sys.modules, "decord", SimpleNamespace(DECORDError=DECORDError))

    def refuse(argument: str) -> None:
        raise DECORDError("[16:34:01] /github/workspace/src/video/video_reader.cc:151: Check failed: st_nb >= 0\nTrace")

    with pytest.raises(ClipError, match="^decord cannot read it: st_nb >= 0$"):
        decord_frames.told(refuse, "x")


def test_every_encoding_is_known() -> None:
    assert {*REFUSED, *DIFFERS} < set(ENCODINGS)
