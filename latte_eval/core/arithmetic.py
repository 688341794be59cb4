"""Exact float32: no TF32 or bfloat16 in its place and no autocast; and the record of what numbers were computed with.

PyTorch has two sets of switches for the precision of float32, and raises where they contradict each other: the older
flags (`allow_tf32`, `set_float32_matmul_precision`) and, from 2.9 on, `fp32_precision` of everything, of a backend and
of an operation, where "none" means as the switch above says. A generator may have set either, or both.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Names below `torch.backends`: what others inherit from, then operations.
SHARED = ("", "cudnn", "mkldnn")
OPERATIONS = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
SDPA = ("flash", "mem_efficient", "math", "cudnn")


def to_float64(values: Tensor) -> Tensor:
    """The values in float64: where they are, or on the CPU where their device has no float64."""
    return values.double() if has_float64(str(values.device)) else values.cpu().double()


@cache
def has_float64(device: str) -> bool:
    """Whether a device computes in float64: MPS does not, and some cards of Intel do not."""
    import torch

    try:
        torch.ones(1, dtype=torch.float64, device=device).sum()
    except (TypeError, RuntimeError):
        return False
    return True


@contextmanager
def exact_float32() -> Iterator[None]:
    """Float32 is float32 inside, whatever the caller has set, and no gradients are kept.

    Afterwards every switch reads as before. One thing is lost: PyTorch lets cuDNN use TF32 until a shared switch is
    set, and cannot be told so again; afterwards cuDNN uses TF32 until its own switch is set.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(full_precision())
        for device in autocast_devices():
            stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.no_grad())
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Both sets of switches at full precision, so that neither contradicts the other.

    They are the process's, not the thread's: the first thread that comes in sets them, and the last that goes out sets
    them back.
    """
    with INSIDE.lock:
        if not INSIDE.threads:
            INSIDE.before = set_full_precision()
        INSIDE.threads += 1
    try:
        yield
    finally:
        with INSIDE.lock:
            INSIDE.threads -= 1
            if not INSIDE.threads:
                set_back(*INSIDE.before)


class Inside:
    """How many uses of `full_precision` there are now, and what every switch was before the first.

    It mirrors what the switches of the process are, and changes no result.
    """

    def __init__(self) -> None:
        self.lock, self.threads = threading.Lock(), 0
        self.before: tuple[tuple[str, bool], dict[str, str]] = (("", False), {})


INSIDE = Inside()


def set_full_precision() -> tuple[tuple[str, bool], dict[str, str]]:
    """What the older switches and the newer ones were."""
    import torch

    newer = take_newer_switches() if has_newer_switches() else {}
    older = torch.get_float32_matmul_precision(), cudnn_allows_tf32()
    set_older_switches("highest", False)
    if newer:
        set_switch("", "ieee")
    return older, newer


def set_back(older: tuple[str, bool], newer: dict[str, str]) -> None:
    set_older_switches(*older)  # first, because it moves newer ones
    for name, value in newer.items():
        set_switch(name, value)


def has_newer_switches() -> bool:
    import torch

    return hasattr(torch.backends, "fp32_precision")


def take_newer_switches() -> dict[str, str]:
    """What every newer switch was set to; shared ones are "none" from here on, operations "ieee".

    A switch that is not set reads as the one above it, so those are cleared before.
    """
    found = {}
    for names, value in ((SHARED, "none"), (OPERATIONS, "ieee")):
        for name in names:
            found[name] = get_switch(name)
            set_switch(name, value)
    return found


def switch_holder(name: str) -> Any:
    import torch

    return reduce(getattr, filter(None, name.split(".")), torch.backends)


def get_switch(name: str) -> str:
    return str(switch_holder(name).fp32_precision)


def set_switch(name: str, value: str) -> None:
    if name == "mkldnn":  # setting its attribute sets the switch of everything
        switch_holder(name).set_flags(_fp32_precision=value)
    else:
        switch_holder(name).fp32_precision = value


def cudnn_allows_tf32() -> bool:
    """The older flag, while the newer switches, if any, say "ieee": then it cannot be read where it is True."""
    import torch

    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return True


def set_older_switches(matmul_precision: str, cudnn_tf32: bool) -> None:
    import torch

    torch.set_float32_matmul_precision(matmul_precision)
    torch.backends.cudnn.allow_tf32 = cudnn_tf32


def autocast_devices() -> list[str]:
    """Types of device on which a caller may have switched autocast on."""
    import torch

    accelerator = torch.accelerator.current_accelerator()
    return list(dict.fromkeys(["cpu", "cuda", *([accelerator.type] if accelerator else [])]))


def arithmetic_record() -> dict[str, Any]:
    """What numbers were computed with, in JSON types.

    `tf32`, `reduced_float32` (operations that take fewer bits than float32 has), `matmul_precision` and `autocast` are
    those under which sampler, VAE and detectors run. `process` holds the same as the process has them: a generator
    runs under those. `attention` lists the kernels that may be chosen.
    """
    import torch

    process = precision_record()
    with exact_float32():
        inside = precision_record()
    return {
        **inside,
        "detectors": "float32",
        "attention": [name for name in SDPA if getattr(torch.backends.cuda, f"{name}_sdp_enabled")()],
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "mkldnn_deterministic": torch.backends.mkldnn.deterministic,
        "process": process,
    }


def precision_record() -> dict[str, Any]:
    """The precision of float32 and autocast as they are set now."""
    import torch

    reduced = reduced_operations()
    autocast = [
        f"{device} {str(torch.get_autocast_dtype(device)).removeprefix('torch.')}"
        for device in autocast_devices()
        if torch.is_autocast_enabled(device)
    ]
    return {"tf32": any(each.endswith("tf32") for each in reduced), "reduced_float32": reduced,
            "matmul_precision": matmul_precision(), "autocast": autocast}  # fmt: skip


def reduced_operations() -> list[str]:
    """Operations that compute float32 with fewer bits, such as `cudnn.conv tf32`."""
    import torch

    if has_newer_switches():
        found = {name: get_switch(name) for name in OPERATIONS}
        return [f"{name} {value}" for name, value in found.items() if value in ("tf32", "bf16")]
    older = {"cuda.matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32}
    return [f"{name} tf32" for name, allowed in older.items() if allowed]


def matmul_precision() -> str:
    """The older switch of matrix products; `mixed` where the newer ones contradict it."""
    import torch

    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return "mixed"
