"""The group of processes that torchrun announces."""

from __future__ import annotations

import os

import pytest
import torch.distributed

from latte_eval.core.processes import cores_of_process, process_group


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


@pytest.mark.parametrize(("processes", "cores"), [("1", 16), ("4", 4), ("32", 1)])
def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch, processes: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert cores_of_process() == cores
