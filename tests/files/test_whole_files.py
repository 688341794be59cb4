"""Files that are whole or absent, lines that are not lost, and file systems without locks."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from latte_eval.core.errors import StoreError, TornLine
from latte_eval.core.notices import Notice
from latte_eval.files.jsonl import append_lines, parse_lines, read_lines
from latte_eval.files.whole_files import locked, unfinished_path, write_whole


def test_two_containers_never_share_a_temporary_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process ids do: both are 1 there."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert len({unfinished_path(tmp_path / "x") for _ in range(100)}) == 100


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").write_text("")
    with pytest.raises(StoreError, match="cannot write .*taken"):
        write_whole(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_lines_of_many_writers_are_whole(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        for _ in range(20):
            append_lines(tmp_path / "log.jsonl", [str(writer) * 5_000])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    lines = [line for _, line in read_lines(tmp_path / "log.jsonl", "lines")]
    assert len(lines) == 80 and {len(set(line)) for line in lines} == {1}


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    append_lines(tmp_path / "x", ["a\u2028b", "", "c\x85d"])
    assert read_lines(tmp_path / "x", "lines") == [(1, "a\u2028b"), (3, "c\x85d")]
    (tmp_path / "y").write_bytes(b"\xff\n")
    with pytest.raises(StoreError, match="cannot read lines from"):
        read_lines(tmp_path / "y", "lines")


@pytest.mark.parametrize("torn", [b'{"metric": "fvd", "val', b'{"name": "\xc3'])
def test_what_comes_after_a_torn_line_is_not_lost(tmp_path: Path, torn: bytes) -> None:
    """A job was stopped while it wrote, here within a letter."""
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"{}\n" + torn)

    def parse(line: str, number: int) -> str:
        if not line.endswith("}"):
            raise TornLine(f"line {number} is torn")
        return line

    with pytest.raises(TornLine, match="line 2 is torn, so what is newest cannot be told"):
        parse_lines(path, "lines", parse, newest_counts=True)
    append_lines(path, ['{"a": 1}'])
    for newest_counts in (False, True):
        with pytest.warns(Notice, match="line 2 is torn: it is passed over"):
            assert parse_lines(path, "lines", parse, newest_counts) == ["{}", '{"a": 1}']


def test_a_file_system_without_locks_keeps_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS and Lustre may answer."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(Notice, match="results.jsonl was written without a lock"):
        append_lines(tmp_path / "results.jsonl", ["{}"])
    assert read_lines(tmp_path / "results.jsonl", "lines") == [(1, "{}")]


def test_what_fails_under_a_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="own"), locked(tmp_path / "x"):
        raise OSError("own")
