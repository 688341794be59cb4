"""Files that are whole or absent, lines that are not lost, and file systems without locks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latte_eval.core.errors import StoreError, TornLine
from latte_eval.core.notices import Notice
from latte_eval.files import jsonl
from latte_eval.files.jsonl import append_lines, parse_lines, read_lines
from latte_eval.files.whole_files import put_in_place, unfinished_path, write_replaceable, write_whole


def test_two_containers_never_share_a_temporary_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process ids do: both are 1 there."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert len({unfinished_path(tmp_path / "x") for _ in range(100)}) == 100


def test_the_files_of_a_folder_reach_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a loss of power a folder of frames has all of them, or is not there."""
    written, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (written.append(os.fstat(file).st_ino), fsync(file)))
    partial = unfinished_path(tmp_path / "frames")
    (partial / "below").mkdir(parents=True)
    files = [partial / "0.png", partial / "below" / "1.png"]
    for path in files:
        path.write_bytes(b"frame")
    wanted = [path.stat().st_ino for path in (*files, partial)]
    put_in_place(partial, tmp_path / "frames")
    assert written[: len(wanted)] == wanted and written[-1] == tmp_path.stat().st_ino
    assert sorted(path.name for path in (tmp_path / "frames").rglob("*.png")) == ["0.png", "1.png"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").write_text("")
    with pytest.raises(StoreError, match="cannot write .*taken"):
        write_whole(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_pipe_is_written_and_stays_one(tmp_path: Path) -> None:
    """As `gate --junit /dev/stdout`, or `/dev/null`: a rename would put a file in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        write_whole(pipe, b"data")
        assert read.result(10) == b"data" and pipe.is_fifo() and len(list(tmp_path.iterdir())) == 1


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


def in_a_small_disk(code: str, path: Path, most: int) -> str:
    """What a program prints that may write files of `most` bytes, a full disk for anybody without rights."""
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    start = f"import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{limit}\n"
    command = [sys.executable, "-c", start + textwrap.dedent(code), path]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_full_disk_tears_no_line_and_the_next_one_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "results.jsonl"
    path.write_text("first\n")
    said = in_a_small_disk(
        """
        from latte_eval.core.errors import StoreError
        from latte_eval.files.jsonl import append_lines
        from pathlib import Path
        try:
            append_lines(Path(sys.argv[1]), ["x" * 50, "y" * 100])
        except StoreError as error:
            print(error)
        """,
        path,
        100,
    )
    assert "File too large; what was in it is kept" in said and path.read_text() == "first\n"
    append_lines(path, ["second"])
    assert path.read_text() == "first\nsecond\n"


def test_a_stop_while_a_line_is_written_takes_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.jsonl"
    append_lines(path, ["first"])

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jsonl, "to_disk", stop)
    with pytest.raises(KeyboardInterrupt):
        append_lines(path, ["second"])
    assert path.read_text() == "first\n"


def test_lines_go_to_what_is_no_file(tmp_path: Path) -> None:
    """As `gate --summary /dev/stdout | cat`: nothing can be cut back or brought to a disk there."""
    code = "from latte_eval.files.jsonl import *; append_lines(Path('/dev/stdout'), ['a', 'b'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a\nb\n"), done.stderr


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that loses power may leave an empty file under the name of a shard."""
    order: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append(kind_of(file)) or sync(file))
    monkeypatch.setattr(Path, "replace", lambda self, to: order.append("name") or replace(self, to))
    write_whole(tmp_path / "shard", b"data")
    assert order == ["file", "name", "folder"] and (tmp_path / "shard").read_bytes() == b"data"
    order.clear()
    write_replaceable(tmp_path / "picture", b"data")
    assert order == ["name"]


def kind_of(file: int) -> str:
    return "folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file"
