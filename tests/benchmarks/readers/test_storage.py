"""A folder and the one storage step of both sides: what its files have passed already, and what is still applied."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from media_makers import moving_frames, stored, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.places import Folder, ZipFolder
from latte_eval.benchmarks.tree import ZipTree
from latte_eval.core.clips import Clips
from latte_eval.core.protocol import STORAGE_STEPS, Protocol
from latte_eval.files.lossy import jpeg_round_trip, store_frames

FRAMES = moving_frames(4, 48, 64)
AT_SIZE = moving_frames(4, 32, 32)
BOTH = ("h264-crf5", "jpeg75")
PLAIN = Protocol(frames=4, size=32, real_selection="sorted")


def frames_of(clips: Clips) -> np.ndarray:  # -> [T, H, W, 3]
    return clips.pixels[0].permute(0, 2, 3, 1).numpy()


def before_and_after(folder: Path, side: str, *steps: str) -> tuple[np.ndarray, np.ndarray]:
    """The first clip as it is read, and after the storage step."""
    source = FolderSource.open(folder, PLAIN.replace(**{f"{side}_storage": steps}), 0, side)
    return frames_of(source.clips([0])), frames_of(stored(source).clips([0]))


def test_a_real_video_passes_every_step(tmp_path: Path) -> None:
    write_lossless(tmp_path / "v.mkv", FRAMES)
    before, after = before_and_after(tmp_path, "real", "jpeg75")
    np.testing.assert_array_equal(after, jpeg_round_trip(before))
    assert (after != before).any()
    before, after = before_and_after(tmp_path, "real", *BOTH)
    np.testing.assert_array_equal(after, store_frames(before, BOTH))


def test_a_fake_video_is_past_h264(tmp_path: Path) -> None:
    write_lossless(tmp_path / "v.mkv", FRAMES)
    before, after = before_and_after(tmp_path, "fake", *BOTH)
    np.testing.assert_array_equal(after, jpeg_round_trip(before))
    assert (after != before).any()
    before, after = before_and_after(tmp_path, "fake", "h264-crf5")
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("side", "left"), [("real", BOTH), ("fake", ("jpeg75",))])
def test_resized_frames_are_stored_like_a_video(side: str, left: tuple[str, ...], tmp_path: Path) -> None:
    write_frames(tmp_path / "v", FRAMES)
    before, after = before_and_after(tmp_path, side, *BOTH)
    np.testing.assert_array_equal(after, store_frames(before, left))


@pytest.mark.parametrize("side", ["real", "fake"])
def test_frames_at_size_are_past_everything(side: str, tmp_path: Path) -> None:
    write_frames(tmp_path / "v", AT_SIZE)
    before, after = before_and_after(tmp_path, side, *BOTH)
    np.testing.assert_array_equal(before, AT_SIZE)
    np.testing.assert_array_equal(after, AT_SIZE)


@pytest.mark.parametrize(("side", "video"), [("real", ()), ("fake", ("h264-crf5",))])
def test_every_clip_says_what_it_has_passed(side: str, video: tuple[str, ...], tmp_path: Path) -> None:
    write_frames(tmp_path / "a", AT_SIZE)
    write_frames(tmp_path / "b", FRAMES)
    write_lossless(tmp_path / "c.mkv", AT_SIZE)
    source = FolderSource.open(tmp_path, PLAIN, 0, side)
    assert source.clips([2, 0, 1]).passed == (video, STORAGE_STEPS, video)
    assert source.clips([]).passed == ()


def test_one_batch_of_all_kinds_equals_each_alone(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", AT_SIZE)
    write_frames(tmp_path / "b", FRAMES)
    write_lossless(tmp_path / "c.mkv", FRAMES)
    source = stored(FolderSource.open(tmp_path, PLAIN.replace(fake_storage=BOTH), 0, "fake"))
    together = source.clips([0, 1, 2])
    for index, pixels in enumerate(together.pixels):
        assert torch.equal(source.clips([index]).pixels[0], pixels)
    assert together.passed is not None and {tuple(sorted(passed)) for passed in together.passed} == {BOTH}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def place_content(path: Path) -> bytes:
    """Head, middle and tail of a small file."""
    data = path.read_bytes()
    return data[:4096] + data[len(data) // 2 :][:4096] + data[max(0, len(data) - 4096) :]


def test_the_fingerprint_is_that_of_earlier_versions(tmp_path: Path) -> None:
    """Stored features are found by it: the same parts in the same order, steps included."""
    write_frames(tmp_path / "v", AT_SIZE[:1])
    image = tmp_path / "v" / "000000.png"
    os.utime(image, ns=(1, 2_000_000_003))
    source = FolderSource.open(tmp_path, PLAIN.replace(frames=1, real_storage=BOTH), 7, "real")
    choices = {
        "frames": 1, "size": 32, "windows": "one", "crop": "crop-resize", "resample": "lanczos",
        "real_selection": "sorted", "real_stride": 1, "real_storage": BOTH, "real_offset": "seeded",
    }  # fmt: skip
    mark = sha256(f"000000.png\t{image.stat().st_size}\t2000000003")
    content = hashlib.sha256(place_content(image)).digest()
    listing = [("v", "frames", hashlib.sha256(mark.encode() + content).hexdigest())]
    assert source.fingerprint == sha256(json.dumps(["folder", 1, "real", 7, choices, None, listing]))
    assert stored(source).fingerprint == source.fingerprint


def test_constructing_reads_no_disk(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    entry = Entry("v.mp4", "video", "", ("v.mp4",), "")
    source = FolderSource(nowhere, Folder(nowhere), [entry], PLAIN, 0, "real")
    assert (source.name, len(source), source.examined) == (str(nowhere), 1, 0)
    assert source.fingerprint and not source.rejected
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    assert list(ZipFolder(nowhere, archive, {}).folders()) == [("", [])]
    assert list(ZipTree(nowhere, ["a/b.mp4"]).videos()) == ["a/b.mp4"]
