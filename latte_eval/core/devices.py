"""Where networks run: the device that somebody asked for, and those that torch can use on this machine."""

from __future__ import annotations

from latte_eval.core.errors import UsageError
from latte_eval.core.processes import local_device

AUTO = "auto"


def resolved_device(device: str | None) -> str:
    """The device that was asked for; by default a CUDA GPU, and for `auto` any accelerator, where there is one.

    Raises `UsageError` for one that is absent, with those that this machine has.
    """
    import torch

    if device is None:
        return local_device("cuda" if torch.cuda.is_available() else "cpu")
    there = available_devices()
    if device == AUTO:
        return local_device(there[1] if len(there) > 1 else "cpu")
    if device not in there:
        known = "not there" if is_device(device) else "unknown"
        raise UsageError(f"--device {device} is {known}: torch has {', '.join(there)}")
    return local_device(device)


def is_device(name: str) -> bool:
    """Whether torch knows a device of this name, on this machine or on another."""
    import torch

    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True


def available_devices() -> list[str]:
    """Names that `--device` takes on this machine: `cpu`, and `cuda`, `cuda:0`, `mps`, ... of what torch can use."""
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    numbered = [f"{found.type}:{i}" for i in range(torch.accelerator.device_count())] if found else []
    return ["cpu", *([found.type] if found else []), *numbered]
