"""Exit statuses: 1 is a regression and nothing else, and one table stands in code, help, docs and workflows."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import latte_eval
from repository import ROOT

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
        (ZeroDivisionError("division by zero"), 70, "Traceback"),
        (RuntimeError("shape mismatch"), 70, "fault of it"),
    ],
)
def test_no_failure_exits_with_1(error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, text = ends_with(error, monkeypatch)
    assert found == status and said in text


def test_every_error_of_the_library_has_a_status_of_the_table() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    found = {each.exit_code for each in kinds if issubclass(each, errors.LatteEvalError)}
    assert found == {Status.FAILED, Status.USAGE, Status.NOT_COMPARABLE}


def test_a_reader_that_goes_away_is_no_regression() -> None:
    """As `| head` does: the pipe has no reader when the command prints."""
    script = f"{sys.executable} -m latte_eval table2 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT)
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
