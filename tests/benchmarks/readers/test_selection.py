"""Which videos and windows are chosen: by path or by a hash, the same for every batch, rank and size of the folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from media_makers import moving_frames, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.source import CHUNK
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=2, size=8)
TINY = moving_frames(6, 8, 8)


def make(root: Path, names: list[str]) -> Path:
    for name in names:
        write_frames(root / name, TINY)
    return root


def chosen(root: Path, count: int | None = None, seed: int = 0, protocol: Protocol = PROTOCOL) -> list[str]:
    source = FolderSource.open(root, protocol, seed, "real")
    return source.groups(range(len(source) if count is None else count))


def test_sorted_takes_the_first_in_path_order(tmp_path: Path) -> None:
    make(tmp_path, ["b/x", "a/z", "a/y", "a-1/x", "B/x", "10", "9"])
    order = chosen(tmp_path, protocol=PROTOCOL.replace(real_selection="sorted"))
    assert order == ["10", "9", "B/x", "a/y", "a/z", "a-1/x", "b/x"]


def test_sorted_video_files_stand_where_their_frames_would(tmp_path: Path) -> None:
    for name in ("a-1.mkv", "a.mkv", "a b.mkv"):
        write_lossless(tmp_path / name, TINY)
    order = chosen(tmp_path, protocol=PROTOCOL.replace(real_selection="sorted"))
    assert order == ["a.mkv", "a b.mkv", "a-1.mkv"]


def test_seeded_selection_follows_the_seed_alone(tmp_path: Path) -> None:
    names = [f"v{i:02d}" for i in range(30)]
    make(tmp_path, names)
    first, again, other = chosen(tmp_path, seed=1), chosen(tmp_path, seed=1), chosen(tmp_path, seed=2)
    assert first == again != other
    assert sorted(first) == sorted(other) == names
    assert first != names


def test_adding_a_video_changes_little(tmp_path: Path) -> None:
    make(tmp_path, [f"v{i:02d}" for i in range(30)])
    before = chosen(tmp_path)
    make(tmp_path, ["another"])
    after = chosen(tmp_path)
    assert [path for path in after if path != "another"] == before


def test_offsets_belong_to_the_video(tmp_path: Path) -> None:
    make(tmp_path, [f"v{i}" for i in range(8)])
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    starts = {window.entry.path: window.frames[0] for window in source.windows}
    assert set(starts.values()) <= set(range(5)) and len(set(starts.values())) > 1
    make(tmp_path, ["a", "zz"])
    after = {window.entry.path: window.frames[0] for window in FolderSource.open(tmp_path, PROTOCOL, 0, "real").windows}
    assert after | starts == after
    other = FolderSource.open(tmp_path, PROTOCOL, 1, "real")
    assert {window.entry.path: window.frames[0] for window in other.windows} != after


def test_fake_clips_are_the_first_frames(tmp_path: Path) -> None:
    make(tmp_path, ["a", "b", "c", "d"])
    source = FolderSource.open(tmp_path, PROTOCOL.replace(fake_stride=2), 0, "fake")
    assert [list(window.frames) for window in source.windows] == [[0, 2]] * 4


def test_all_windows(tmp_path: Path) -> None:
    make(tmp_path, ["a"])
    source = FolderSource.open(tmp_path, PROTOCOL.replace(windows="all"), 0, "real")
    assert sorted(list(window.frames) for window in source.windows) == [[0, 1], [2, 3], [4, 5]]
    assert source.groups([0, 1, 2]) == ["a", "a", "a"]
    clips = source.clips(range(3)).pixels.permute(0, 1, 3, 4, 2).numpy()
    for window, clip in zip(source.windows, clips, strict=True):
        np.testing.assert_array_equal(clip, TINY[list(window.frames)])


def test_wanted_saves_looking_but_changes_nothing(tmp_path: Path) -> None:
    names = [f"v{i:03d}" for i in range(2 * CHUNK + 20)]
    make(tmp_path, names)
    for name in names[::7]:
        (tmp_path / name / "000003.png").write_text("no picture")
    calls: list[int] = []
    whole = FolderSource.open(tmp_path, PROTOCOL, 0, "real", progress=calls.append)
    few = FolderSource.open(tmp_path, PROTOCOL, 0, "real", wanted=5)
    assert sum(calls) == len(names) and few.examined == CHUNK
    assert len(few) > len(whole) == len(names) - len(names[::7])
    assert few.fingerprint == whole.fingerprint
    everything = few.clips(range(len(few)))
    assert few.groups(everything.indices) == whole.groups(everything.indices)
    assert everything.indices == tuple(range(len(whole))) and len(few) == len(whole)
    assert few.rejected == whole.rejected


def test_labels_from_class_folders(tmp_path: Path) -> None:
    make(tmp_path, ["one/a", "two/b", "one/sub/c"])
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real", classes=["one", "two", "three"])
    expected = {"one/a": 0, "one/sub/c": 0, "two/b": 1}
    clips = source.clips(range(3))
    assert source.classes == ("one", "two", "three")
    assert clips.labels == source.labels == tuple(expected[path] for path in source.groups(range(3)))


def test_labels_before_anything_is_examined(tmp_path: Path) -> None:
    make(tmp_path, [f"{name}/{i}" for name in ("one", "two") for i in range(CHUNK)])
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real", wanted=1, classes=["one", "two"])
    assert source.labels is not None and sorted(source.labels) == [0] * CHUNK + [1] * CHUNK


def test_no_class_folders_no_labels(tmp_path: Path) -> None:
    make(tmp_path, ["a", "b"])
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real", classes=["one", "two"])
    assert source.classes is source.labels is source.clips([0]).labels is None


def test_a_video_outside_the_class_folders(tmp_path: Path) -> None:
    make(tmp_path, ["one/a", "stray"])
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real", classes=["one", "two"])
    assert [(each.path, each.reason) for each in source.rejected] == [("stray", "in none of the 2 class folders")]


def fingerprint(root: Path, protocol: Protocol = PROTOCOL, seed: int = 0, side: str = "real") -> str:
    return FolderSource.open(root, protocol, seed, side).fingerprint


def test_fingerprint_changes_with_what_changes_clips(tmp_path: Path) -> None:
    make(tmp_path, ["a", "b"])
    first = fingerprint(tmp_path)
    assert first == fingerprint(tmp_path)
    changes: list[dict[str, object]] = [
        {"frames": 3}, {"size": 9}, {"real_stride": 2}, {"crop": "none"}, {"resample": "bilinear"},
        {"real_storage": ("jpeg75",)}, {"real_selection": "sorted"}, {"windows": "all"}, {"real_offset": "zero"},
    ]  # fmt: skip
    others = [fingerprint(tmp_path, PROTOCOL.replace(**change)) for change in changes]
    others += [fingerprint(tmp_path, seed=1), fingerprint(tmp_path, side="fake")]
    assert len({first, *others}) == len(others) + 1
    same = PROTOCOL.replace(stem="x", fake_clips=3, fake_stride=2, fake_storage=("jpeg75",), real_clips=1)
    assert fingerprint(tmp_path, same) == first


def test_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    make(tmp_path, ["a", "b"])
    prints = [fingerprint(tmp_path)]
    os.utime(tmp_path / "a" / "000001.png", ns=(1, 1))
    prints.append(fingerprint(tmp_path))
    (tmp_path / "b" / "000005.png").unlink()
    prints.append(fingerprint(tmp_path))
    make(tmp_path, ["c"])
    prints.append(fingerprint(tmp_path))
    assert len(set(prints)) == 4
    (tmp_path / "notes.txt").write_text("x")
    assert fingerprint(tmp_path) == prints[-1]


def test_a_moved_folder_keeps_its_fingerprint(tmp_path: Path) -> None:
    root = make(tmp_path / "data", ["a", "b"])
    before = fingerprint(root)
    assert fingerprint(root.rename(tmp_path / "moved")) == before


@pytest.mark.parametrize("count", [1, 2048])
def test_order_is_balanced(count: int) -> None:
    """The seeded order is no path order in disguise: of classes laid out one after another, each has its share."""
    from latte_eval.benchmarks.readers.entries import Entry, selection_key

    entries = [Entry(f"class{i // 100:03d}/{i}", "video", "", ("x.mp4",), "") for i in range(10_000)]
    order = sorted(entries, key=lambda entry: selection_key("seeded", count, entry, 0))
    share = np.bincount([int(entry.path[5:8]) for entry in order[:2000]], minlength=100)
    assert share.min() >= 6 and share.max() <= 36
