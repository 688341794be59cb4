"""What a number was measured with: version and commit of the code, versions and hardware of the machine."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import latte_eval
from latte_eval.core.arithmetic import arithmetic_record
from latte_eval.core.processes import world_size

CHECKOUT = Path(latte_eval.__file__).parent.parent


@cache
def code_record() -> dict[str, Any]:
    """Version of latte-eval; commit and dirty state where it runs from a checkout."""
    inside = (CHECKOUT / ".git").exists()
    commit = git("rev-parse", "HEAD", folder=CHECKOUT) if inside else ""
    dirty = bool(git("status", "--porcelain", "--untracked-files=no", folder=CHECKOUT)) if commit else None
    return {"version": latte_eval.__version__, "commit": commit or None, "dirty": dirty}


def git(*arguments: str, folder: Path | None = None) -> str:
    """Output of a git command about a folder, by default the current one; empty where git cannot answer."""
    place = ["-C", str(folder)] if folder else []
    try:
        done = subprocess.run(["git", *place, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment_record() -> dict[str, Any]:
    """Versions, hardware and arithmetic that a number may depend on."""
    return {**machine_record(), "arithmetic": arithmetic_record()}


@cache
def machine_record() -> dict[str, Any]:
    """Versions and hardware, which stay while the process runs."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pillow", "av", "diffusers")}
    return {
        "python": platform.python_version(),
        **versions,
        "cuda": torch.version.cuda if gpu else None,
        "gpu": gpu,
        "platform": "-".join((platform.system(), platform.machine(), *platform.libc_ver())).rstrip("-"),
        "world": world_size(),
    }
