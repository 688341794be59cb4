"""Named pipes: to open one waits for a writer that may never come."""

from __future__ import annotations

import stat
from pathlib import Path

# Where a shell hands over a pipe that has its writer, as in `compare <(ssh host cat results.jsonl) results.jsonl`.
HANDED_OVER = ("/dev/", "/proc/")


def is_waiting_pipe(path: str | Path) -> bool:
    """Whether reading `path` would wait for a writer that nobody has promised."""
    try:
        is_pipe = stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False
    return is_pipe and not str(Path(path).absolute()).startswith(HANDED_OVER)
