"""What may be named as a place beside folders and archives: one video, a list; and what is said of links and cuts."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from media_makers import moving_frames, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.tree import open_tree
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=4, size=None, real_selection="sorted")


def open_source(path: Path) -> FolderSource:
    return FolderSource.open(path, PROTOCOL, 0, "real")


def videos(path: Path) -> list[str]:
    source = open_source(path)
    return source.groups(range(len(source)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i in range(3):
        write_lossless(tmp_path / "data" / f"{i}.mkv", moving_frames(4 + i))
    return tmp_path / "data"


def test_one_video_is_a_folder_of_one(data: Path) -> None:
    assert videos(data / "1.mkv") == ["1.mkv"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# mine\ndata/2.mkv\n\ndata/0.mkv\n"),
        ("labelled.txt", "data/2.mkv 17\ndata/0.mkv 3\n"),
        ("first.csv", "data/2.mkv,5\ndata/0.mkv,6\n"),
        ("headed.csv", "label,Path\n5,data/2.mkv\n6,data/0.mkv\n"),
        ("headed.tsv", "label\tvideo\n5\tdata/2.mkv\n6\tdata/0.mkv\n"),
        ("twice.txt", "data/2.mkv\ndata/0.mkv\ndata/../data/2.mkv\n"),
        ("marked.txt", "\ufeffdata/2.mkv\r\ndata/0.mkv\r\n"),
    ],
)
def test_lists(data: Path, name: str, text: str) -> None:
    (data.parent / name).write_text(text, encoding="utf-8")
    assert videos(data.parent / name) == ["0.mkv", "2.mkv"]


def test_a_list_of_everything_has_the_clips_of_the_folder(data: Path) -> None:
    whole, listed = data, data.parent / "absolute.txt"
    listed.write_text("".join(f"{path}\n" for path in data.iterdir()))
    first, second = (FolderSource.open(each, PROTOCOL, 3, "real") for each in (whole, listed))
    assert first.groups(range(3)) == second.groups(range(3)) and first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.clips(range(3)).pixels, second.clips(range(3)).pixels)


def test_folders_of_frames_in_a_list(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_frames(tmp_path / name, moving_frames(4))
    (tmp_path / "list.txt").write_text("a\nc\n")
    assert videos(tmp_path / "list.txt") == ["a", "c"]


def test_what_a_list_names_and_is_not_there(data: Path) -> None:
    path = data.parent / "list.txt"
    path.write_text("data/0.mkv\ndata/9.mkv\n")
    assert [each.path for each in open_source(path).rejected] == ["9.mkv"]
    path.write_text("0.mkv\n1.mkv\n")
    with pytest.raises(ClipError, match=r"lists 2 paths, none of which is there; the first is .*/0.mkv"):
        open_source(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClipError, match="cannot be read as a list of videos"):
        open_source(path)


def test_a_cut_archive(data: Path) -> None:
    path = data.parent / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for each in data.iterdir():
            archive.write(each, each.name)
    path.write_bytes(path.read_bytes()[:-100])
    for opener in (open_source, open_tree):
        with pytest.raises(ClipError, match=r"it is cut short: it ends after [\d,]+ bytes without the list"):
            opener(path)


def test_a_folder_that_is_linked_twice_is_told(data: Path) -> None:
    bag = data.parent / "bag"
    bag.mkdir()
    for name in ("all", "train"):
        (bag / name).symlink_to(data)
    source = open_source(bag)
    assert len(source) == 3 and source.notes == ["train leads to all again: counted once"]
