"""docs/coming-from.md: our blocks run, those of other tools are Python at least, and lines are counted as it says."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from pages import code_blocks, write_two_folders
from quick_detectors import quick_detectors
from repository import ROOT
from toy_networks import FRAME_OUTPUTS, ROWS

from latte_eval.evaluation import metric_classes
from latte_eval.metrics.detectors.base import DETECTORS

PAGE = (ROOT / "docs" / "coming-from.md").read_text()

KINDS = ("py", "python")  # of other tools, ours


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of frames and two of videos."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    quick_detectors(monkeypatch)
    write_two_folders(tmp_path)
    write_frames(tmp_path / "frames/fake", moving_frames(9, 32, 32))
    write_frames(tmp_path / "frames/real", moving_frames(9, 32, 32) // 3)
    return tmp_path


def test_our_blocks_run(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(DETECTORS.entries, "toy-inception", ROWS["toy-inception"])
    monkeypatch.setattr(metric_classes, "name_detector", lambda *_: "toy-inception")
    monkeypatch.setattr(metric_classes.FID, "dimensions", FRAME_OUTPUTS)
    batches = [torch.randint(0, 256, (2, 2, 16, 32, 32, 3), dtype=torch.uint8) for _ in range(2)]
    for block in code_blocks(PAGE, "python"):
        exec(block, scope := {"batches": batches})
    assert not scope["metric"].real_rows
    printed = capsys.readouterr().out
    assert printed.count("fid ") == 1 and printed.count("fvd ") == 1 and "tensor(" in printed


def test_our_commands_give_what_our_lines_give(workplace: Path) -> None:
    scope: dict[str, Any] = {}
    for command, block in zip(code_blocks(PAGE, "sh"), code_blocks(PAGE, "python")[:2], strict=True):
        done = latte_eval(*shlex.split(command)[1:], "--quiet", "--device", "cpu", "--json")
        assert done.returncode == 0, done.stderr
        exec(block.replace("print(", "result = ("), scope)
        assert f'"value": {scope["result"].value}' in done.stdout


def test_lines_are_as_many_as_the_page_says() -> None:
    theirs, ours = (
        [len(block.replace("\n\n", "\n").splitlines()) for block in code_blocks(PAGE, kind)]
        for kind in ("py", "python")
    )
    rows = re.findall(r"^\| F.*, (\d+) lines \| .*?(\d+) lines", PAGE, re.MULTILINE)
    assert [(int(there), int(here)) for there, here in rows] == list(zip(theirs, ours, strict=True))
    for block in code_blocks(PAGE, "py"):
        ast.parse(block)
