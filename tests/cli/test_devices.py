"""Which devices a command takes: those that torch can use on this machine."""

from __future__ import annotations

import pytest
import torch

from latte_eval.core.devices import available_devices, resolved_device
from latte_eval.core.errors import UsageError


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def pretend(monkeypatch: pytest.MonkeyPatch, kind: str, count: int) -> None:
    """Torch has so many accelerators of a kind, and no CUDA."""
    device = torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: device)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def one_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "mps", 1)


@pytest.mark.usefixtures("no_accelerator")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "gpu", "meta"])
def test_what_is_absent_is_refused_with_what_is_there(device: str) -> None:
    what = "unknown" if device == "gpu" else "not there"
    with pytest.raises(UsageError, match=f"^--device {device} is {what}: torch has cpu$"):
        resolved_device(device)
    assert resolved_device("cpu") == resolved_device(None) == "cpu"


@pytest.mark.usefixtures("one_mps")
def test_any_accelerator_of_torch_is_taken() -> None:
    assert available_devices() == ["cpu", "mps", "mps:0"] and resolved_device("mps") == "mps"
    with pytest.raises(UsageError, match="--device mps:1 is not there: torch has cpu, mps, mps:0"):
        resolved_device("mps:1")


@pytest.fixture
def two_xpus(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "xpu", 2)


@pytest.mark.usefixtures("two_xpus")
def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved_device("auto") == resolved_device("xpu") == "xpu:0" and resolved_device(None) == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert resolved_device("auto") == "xpu:1"
    with pytest.raises(UsageError, match="--device xpu:2 is not there: torch has cpu, xpu, xpu:0, xpu:1$"):
        resolved_device("xpu:2")


@pytest.mark.usefixtures("no_accelerator")
def test_auto_is_the_cpu_where_there_is_nothing_else() -> None:
    assert resolved_device("auto") == "cpu"
