"""Exit statuses: 1 is a regression and nothing else, and one table stands in code, help, docs and workflows."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import latte_eval
from repository import ROOT
from result_makers import make_result, write_results

from latte_eval.cli.stopping import continues
from latte_eval.cli.surroundings import Terminated, termination_raised
from latte_eval.core import errors
from latte_eval.core.statuses import MEANINGS, Status
from latte_eval.gate.verdict import EXIT

TEMPLATES = ROOT / "latte_eval/gate/templates"
WORKFLOWS = [
    ROOT / "action.yml",
    ROOT / ".github/workflows/gate.yml",
    TEMPLATES / "github.yml",
    TEMPLATES / "gitlab.yml",
]


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Status and stderr of a command on which `error` is raised."""

    @click.command()
    def breaks() -> None:
        raise error

    monkeypatch.setattr("latte_eval.cli.LazyGroup.get_command", lambda *_: breaks)
    done = latte_eval("inspect")
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (errors.StoreError("gone"), 5, "Error: gone\n"),
        (errors.UsageError("no"), 2, "Error: no\n"),
        (errors.NotComparable("differs"), 3, "Error: differs\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 5, "No space left on device; what was finished"),
        (MemoryError(), 5, "out of memory"),
        (RuntimeError("CUDA out of memory"), 5, "--batch-size"),
        (click.FileError("x"), 5, "Could not open file"),
        (KeyboardInterrupt(), 130, "Stopped"),
        (ZeroDivisionError("division by zero"), 70, "broke on ZeroDivisionError: division by zero; this is a fault"),
        (RuntimeError("shape mismatch"), 70, "fault of it"),
        (RecursionError(), 70, "fault of it"),
    ],
)
def test_no_failure_exits_with_1(error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, text = ends_with(error, monkeypatch)
    assert found == status and said in text


def test_a_fault_is_one_line_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    _, said = ends_with(ZeroDivisionError("division by zero"), monkeypatch)
    (log,) = (tmp_path / "cache").iterdir()
    assert said.count("\n") == 1 and said.endswith(f"please report it with {log}\n")
    text = log.read_text()
    assert text.startswith("latte-eval inspect\n") and "Traceback" in text and "raise error" in text


def test_a_fault_where_nothing_can_be_written_shows_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    status, said = ends_with(ZeroDivisionError("division by zero"), monkeypatch)
    assert status == 70 and "Traceback" in said and said.endswith("please report it\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_says_that_it_continues(number: int, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A job in the background ignores SIGINT, and its processes inherit that.
    was = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    before = signal.getsignal(number)

    @click.command()
    def stops() -> None:
        with continues("clips are kept"):
            os.kill(os.getpid(), number)
            time.sleep(5)

    monkeypatch.setattr("latte_eval.cli.LazyGroup.get_command", lambda *_: stops)
    done = latte_eval("inspect")
    after = signal.signal(number, was)
    assert done.returncode == status and after == before
    assert done.stderr.strip() == "Stopped: clips are kept"


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Terminated()])
def test_a_command_that_keeps_nothing_promises_nothing(stop: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends_with(stop, monkeypatch)[1].strip() == "Stopped"


def test_one_of_many_processes_says_that_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    status, said = ends_with(KeyboardInterrupt(), monkeypatch)
    assert status == Status.INTERRUPTED and not said.strip()


def test_a_process_of_torchrun_is_stopped_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives its claims back; the first process speaks for all."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Terminated), termination_raised():
        os.kill(os.getpid(), signal.SIGTERM)
    for rank, said in (("0", "Stopped\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert ends_with(Terminated(), monkeypatch) == (143, said)


@pytest.mark.parametrize(
    ("rank", "error", "said"),
    [("0", errors.StoreError("full"), "Error: full\n"),
     ("3", errors.StoreError("full"), "Error of rank 3 on near: full\n"),
     ("3", errors.UsageError("give one"), ""), ("3", errors.LostRank("rank 0 gave up", told_by_another=True), "")],
)  # fmt: skip
def test_each_error_of_many_processes_is_said_once(
    rank: str, error: errors.LatteEvalError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every process finds out by itself is said by the first; what befalls another one, by that."""
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr("latte_eval.cli.statuses.host", lambda: "near")
    assert ends_with(error, monkeypatch) == (error.exit_code, said)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("run") / "results.jsonl", make_result())


@pytest.mark.parametrize(
    ("command", "closed", "out", "err"),
    [("history", "2>&-", "300", ""), ("history", ">&-", "", ""), ("history absent", "2>&-", "", ""),
     ("history", "<&- >&- 2>&-", "", ""), ("report", "2>&-", "1 page, 1 result", "")],
)  # fmt: skip
def test_closed_streams(command: str, closed: str, out: str, err: str, results: Path, tmp_path: Path) -> None:
    """What is printed into one of them is lost, and nothing else: no file takes its number."""
    name, _, absent = command.partition(" ")
    words = f"{name} {results.with_name(absent) if absent else results} {'-o report' if name == 'report' else ''}"
    script = f"{sys.executable} -m latte_eval {words} {closed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (Status.FAILED if absent else Status.OK, err)
    assert out in done.stdout and bool(out) == bool(done.stdout)


@pytest.mark.parametrize(("words", "status"), [("history nothing.jsonl", 5), ("fvd", 2), ("bogus", 2)])
def test_a_stderr_that_is_full_changes_no_status(words: str, status: int) -> None:
    """Python itself would end with 1, which is a regression, or with 120."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    script = f"{sys.executable} -m latte_eval {words} 2> /dev/full"
    assert subprocess.run(["bash", "-c", script], capture_output=True, cwd=ROOT).returncode == status


def test_output_that_finds_no_room_is_an_error_said_once(results: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    script = f"{sys.executable} -m latte_eval history {results} > /dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == Status.FAILED and done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && {sys.executable} -m latte_eval doctor"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == Status.FAILED and done.stdout == ""
    assert done.stderr.startswith("Error: the current folder does not exist any more; cd to another")


@pytest.mark.parametrize(
    "command",
    [
        ["fvd", "--ckpt", "demo", "--out", ""], ["fvd", "--ckpt", ""], ["fvd", "--fake", "", "--real", "x"],
        ["fvd", "--ckpt", "demo", "--vae", ""], ["report", ""], ["report", "x", "-o", ""], ["history", ""],
        ["compare", "", "x"], ["gate", "--results", "", "--fail", "fvd:+1%"], ["gate", "accept", "x", "--into", ""],
        ["data", "check", "ucf101", ""], ["stats", "--real", "x", "--out", ""], ["inspect", ""],
        ["sample", "--ckpt", "demo", "--seeds", "0", "--out", ""], ["curve", "", "--real", "x"],
    ],
)  # fmt: skip
def test_an_empty_path_is_refused_in_one_line(command: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    """As a variable of a script gives it that was never set; it would mean the current folder."""
    monkeypatch.chdir(tmp_path)
    done = latte_eval(*command)
    assert done.returncode == Status.USAGE and done.stderr.count("\n") == 1, done.stderr
    assert "is empty: give a path" in done.stderr and not list(tmp_path.iterdir())


def test_every_error_of_the_library_has_a_status_of_the_table() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    found = {each.exit_code for each in kinds if issubclass(each, errors.LatteEvalError)}
    assert found == {Status.FAILED, Status.USAGE, Status.NOT_COMPARABLE}


def test_a_reader_that_goes_away_is_no_regression() -> None:
    """As `| head` does: the pipe has no reader when the command prints."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "latte_eval", "table2"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(writer)
    assert done.returncode == Status.FAILED and done.stderr == ""


def test_help_and_docs_have_the_table() -> None:
    page = (ROOT / "docs/gate.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page.partition("## Rules")[0], re.MULTILINE)
    assert {int(number): text for number, text in rows} == MEANINGS
    for command in (["-h"], ["gate", "-h"]):
        lines = [line.split(None, 1) for line in latte_eval(*command).stdout.partition("Exit status:")[2].splitlines()]
        said = {int(line[0]): line[1] for line in lines if line and line[0].isdigit()}
        assert said == MEANINGS, command


def test_the_verdicts_have_statuses_of_the_table() -> None:
    assert (EXIT["pass"], EXIT["regression"], EXIT["inconclusive"]) == (0, 1, 4)
    assert set(EXIT.values()) <= set(MEANINGS) and set(MEANINGS) == set(Status)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_tell_no_verdict_from_a_regression(file: Path) -> None:
    text = file.read_text()
    assert f"{Status.FAILED}|{Status.FAULT})" in text
    assert f'"$status" = {Status.INCONCLUSIVE} ]' in text or f"exit_codes: [{Status.INCONCLUSIVE}]" in text
