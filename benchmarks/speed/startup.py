"""How long commands take before their work begins, against `import torch` in the same run.

    python benchmarks/speed/startup.py

Every command is a new process, taken in turn with the others; printed is the median. `fvd` is ended where the first
clip would be read: checkpoints, detector and run folder are open by then.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

import click

FIRST_CLIP = """
import os, sys
from contextlib import contextmanager
from pathlib import Path
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.demo import evaluate_demo
from latte_eval.evaluation.request import Request

class UntilFirstClip(Reporter):
    @contextmanager
    def bar(self, title, total, unit="clips", batch=None):
        if total is not None:
            os._exit(0)
        yield lambda count: None

evaluate_demo(Request(ckpt="demo", clips=16, out=Path(sys.argv[1])), UntilFirstClip())
"""

COMMANDS = {
    "import torch": ["-c", "import torch"],
    "--help": ["-m", "latte_eval", "--help"],
    "table3": ["-m", "latte_eval", "table3"],
    "inspect demo": ["-m", "latte_eval", "inspect", "demo"],
    "fvd --ckpt demo --clips 16": ["-c", FIRST_CLIP],
}
BASELINE = "import torch"


@click.command()
@click.option("--repeat", default=5, show_default=True, help="Runs of each.")
def main(repeat: int) -> None:
    """Print seconds of every command, and their ratio to the baseline."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeat):
        for name, words in COMMANDS.items():
            times[name].append(seconds_of(words))
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, seconds in medians.items():
        click.echo(f"{name:<28} {seconds:6.2f} s {seconds / medians[BASELINE]:6.2f} x {BASELINE}")


def seconds_of(words: list[str]) -> float:
    """Of one process, with an empty run folder as its last argument where it is a script."""
    with tempfile.TemporaryDirectory() as run:
        command = [sys.executable, *words, *([run] if words[0] == "-c" else [])]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
