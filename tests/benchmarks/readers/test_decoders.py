"""Decoder processes: a crash costs one file, and whatever else may end a process is told from a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from media_makers import moving_frames, write_frames

from latte_eval.benchmarks.readers import FolderSource, decoders
from latte_eval.benchmarks.readers.decoders import Pool, count_frames, frame_size, read_frames
from latte_eval.benchmarks.readers.video import read_video
from latte_eval.core.errors import ClipError, MachineFault
from latte_eval.core.protocols import named_protocol
from latte_eval.files.h264 import encode_mp4

PROTOCOL = named_protocol("clean").replace(frames=4, size=None, fake_clips=None)
FRAMES = 6
# Runs in the decoder process before it serves.
CRASHES_AT_OPEN = """
import os, latte_eval.benchmarks.readers.video as video
av_open = video.av.open
video.av.open = lambda file, **options: os.abort() if "crash.mp4" in file else av_open(file, **options)
"""
CRASHES_AT_A_FRAME = """
import itertools, os, latte_eval.benchmarks.readers.video as video
to_rgb, numbers = video.to_rgb, itertools.count()
video.to_rgb = lambda frame: os.kill(os.getpid(), 11) if next(numbers) == 2 else to_rgb(frame)
"""
CRASHES_ON_AN_IMAGE = """
import os, latte_eval.benchmarks.readers.images as images
to_rgb = images.to_rgb
images.to_rgb = lambda image: os.abort() if "crash/000002" in str(image.filename) else to_rgb(image)
"""
CRASHES_ON_A_HEADER = """
import os, latte_eval.benchmarks.readers.images as images
pillow_open = images.Image.open
images.Image.open = lambda file, **options: os.abort() if "crash/0" in str(file) else pillow_open(file, **options)
"""
PRINTS = CRASHES_AT_OPEN.replace("os.abort()", "(os.write(1, b'noise'), print('noise', flush=True), av_open(file))[2]")


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """Decoders of this test alone."""
    monkeypatch.setattr(decoders, "POOL", Pool())
    yield decoders.POOL
    decoders.POOL.close()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for i, name in enumerate(["a.mp4", "crash.mp4", "b.mp4"]):
        (folder / name).write_bytes(encode_mp4(moving_frames(FRAMES + i, 24, 24)[i:], 8))
    return folder


def with_preface(monkeypatch: pytest.MonkeyPatch, preface: str) -> None:
    lines = decoders.PROGRAM.split("; ")
    monkeypatch.setattr(decoders, "PROGRAM", "\n".join([*lines[:-1], preface, lines[-1]]))


def test_a_crash_costs_one_file(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_preface(monkeypatch, CRASHES_AT_OPEN)
    source = FolderSource.open(videos, PROTOCOL, 0, "fake")
    assert [(each.path, each.reason) for each in source.rejected] == [
        ("crash.mp4", "the decoder crashed on it (SIGABRT)")
    ]
    clips = source.clips(range(2))
    names = source.groups(clips.indices)
    for name, pixels in zip(names, clips.pixels, strict=True):
        expected = np.stack(list(read_video(videos / name, range(FRAMES))))
        first = source.windows[names.index(name)].frames[0]
        np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), expected[first : first + 4])


def test_a_crash_between_frames(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_preface(monkeypatch, CRASHES_AT_A_FRAME)
    frames = read_frames(videos / "a.mp4", "a.mp4", range(4), None)
    assert [next(frames).shape for _ in range(2)] == [(24, 24, 3)] * 2
    with pytest.raises(ClipError, match=r"^the decoder crashed on it \(SIGSEGV\)$"):
        next(frames)
    assert count_frames(videos / "b.mp4", "b.mp4") == FRAMES, "the next file has a new process"


@pytest.mark.parametrize(("suffix", "preface", "image"), [("png", CRASHES_ON_AN_IMAGE, "000002.png"),
                                                          ("webp", CRASHES_ON_A_HEADER, "000000.webp")])  # fmt: skip
def test_a_crash_on_a_frame_costs_one_folder(
    suffix: str, preface: str, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = moving_frames(FRAMES, 24, 24)
    for name in ("a", "b", "crash"):
        write_frames(tmp_path / name, frames, "{:06d}." + suffix, **({"lossless": True} if suffix == "webp" else {}))
    with_preface(monkeypatch, preface)
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "fake")
    clips = source.clips(range(3))
    assert [(each.path, each.reason) for each in source.rejected] == [
        ("crash", f"the decoder crashed on {image} (SIGABRT)")
    ]
    for index, pixels in zip(clips.indices, clips.pixels, strict=True):
        window = source.windows[index].frames
        np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), frames[window.start : window.stop])
    assert len(clips) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_ends_a_process_from_outside_is_no_crash(videos: Path, pool: Pool, number: signal.Signals) -> None:
    assert count_frames(videos / "a.mp4", "a.mp4") == FRAMES
    (decoder,) = pool.decoders
    decoder.process.send_signal(number)
    decoder.process.wait()
    with pytest.raises(MachineFault, match=f"ended by {number.name}, which happens where memory is short"):
        count_frames(videos / "a.mp4", "a.mp4")
    assert count_frames(videos / "a.mp4", "a.mp4") == FRAMES


def test_one_process_does_one_job_after_the_other(videos: Path, pool: Pool) -> None:
    assert (count_frames(videos / "a.mp4", "a"), frame_size(videos / "a.mp4", "a")) == (FRAMES, (24, 24))
    with pytest.raises(ClipError, match="empty file"):
        (videos / "empty.mp4").touch()
        count_frames(videos / "empty.mp4", "empty")
    frames = list(read_frames(videos / "a.mp4", "a", range(FRAMES), None))
    np.testing.assert_array_equal(frames, list(read_video(videos / "a.mp4", range(FRAMES))))
    assert len(pool.decoders) == 1


def test_the_current_folder_may_change(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_frames(videos / "a.mp4", "a")
    monkeypatch.chdir(videos)
    assert count_frames(Path("b.mp4"), "b") == FRAMES
    assert frame_size(Path("b.mp4"), "b") == (24, 24)
    assert len(list(read_frames(Path("b.mp4"), "b", [0, 3], None))) == 2


def test_answers_that_nobody_reads_end_the_process(videos: Path, pool: Pool) -> None:
    frames = read_frames(videos / "a.mp4", "a", range(FRAMES), None)
    next(frames)
    frames.close()
    assert not pool.decoders
    assert count_frames(videos / "a.mp4", "a") == FRAMES


def test_what_a_library_prints_is_no_answer(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_preface(monkeypatch, PRINTS)
    assert count_frames(videos / "crash.mp4", "crash") == FRAMES


def test_a_forked_copy_shares_no_process(videos: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    count_frames(videos / "a.mp4", "a")
    (first,) = pool.decoders
    monkeypatch.setattr(os, "getpid", lambda: -1)
    second = pool.take()
    assert second.process.pid != first.process.pid
    for each in (first, second):
        each.close()


def test_no_process_outlives_the_program(videos: Path) -> None:
    program = f"""
        import os, sys
        from pathlib import Path
        from latte_eval.benchmarks.readers import decoders
        decoders.count_frames(Path({str(videos / "a.mp4")!r}), "a")
        print(decoders.POOL.decoders[0].process.pid, flush=True)
        os._exit(1) if sys.argv[1] == "killed" else None
    """
    for how in ("ended", "killed"):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), how], capture_output=True, text=True)
        assert done.stderr == ""
        for _ in range(100):
            if not alive(int(done.stdout)):
                break
            time.sleep(0.05)
        assert not alive(int(done.stdout)), how


def test_no_decoder_is_left_to_the_garbage_collector(videos: Path) -> None:
    """Python tells of files and processes that nobody closed: of a pool, in a forked copy, in the midst of a job."""
    program = f"""
        import os
        from pathlib import Path
        from latte_eval.benchmarks.readers import decoders
        path = Path({str(videos / "a.mp4")!r})
        assert decoders.count_frames(path, "a") == {FRAMES}
        if not os.fork():
            assert decoders.count_frames(path, "a") == {FRAMES}
            raise SystemExit
        os.wait()
        assert decoders.count_frames(path, "a") == {FRAMES}
        frames = decoders.read_frames(path, "a", range({FRAMES}), None)
        next(frames)
        decoders.POOL = decoders.Pool()
        assert decoders.count_frames(path, "a") == {FRAMES}
    """
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
