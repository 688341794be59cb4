"""A short seeded slice of every siege holds, and their runner sees every kind of bad end.

Each slice has a process of its own: trials are forked, and a fork of a process in which torch has used several threads
waits for threads that it does not have.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="trials run in forked processes")
@pytest.mark.parametrize("name", ["slice_of_input", "slice_of_state"])
def test_the_slice_holds(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / f"{name}.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
