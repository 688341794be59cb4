"""The speed script of the readers runs; the speed itself is not tested."""

from __future__ import annotations

import subprocess
import sys

import pytest
from repository import ROOT

SCRIPT = ROOT / "benchmarks" / "speed" / "readers.py"


@pytest.mark.skipif(not SCRIPT.is_file(), reason="the speed scripts are not installed")
def test_help() -> None:
    shown = subprocess.run([sys.executable, SCRIPT, "--help"], check=True, capture_output=True, text=True).stdout
    assert "JPEG frames on disk" in shown and "--videos" in shown
