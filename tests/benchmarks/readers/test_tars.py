"""Tar archives and shards give the clips of the folder that was packed."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from media_makers import moving_frames, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=4, size=None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i in range(3):
        write_lossless(tmp_path / "data" / f"{i}.mkv", moving_frames(9)[i : i + 6])
    write_frames(tmp_path / "data" / "frames", moving_frames(5))
    return tmp_path / "data"


def open_source(path: Path) -> FolderSource:
    return FolderSource.open(path, PROTOCOL, 0, "real")


def packed(folder: Path, path: Path, prefix: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        archive.add(folder, prefix or ".")
    return path


@pytest.mark.parametrize("prefix", ["", "data", "./data"])
def test_an_archive_has_the_clips_of_its_folder(data: Path, prefix: str) -> None:
    first, second = open_source(data), open_source(packed(data, data.parent / "data.tar", prefix))
    assert first.groups(range(4)) == second.groups(range(4))
    np.testing.assert_array_equal(first.clips(range(4)).pixels, second.clips(range(4)).pixels)


def test_shards(data: Path) -> None:
    shards = data.parent / "shards"
    shards.mkdir()
    for i in range(2):
        with tarfile.open(shards / f"shard-00000{i}.tar", "w") as archive:
            archive.add(data / f"{i}.mkv", f"sample{i}.mkv")
            about = tarfile.TarInfo(f"sample{i}.json")
            about.size = 2
            archive.addfile(about, io.BytesIO(b"{}"))
    source = open_source(shards)
    assert sorted(source.groups([0, 1])) == ["shard-000000/sample0.mkv", "shard-000001/sample1.mkv"]
    assert source.about["ignored"] == {".json": 2}


def test_content_is_in_the_key(data: Path) -> None:
    path = packed(data, data.parent / "a.tar")
    before, content = open_source(path).fingerprint, bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        member = archive.getmember("./1.mkv")
    content[member.offset_data + member.size // 2] ^= 255
    path.write_bytes(content)
    assert open_source(path).fingerprint != before


def test_a_cut_archive(data: Path) -> None:
    path = packed(data, data.parent / "a.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + last.size // 2])
    rejected = [each for each in open_source(path).rejected if each.path == "a.tar"]
    assert len(rejected) == 1 and ("cut short" in rejected[0].reason or "unexpected end" in rejected[0].reason)


def test_archives_that_cannot_be_read(data: Path) -> None:
    (data.parent / "a.tar").write_text("no archive")
    with pytest.raises(ClipError, match="a.tar is not a readable tar archive"):
        open_source(data.parent / "a.tar")
    with pytest.raises(ClipError, match=r"is compressed: .*type mkdir videos && tar -xf"):
        open_source(Path(shutil.make_archive(str(data.parent / "b"), "gztar", data)))
