"""docs/python.md: every block of Python and every command is run, in a folder that has what they name, in miniature."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from quick_detectors import quick_detectors
from repository import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    quick_detectors(monkeypatch)
    clips = np.stack([np.roll(moving_frames(16, 32, 32), shift, axis=1) for shift in range(8)])
    np.save("samples.npy", clips)
    np.savez("samples.npz", clips=clips, masks=np.zeros((8, 16, 32, 32, 1)))
    for number, clip in enumerate(clips):
        write_frames(tmp_path / f"generated/{number}", clip)
        write_frames(tmp_path / f"data/UCF-101/{number}", clip // 2)
    return tmp_path


def test_every_block_of_python_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, scope)
    printed = capsys.readouterr().out
    assert "array [8, 16, 32, 32, 3] uint8, sha256 " in printed
    refused = r"fake: float64 from -1 to \S+: store uint8, such as \(\(x \+ 1\) \* 127.5\).round\(\).astype\('uint8'\)"
    assert re.search(refused, printed)


def test_every_command_runs(workplace: Path) -> None:
    for line in "".join(blocks("sh")).splitlines():
        done = latte_eval(*shlex.split(line)[1:], "--quiet", "--device", "cpu")
        assert done.returncode == 0, done.stderr
