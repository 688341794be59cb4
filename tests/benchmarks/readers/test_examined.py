"""What one process found out about videos serves the others of its run and later runs, and changes nothing."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_makers import moving_frames, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource, content, examined, examining, listing
from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.places import Place
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError, MachineFault, RanksDiffer
from latte_eval.core.notices import Notice
from latte_eval.core.protocol import Protocol
from latte_eval.files.team import Team

PROTOCOL = Protocol(frames=4, size=8, real_selection="sorted")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Videos of every kind: files, one that is too short, one that is none, folders of frames, an array."""
    folder = tmp_path / "videos"
    for name, count in (("a", 9), ("b", 3), ("c", 6)):
        write_lossless(folder / f"{name}.mkv", moving_frames(count, 16, 16))
    (folder / "d.mkv").write_bytes(b"no video")
    write_frames(folder / "e", moving_frames(5, 8, 8))
    write_frames(folder / "f", moving_frames(5, 16, 16))
    write_frames(folder / "g", moving_frames(2, 16, 16))
    (folder / "h").mkdir()
    np.save(folder / "h" / "array.npy", np.stack([moving_frames(5, 16, 16), moving_frames(5, 16, 16) // 2]))
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened to look at content, to count frames, or to list."""
    seen: list[str] = []

    def note(module: Any, name: str) -> None:
        real = getattr(module, name)

        def noted(place: Any, entry: Any, *more: Any) -> Any:
            seen.append(f"{name} {getattr(entry, 'path', entry)}")
            return real(place, entry, *more)

        monkeypatch.setattr(module, name, noted)

    note(content, "stamped")
    note(examined, "entry_to_facts")
    note(listing, "count_in")
    note(listing, "file_moves")
    return seen


def open_source(folder: Path, team: Team | None = None, seed: int = 0, **fields: Any) -> FolderSource:
    return FolderSource.open(folder, PROTOCOL.replace(**fields), seed, "real", team=team)


def told_by(source: FolderSource) -> tuple[object, ...]:
    """All that a source says of its clips."""
    pixels = source.clips(range(len(source)))
    return (source.fingerprint, source.windows, source.rejected, source.identities(range(len(source))),
            pixels.passed, pixels.pixels.numpy().tobytes(), [str(each) for each in source.too_short])  # fmt: skip


def rank(run: Path, number: int, token: str = "run") -> Team:
    return Team(run, token, number, 3)


def records(run: Path) -> list[Path]:
    return sorted((run / "examined").iterdir()) if (run / "examined").exists() else []


@contextmanager
def without_notice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        yield


@pytest.mark.parametrize("fields", [{}, {"windows": "all"}, {"windows": "any", "real_clips": 3}, {"frames": 6}])
def test_the_next_process_opens_nothing(
    videos: Path, tmp_path: Path, opened: list[str], fields: dict[str, Any]
) -> None:
    expected = told_by(open_source(videos, **fields))
    with without_notice():
        first = told_by(open_source(videos, rank(tmp_path, 1), **fields))
        opened.clear()
        source = open_source(videos, rank(tmp_path, 0), **fields)
    assert opened == []
    assert told_by(source) == first == expected
    assert len(records(tmp_path)) == 1


def test_a_later_run_counts_no_frames_again(videos: Path, tmp_path: Path, opened: list[str]) -> None:
    """Content is looked at, and what was rejected examined: a fault that nobody noticed must not last."""
    expected = told_by(open_source(videos, Team(tmp_path, "first")))
    opened.clear()
    with without_notice():
        source = open_source(videos, Team(tmp_path, "second"))
    assert {each for each in opened if each.startswith("entry_to_facts")} == {"entry_to_facts d.mkv"}
    assert sum(each.startswith("stamped") for each in opened) == len(source.entries)
    assert told_by(source) == expected


def test_seeds_share_a_record_and_have_windows_of_their_own(videos: Path, tmp_path: Path, opened: list[str]) -> None:
    open_source(videos, Team(tmp_path, "first"), seed=0)
    opened.clear()
    source = open_source(videos, Team(tmp_path, "second"), seed=7)
    assert "entry_to_facts a.mkv" not in opened
    assert told_by(source) == told_by(open_source(videos, seed=7))


def test_other_choices_have_another_record(videos: Path, tmp_path: Path, opened: list[str]) -> None:
    open_source(videos, Team(tmp_path, "first"))
    opened.clear()
    source = open_source(videos, Team(tmp_path, "second"), size=16)
    assert "entry_to_facts f" in opened and len(records(tmp_path)) == 2
    assert told_by(source) == told_by(open_source(videos, size=16))


def write_anew(path: Path, keep_time: bool = False) -> None:
    """Other frames, and more of them, at the same size of the file where the time is kept."""
    before = path.stat()
    if keep_time:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return
    write_lossless(path, moving_frames(12, 16, 16)[::-1])


def test_a_file_that_changed_since_the_first_process_looked(videos: Path, tmp_path: Path, opened: list[str]) -> None:
    open_source(videos, rank(tmp_path, 0))
    write_anew(videos / "c.mkv")
    opened.clear()
    with pytest.warns(Notice, match=r"^1 of 9 videos of .*videos have other names, sizes or times"):
        source = open_source(videos, rank(tmp_path, 1))
    assert opened == ["stamped c.mkv", "entry_to_facts c.mkv"]
    assert told_by(source) == told_by(open_source(videos))


def test_other_content_of_the_same_size_and_time_is_found_when_it_is_read(videos: Path, tmp_path: Path) -> None:
    """As where machines have copies of their own, and one copy is damaged."""
    open_source(videos, rank(tmp_path, 0))
    write_anew(videos / "c.mkv", keep_time=True)
    source = open_source(videos, rank(tmp_path, 1))
    [good, changed] = [[each.entry.path for each in source.windows].index(f"{name}.mkv") for name in "ac"]
    assert len(source.clips([good])) == 1
    with pytest.raises(RanksDiffer, match=r"^c\.mkv has the size and time here .* give every rank the same files$"):
        source.clips([good, changed])


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_file_that_changed_between_runs(videos: Path, tmp_path: Path, keep_time: bool) -> None:
    before = open_source(videos, Team(tmp_path, "first")).fingerprint
    write_anew(videos / "a.mkv", keep_time)
    source = open_source(videos, Team(tmp_path, "second"))
    assert source.fingerprint == open_source(videos).fingerprint != before
    assert source.windows == open_source(videos).windows


def test_each_evaluation_of_a_run_looks_once_at_the_content(videos: Path, tmp_path: Path, opened: list[str]) -> None:
    ranks = rank(tmp_path, 0), rank(tmp_path, 1)
    for each in ranks:
        open_source(videos, each)
    opened.clear()
    write_anew(videos / "a.mkv", keep_time=True)
    sources = [open_source(videos, each) for each in ranks]
    assert sum(each.startswith("stamped a.mkv") for each in opened) == 1
    assert sources[0].fingerprint == sources[1].fingerprint == open_source(videos).fingerprint


def test_what_was_rejected_by_mistake_is_good_in_the_next_run(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the machine had failed, twice in the same way, and nobody had noticed."""
    real, expected = examining.entry_to_facts, told_by(open_source(videos))

    def fail(place: Place, entry: Entry, *more: Any) -> Any:
        if entry.path == "a.mkv":
            raise ClipError("damaged")
        return real(place, entry, *more)

    with monkeypatch.context() as patch:
        patch.setattr(examined, "entry_to_facts", fail)
        assert Rejected("a.mkv", "damaged") in open_source(videos, Team(tmp_path, "first")).rejected
    assert told_by(open_source(videos, Team(tmp_path, "second"))) == expected


def test_a_disk_that_fails_leaves_no_record(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg takes such a disk for the end of the file: so all bytes are read before the frames are counted."""
    real, opens = Path.open, list[str]()

    def open_file(path: Path, *more: Any, **options: Any) -> Any:
        opens.append(path.name)
        if path.name == "c.mkv" and opens.count("c.mkv") > 1:  # the first looks at its content
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_file)
        with pytest.raises(MachineFault, match=r"c\.mkv could not be read: the machine failed"):
            open_source(videos, rank(tmp_path, 0))
    assert records(tmp_path) == []
    assert told_by(open_source(videos, rank(tmp_path, 1))) == told_by(open_source(videos))


@pytest.mark.parametrize("damage", ["digit", "cut", "field", "none"])
def test_a_damaged_record_is_made_again(videos: Path, tmp_path: Path, damage: str) -> None:
    expected = told_by(open_source(videos, Team(tmp_path, "first")))
    [path] = records(tmp_path)
    text = path.read_text()
    record = json.loads(text)
    record["videos"]["a.mkv"]["length"] = 8
    said = {"digit": json.dumps(record), "cut": text[:-40], "field": json.dumps({**record, "videos": {"a.mkv": 1}}),
            "none": "[]\n"}  # fmt: skip
    path.write_text(said[damage])
    with pytest.warns(Notice, match=r"examined/\w+\.json .*; the videos are examined again$"):
        source = open_source(videos, Team(tmp_path, "second"))
    assert told_by(source) == expected
    assert path.read_text() == text


def test_another_record_than_the_first_process_wrote_is_not_believed(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    monkeypatch.setattr(examined, "SEEN_SECONDS", 0.1)
    open_source(videos, rank(tmp_path, 0))
    [path] = records(tmp_path)
    later = videos / "later.mkv"
    write_lossless(later, moving_frames(9, 16, 16))
    open_source(videos, Team(tmp_path, "another command"))
    later.unlink()
    opened.clear()
    source = open_source(videos, rank(tmp_path, 1))
    assert "stamped a.mkv" in opened and path.exists()
    assert told_by(source) == told_by(open_source(videos))


def test_a_record_that_cannot_be_written_costs_time_alone(videos: Path, tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "examined").write_text("a file where the folder should be")
    with pytest.warns(Notice, match="other processes examine the videos of .* themselves"):
        open_source(videos, rank(tmp_path, 0))
    opened.clear()
    with pytest.warns(Notice, match="cannot"):
        source = open_source(videos, rank(tmp_path, 1))
    assert "stamped a.mkv" in opened
    assert told_by(source) == told_by(open_source(videos))


def test_videos_beyond_those_that_were_wanted(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of the first videos grows when a later run wants more."""
    monkeypatch.setattr("latte_eval.benchmarks.readers.source.CHUNK", 1)
    FolderSource.open(videos, PROTOCOL, 0, "real", wanted=1, team=Team(tmp_path, "first"))
    [path] = records(tmp_path)
    lengths = [each["length"] for each in json.loads(path.read_text())["videos"].values()]
    assert lengths[0] == 9 and lengths[2] is None
    source = FolderSource.open(videos, PROTOCOL, 0, "real", wanted=5, team=Team(tmp_path, "second"))
    assert told_by(source) == told_by(FolderSource.open(videos, PROTOCOL, 0, "real", wanted=5))
    assert json.loads(path.read_text())["videos"]["c.mkv"]["length"] == 6
