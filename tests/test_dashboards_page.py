"""The pages about dashboards and training: their Python runs, and their commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import latte_eval
from pages import code_blocks
from repository import ROOT
from result_makers import make_result, write_results
from torch import Tensor
from toy_networks import ROWS

from latte_eval.metrics.detectors.base import DETECTORS

# A toy network takes a moment; tests/evaluation/test_metric_classes.py has the I3D.
TRAINING, DASHBOARDS = ((ROOT / f"docs/{name}.md").read_text() for name in ("training", "dashboards"))


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS.entries, "i3d-seeded", ROWS["toy-i3d"])


def test_the_loop_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Both blocks that measure."""
    for block in code_blocks(TRAINING, "python")[:2]:
        exec(block, {})
    told = capsys.readouterr().out
    assert "tensor(" in told and "0 FVD" in told and "1 FVD" in told and "KVD" in told


def test_the_module_of_lightning_logs_a_value() -> None:
    names: dict[str, Any] = {}
    exec(code_blocks(TRAINING, "python")[2], names)
    import torch

    logged: dict[str, Tensor] = {}
    module = names["VideoModel"]()
    module.sample = lambda count: torch.zeros(count, 10, 32, 32, 3, dtype=torch.uint8)
    module.log = logged.__setitem__
    module.validation_step(torch.full((2, 10, 32, 32, 3), 99, dtype=torch.uint8), 0)
    module.on_validation_epoch_end()
    assert logged["val/fvd"] > 0 and not module.fvd.real_rows and len(code_blocks(TRAINING, "python")) == 3


def test_the_frame_and_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'latte-eval[tensorboard]'")
    monkeypatch.chdir(tmp_path)
    write_results(tmp_path / "runs/ucf101/results.jsonl", make_result(), make_result(stem="clean"))
    (block,) = code_blocks(DASHBOARDS, "python")
    exec(block, {})
    lines = [line for block in code_blocks(DASHBOARDS, "sh") for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        words = [word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)]
        assert words.pop(0) == "latte-eval"
        if "--wandb" in words or "--mlflow" in words:  # tests/report/test_dashboards.py runs them
            continue
        done = latte_eval(*words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "README.md").exists() and list((tmp_path / "tb").iterdir())
