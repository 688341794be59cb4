"""Every switch of PyTorch that moves the precision of float32, for tests: set one, read all, reset all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from latte_eval.core.arithmetic import OPERATIONS, SHARED, has_newer_switches

NEWER = pytest.mark.skipif(not has_newer_switches(), reason="switches of PyTorch 2.9")


def attribute(path: str, value: Any) -> Callable[[], None]:
    *holders, name = path.split(".")

    def switch() -> None:
        holder = torch.backends
        for each in holders:
            holder = getattr(holder, each)
        setattr(holder, name, value)

    return switch


def mixed() -> None:
    """The older switch of matrix products says one thing, the newer one another."""
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.fp32_precision = "ieee"


SWITCHES = {
    "older matmul": attribute("cuda.matmul.allow_tf32", True),
    "older cudnn": attribute("cudnn.allow_tf32", False),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
}
NEWER_SWITCHES = {
    **{f"{name or 'all'} {value}": attribute(f"{name}.fp32_precision".lstrip("."), value)
       for name in (*SHARED, *OPERATIONS) for value in ("ieee", "bf16" if name.startswith("mkldnn") else "tf32")},
    "mkldnn alone": lambda: torch.backends.mkldnn.set_flags(_fp32_precision="bf16"),
    "mixed": mixed,
}  # fmt: skip
ALL: list[Any] = [*SWITCHES, *(pytest.param(name, marks=NEWER) for name in NEWER_SWITCHES)]


def reset() -> None:
    """All switches as PyTorch has them."""
    if has_newer_switches():
        torch.backends.mkldnn.set_flags(_fp32_precision="none")
        for name in (*SHARED[:2], *OPERATIONS):
            attribute(f"{name}.fp32_precision".lstrip("."), "none")()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def state() -> dict[str, Any]:
    """Every switch as it reads; those that cannot be read are `unreadable`."""
    readers: dict[str, Callable[[], Any]] = {
        "matmul": torch.get_float32_matmul_precision,
        "older matmul": lambda: torch.backends.cuda.matmul.allow_tf32,
        "older cudnn": lambda: torch.backends.cudnn.allow_tf32,
        "autocast": lambda: torch.is_autocast_enabled("cpu"),
    }
    if has_newer_switches():
        readers |= {f"newer {name}": lambda name=name: value_of(name) for name in (*SHARED, *OPERATIONS)}
    found: dict[str, Any] = dict.fromkeys(readers, "unreadable")
    for name, read in readers.items():
        with contextlib.suppress(RuntimeError):
            found[name] = read()
    return found


def value_of(name: str) -> str:
    holder: Any = torch.backends
    for each in filter(None, name.split(".")):
        holder = getattr(holder, each)
    return str(holder.fp32_precision)
