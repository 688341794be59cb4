"""Arrays as videos: every clear layout gives the same frames, everything else says what to type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_makers import moving_frames, write_lossless

from latte_eval.benchmarks.check import decoded, probe
from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=4, size=None, real_selection="sorted")
VIDEOS = np.stack([moving_frames(5, 8, 10), moving_frames(5, 8, 10)[::-1]])  # [2, 5, 8, 10, 3]
LAYOUTS = {"last": (0, 1, 2, 3, 4), "third": (0, 1, 4, 2, 3), "second": (0, 4, 1, 2, 3)}


def open_source(path: Path, side: str = "fake") -> FolderSource:
    return FolderSource.open(path, PROTOCOL, 0, side)


def pixels(path: Path) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    source = open_source(path)
    return source.clips(range(len(source))).pixels.permute(0, 1, 3, 4, 2).numpy()


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".pt":
        torch.save(torch.from_numpy(np.ascontiguousarray(array)), path)
    elif path.suffix == ".npz":
        np.savez_compressed(path, arr_0=array, labels=np.arange(2))
    else:
        np.save(path, array)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_format(layout: str, suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a{suffix}", VIDEOS.transpose(LAYOUTS[layout]))
    np.testing.assert_array_equal(pixels(path), VIDEOS[:, :4])
    assert open_source(tmp_path).groups([0, 1]) == [f"a{suffix}/000000", f"a{suffix}/000001"]


def test_a_folder_of_one_video_each(tmp_path: Path) -> None:
    for name, video in zip("ab", VIDEOS, strict=True):
        save(tmp_path / f"{name}.npy", video)
    np.testing.assert_array_equal(pixels(tmp_path), VIDEOS[:, :4])
    source = open_source(tmp_path)
    assert source.groups([0, 1]) == ["a.npy", "b.npy"]
    assert probe(source.place, source.entries[0]) == (5, (10, 8))
    np.testing.assert_array_equal(list(decoded(source.place, source.entries[1], 5)), VIDEOS[1])


def test_arrays_have_passed_no_lossy_step(tmp_path: Path) -> None:
    save(tmp_path / "a.npy", VIDEOS)
    assert open_source(tmp_path).clips([0]).passed == ((),)


def test_another_video_of_the_same_name_has_another_key(tmp_path: Path) -> None:
    first = open_source(save(tmp_path / "a.npy", VIDEOS)).fingerprint
    assert open_source(save(tmp_path / "a.npy", VIDEOS[::-1])).fingerprint != first


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (VIDEOS / np.float32(255), r"float32 from 0 to .*\(x \* 255\).round\(\).astype\('uint8'\)"),
        (VIDEOS / np.float32(127.5) - 1, r"float32 from -1 to .*\(x \+ 1\) \* 127.5"),
        (
            np.zeros((2, 3, 3, 8, 8), np.uint8),
            r"may be \[N, T, 3, H, W\] \(2 clips of 3 fr.* or \[N, 3, T, H, W\] .*; store",
        ),
        (np.zeros((2, 5, 8, 8, 1), np.uint8), "is none of"),
        (np.zeros((2, 8), np.uint8), "holds 0 arrays of 4 or 5 dimensions"),
        (np.array([{"code": print}] * 4), "cannot be read as arrays alone"),
    ],
)
def test_what_is_refused(array: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=said):
        open_source(save(tmp_path / "a.npy", array))


def test_what_is_wrong_with_one_file_is_said_of_that_file_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=VIDEOS, b=VIDEOS)
    with pytest.raises(ClipError, match=r"^two.npz: holds 2 arrays of 4 or 5 dimensions \(.*as in FILE:a$"):
        open_source(tmp_path / "two.npz")
    save(tmp_path / "folder" / "a.npy", VIDEOS / 255)
    with pytest.raises(ClipError, match=r"^/.*/folder: a.npy: float64 from 0 to"):
        open_source(tmp_path / "folder")


def test_a_pickle_that_would_run_code(tmp_path: Path) -> None:
    torch.save({"videos": torch.from_numpy(VIDEOS), "hook": print}, tmp_path / "a.pt")
    with pytest.raises(ClipError, match="cannot be read as arrays alone"):
        open_source(tmp_path / "a.pt")


def test_arrays_beside_videos_are_told_and_not_taken(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", VIDEOS[0])
    save(tmp_path / "features.npy", VIDEOS)
    assert open_source(tmp_path).about["ignored"] == {".npy": 1}
