"""Small real files, where `LATTE_EVAL_SHARED` names a folder that holds clips/.

What they have and footage.py cannot make: pictures of cameras, and the bytes of encoders and muxers of other makers and
years. Everything else is tested on files that are made on the spot.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_makers import cut

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.video import count_frames, read_video
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol


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


def test_decord_agrees_on_real_files(clips_folder: Path) -> None:
    decord = pytest.importorskip("decord")
    for path in sorted(clips_folder.glob("*_3*x2*")):
        reader = decord.VideoReader(str(path), num_threads=1)
        assert len(reader) == count_frames(path)
        indices = range(0, 30, 3)
        np.testing.assert_array_equal(list(read_video(path, indices)), reader.get_batch(list(indices)).asnumpy())


def test_real_files_cut_in_half(clips_folder: Path, tmp_path: Path) -> None:
    names = [path.name for path in clips_folder.iterdir() if path.suffix != ".md" and not path.name.startswith("bad")]
    for name in names:
        with pytest.raises(ClipError, match="^truncated: "):
            count_frames(cut(clips_folder / name, 0.5, tmp_path / name))
