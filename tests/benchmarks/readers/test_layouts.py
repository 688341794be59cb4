"""How people lay out their videos: nested, mixed, oddly named, among stray files; in folders and in archives."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from media_makers import moving_frames, stored, write_frames, write_lossless, write_video

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

SORTED = Protocol(frames=4, size=None, real_selection="sorted")
FRAMES = moving_frames(4)


def videos(path: Path, **options: object) -> list[str]:
    """Relative paths of the videos that give clips; each must give the pixels that were written."""
    source = FolderSource.open(path, SORTED, 0, "real", **options)  # type: ignore[arg-type]
    clips = source.clips(range(len(source)))
    for pixels in clips.pixels:
        np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), FRAMES)
    return source.groups(clips.indices)


def archive(folder: Path, target: Path, prefix: str = "", folders: bool = False) -> Path:
    """A folder as a zip archive, with or without entries for its folders."""
    with zipfile.ZipFile(target, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() or folders:
                file.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def both(folder: Path) -> list[str]:
    """Videos of a folder, after checking that a zip of it gives the same ones."""
    found = videos(folder)
    for folders in (False, True):
        assert videos(archive(folder, folder.parent / "zipped.zip", folders=folders)) == found
    return found


def test_nested_and_mixed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_lossless(root / "top.mkv", FRAMES)
    write_lossless(root / "class" / "sub" / "deep.mkv", FRAMES)
    write_frames(root / "class" / "frames", FRAMES)
    write_frames(root / "class" / "sub" / "frames", FRAMES)
    write_lossless(root / "class" / "frames" / "beside.mkv", FRAMES)
    # Images beside a video file are posters and the like, never a video of their own.
    below = ["class/frames/beside.mkv", "class/sub/deep.mkv", "class/sub/frames"]
    assert both(root) == [*below, "top.mkv"]


def test_folders_of_which_one_is_the_start_of_another(tmp_path: Path) -> None:
    root = tmp_path / "data"
    names = ["a", "a b", "a#1", "a-1", "a.x", "ab"]
    for name in names:
        write_frames(root / name, FRAMES)
    assert both(root) == names


def test_a_folder_named_like_a_video_or_an_image(tmp_path: Path) -> None:
    root = tmp_path / "data"
    names = ["v.jpg", "x.mp4", "x.mpg"]
    for name in names:
        write_frames(root / name, FRAMES)
    assert both(root) == names


def test_stray_and_hidden_files(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_frames(root / "v", FRAMES)
    write_frames(root / ".thumbs", FRAMES)
    write_frames(root / "__MACOSX" / "v", FRAMES)
    write_lossless(root / "plain.mkv", FRAMES).rename(root / "._plain.mkv")
    for name in ("dataset.json", "README.txt", "v/notes.txt", ".DS_Store", "Thumbs.db", "v/.DS_Store"):
        (root / name).write_text("x")
    (root / "empty").mkdir()
    assert both(root) == ["v"]
    assert FolderSource.open(root, SORTED, 0, "real").ignored == 4


def test_upper_case_suffixes(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_lossless(root / "a.mkv", FRAMES).rename(root / "A.MKV")
    write_frames(root / "b", FRAMES, "{:03d}.PNG")
    assert both(root) == ["A.MKV", "b"]


def test_frames_right_in_the_root(tmp_path: Path) -> None:
    assert both(write_frames(tmp_path / "data", FRAMES)) == ["."]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    write_frames(tmp_path / "elsewhere" / "v", FRAMES)
    root = tmp_path / "data"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert videos(root) == ["link/v"]


def test_the_order_on_disk_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcdef":
        write_lossless(tmp_path / name / f"{name}.mkv", FRAMES)
    expected = FolderSource.open(tmp_path, SORTED, 0, "real")
    listing = os.scandir

    class Shuffled(list):  # type: ignore[type-arg]
        def __enter__(self) -> list[os.DirEntry[str]]:
            random.Random(0).shuffle(self)
            return self

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda path: Shuffled(listing(path)))
    shuffled = FolderSource.open(tmp_path, SORTED, 0, "real")
    assert shuffled.groups(range(6)) == expected.groups(range(6))
    assert shuffled.fingerprint == expected.fingerprint


def test_part_of_a_folder_or_archive(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_frames(root / "train" / "a", FRAMES)
    write_frames(root / "test" / "b", FRAMES)
    assert videos(root, within="train") == ["a"]
    assert videos(archive(root, tmp_path / "z.zip"), within="test") == ["b"]
    assert videos(archive(root, tmp_path / "data.zip", prefix="data/"), within="data/test") == ["b"]
    with pytest.raises(ClipError):
        FolderSource.open(root, SORTED, 0, "real", within="validation")


def test_only_those_to_keep(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in "abc":
        write_frames(root / name, FRAMES)
    assert videos(root, keep=lambda path: path != "b") == ["a", "c"]


def test_an_archive_of_the_folder_itself_gives_the_same_clips(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("x/a", "x/b", "y/c"):
        write_video(root / f"{name}.mp4", moving_frames(30))
    protocol = Protocol(frames=4, size=32, real_storage=("jpeg75",))
    folder = stored(FolderSource.open(root, protocol, 5, "real"))
    for path in (archive(root, tmp_path / "other.zip"), archive(root, tmp_path / "data.zip", prefix="data/")):
        zipped = stored(FolderSource.open(path, protocol, 5, "real"))
        assert zipped.groups(range(3)) == folder.groups(range(3))
        assert torch.equal(zipped.clips(range(3)).pixels, folder.clips(range(3)).pixels)


def test_names_in_an_archive_are_only_names(tmp_path: Path) -> None:
    video = write_lossless(tmp_path / "v.mkv", FRAMES).read_bytes()
    (tmp_path / "v.mkv").unlink()
    inside = tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(inside / "z.zip", "w") as file:
        for name in ("../up.mkv", "/absolute.mkv", "windows\\style.mkv", "a/../../up.mkv"):
            file.writestr(name, video)
    before = set(tmp_path.rglob("*"))
    assert videos(inside / "z.zip") == ["absolute.mkv", "windows/style.mkv"]
    assert set(tmp_path.rglob("*")) == before


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no archive")
    with pytest.raises(ClipError, match="a.zip is not a readable zip archive: File is not a zip file"):
        FolderSource.open(tmp_path / "a.zip", SORTED, 0, "real")


def test_an_archive_cut_in_half(tmp_path: Path) -> None:
    write_frames(tmp_path / "data" / "v", FRAMES)
    path = archive(tmp_path / "data", tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError, match="not a readable zip archive"):
        FolderSource.open(path, SORTED, 0, "real")


def test_an_empty_archive(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "a.zip", "w").close()
    with pytest.raises(ClipError, match="holds no videos"):
        FolderSource.open(tmp_path / "a.zip", SORTED, 0, "real")


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_a_damaged_member(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    if kind == "video":
        write_video(root / "v.mp4", moving_frames(30))
    else:
        write_frames(root / "v", moving_frames(30))
    write_lossless(root / "z.mkv", FRAMES)
    data = bytearray(archive(root, tmp_path / "a.zip").read_bytes())
    at = data.find(b"mdat" if kind == "video" else b"IDAT") + 100
    data[at] ^= 255
    (tmp_path / "a.zip").write_bytes(data)
    source = FolderSource.open(tmp_path / "a.zip", SORTED, 0, "real")
    assert source.groups(source.clips(range(len(source))).indices) == ["z.mkv"]
    assert "Bad CRC" in source.rejected[0].reason or "damaged: 000000.png" in source.rejected[0].reason


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.benchmarks.readers.places.INFLATION_FLOOR", 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.mp4", bytes(3 * 2**20))
        file.writestr("v/000000.png", bytes(3 * 2**20))
        file.write(write_lossless(tmp_path / "v.mkv", FRAMES), "good.mkv")
    source = FolderSource.open(tmp_path / "a.zip", SORTED.replace(frames=1), 0, "real")
    reasons = {each.path: each.reason for each in source.rejected}
    assert set(reasons) == {"bomb.mp4", "v"}
    assert reasons["bomb.mp4"].startswith("bomb.mp4 is refused: 3,145,728 bytes unpacked from ")


def test_temporary_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lossless(tmp_path / "data" / "v.mkv", FRAMES)
    path = archive(tmp_path / "data", tmp_path / "a.zip")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert videos(path) == ["v.mkv"]
    assert not list(scratch.iterdir())
