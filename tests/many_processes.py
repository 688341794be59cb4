"""Commands in several processes: `torchrun` on this machine, or processes that a launcher of another kind starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from repository import ROOT

# Every word of a command line by itself; commands are separated by `then`.
COMMANDS = """
import sys
from latte_eval.cli import main
words = [*sys.argv[1:], "then"]
statuses = []
while words:
    place = words.index("then")
    sys.argv, words = ["latte-eval", *words[:place]], words[place + 1:]
    try:
        main()
    except SystemExit as end:
        statuses.append(int(end.code or 0))
print("statuses", *statuses, file=sys.stderr)
"""

# A process that claims the clips of its first range, says so, and hangs.
HANGS = """
import sys, time
import latte_eval.evaluation.extract as extract
def hang(source, detectors, run, spans, *more):
    print("claimed", next(iter(spans)), flush=True)
    time.sleep(600)
extract.store_spans = hang
"""


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more}


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    """Run torchrun on this machine, at a port that is free."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run([*launcher, *map(str, words)], capture_output=True, text=True, env=environment(), timeout=300)


def start_rank(rank: int, count: int, port: int, script: Path, *words: object) -> subprocess.Popen[str]:
    """A process as other launchers start it, such as those of Slurm or MPI: known by its environment alone."""
    known = {"RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(**{name: str(value) for name, value in known.items()}),
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
