"""docs/python.md: every block of Python and every command is run, in a folder that has what they name, in miniature."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from pages import code_blocks, write_two_folders
from quick_detectors import quick_detectors
from repository import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    quick_detectors(monkeypatch)
    clips = write_two_folders(tmp_path)
    np.save("samples.npy", clips)
    np.savez("samples.npz", clips=clips, masks=np.zeros((8, 16, 32, 32, 1)))
    return tmp_path


def test_every_block_of_python_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    for block in code_blocks(PAGE, "python"):
        exec(block, scope)
    printed = capsys.readouterr().out
    assert "array [8, 16, 32, 32, 3] uint8, sha256 " in printed
    refused = r"fake: float64 from -1 to \S+: store uint8, such as \(\(x \+ 1\) \* 127.5\).round\(\).astype\('uint8'\)"
    assert re.search(refused, printed)


def test_every_command_runs(workplace: Path) -> None:
    for line in "".join(code_blocks(PAGE, "sh")).splitlines():
        done = latte_eval(*shlex.split(line)[1:], "--quiet", "--device", "cpu")
        assert done.returncode == 0, done.stderr
