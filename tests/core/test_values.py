"""Building a value reads no disk, runs no program and imports no torch."""

from __future__ import annotations

import subprocess
import sys

from repository import ROOT

SCRIPT = """
import builtins, io, os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from result_makers import make_result
from latte_eval import Protocol, Request, Result, named_protocol
from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.compare.comparable import Conditions, conditions_of
from latte_eval.core.features import Features
from latte_eval.evaluation.stats import StatsSource
from latte_eval.files.run_folder import RunFolder
BENCHMARKS.rows()

FORBIDDEN = ("open", "os.listdir", "os.scandir", "subprocess.Popen", "os.mkdir", "os.posix_spawn")

def refuse(event, arguments):
    if event in FORBIDDEN:
        raise RuntimeError(f"{{event}} {{arguments}}")

sys.addaudithook(refuse)
result = make_result()
Request(ckpt="x.pt", real=Path("absent"), benchmark="ucf101", detectors=("seeded",)).resolved_protocol()
conditions_of(result), Conditions({{}}), Protocol(), named_protocol("latte"), RunFolder("absent")
StatsSource(Path("absent"), {{}}), Features({{}}, [], [], [])
assert "torch" not in sys.modules, "torch is imported"
"""


def test_values_touch_nothing() -> None:
    script = SCRIPT.format(tests=str(ROOT / "tests"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
