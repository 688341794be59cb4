"""The group of processes that torchrun announces."""

from __future__ import annotations

import os

import pytest
import torch.distributed

from latte_eval.core.processes import process_group


def test_what_a_backend_says_on_stdout_is_no_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Compiled code writes to the descriptor: Python's own stdout knows nothing of it."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend: os.write(1, b"Rank 0 is connected\n"))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with process_group("cpu"):
        print("the output")
    assert capfd.readouterr() == ("the output\n", "Rank 0 is connected\n")
