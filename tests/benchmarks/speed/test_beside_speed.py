"""The script that times a whole pass runs; the speed itself is not tested."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from repository import ROOT

SCRIPT = ROOT / "benchmarks" / "speed" / "beside.py"
SMALL = {
    "device": "cpu", "model": "Latte-S/8", "dtype": "fp32", "vae": "vae-seeded", "detectors": "c3d-seeded",
    "clips": "2", "steps": "2", "batch-size": "1", "workers": "1",
}  # fmt: skip


@pytest.mark.skipif(not SCRIPT.is_file(), reason="the speed scripts are not installed")
def test_every_pass_has_a_row() -> None:
    command = [sys.executable, SCRIPT, *(f"--{name}={value}" for name, value in SMALL.items())]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^\| ([^|]+) \| [\d.]+ \| [\d.]+ \| [+-][\d.]+% \| - \|$", table, re.MULTILINE)
    assert rows == ["sampling alone", "everything, 1 workers"]
