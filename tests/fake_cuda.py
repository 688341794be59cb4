"""A GPU that is not there: fake tensors know shape, type and device, and hold no values and no memory.

Every operation runs with the rules of its device. What reads a value (`.item()`, boolean indexing) fails by itself;
`NoWaiting` refuses in addition what a GPU would do but slowly or in another type than meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latte_eval.sampler import guidance, vae
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.sources import DTYPES, SampledSource

CUDA = "cuda:0"
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Waits(RuntimeError):
    """The host would wait for the device."""


class MixedTypes(RuntimeError):
    """One operation takes tensors of two floating types: the wider one wins, or a kernel refuses."""


class NoWaiting(TorchDispatchMode):
    """Refuse copies that make the host wait, and operations on two floating types."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        out = func(*args, **(kwargs or {}))
        if func in COPIES:
            check_copy(func, given[-1].device, tree_leaves(out)[0].device, args, kwargs or {})
        else:
            found = {str(each.dtype) for each in given if each.is_floating_point()}
            if len(found) > 1:
                raise MixedTypes(f"{func} takes {' and '.join(sorted(found))}")
        return out


def check_copy(func: Any, source: torch.device, target: torch.device, args: Any, kwargs: Any) -> None:
    """From the device always waits; to the device only without `non_blocking`."""
    at_once = kwargs.get("non_blocking", False) or (func is torch.ops.aten.copy_.default and any(args[2:3]))
    if source.type != target.type and (target.type == "cpu" or not at_once):
        raise Waits(f"{func} from {source.type} to {target.type}")


def asks_for_a_driver() -> bool:
    """Whether this torch looks for the driver where a fake tensor is indexed, as 2.8 does: it fakes no GPU then."""
    with FakeTensorMode():
        try:
            torch.empty(2, device=CUDA)[:, None]
        except RuntimeError:
            return True
    return False


def with_fake_weights(module: Any, dtype: torch.dtype = torch.float32) -> Any:
    """The module with fake tensors of this type on the GPU for its parameters and buffers; inside `FakeTensorMode`."""
    for each in module.modules():
        for name, value in each._parameters.items():
            if value is not None:
                # `Module.to` cannot swap a fake tensor of a shape that the mode has not seen before, so one goes first.
                nn.Parameter(fake_parameter(value, dtype), False)
                each._parameters[name] = fake_parameter(value, dtype)
        for name, value in each._buffers.items():
            if value is not None:
                each._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
    return module


def fake_parameter(like: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.empty(like.shape, dtype=dtype, device=CUDA), False)


@contextmanager
def fake_gpu(monkeypatch: Any, free: int = 2**34) -> Iterator[list[str]]:
    """Inside, `cuda:0` exists for fake tensors; yields a list that grows by the place whenever the host waits.

    Three places of the package are allowed for, and no others: `Generator`s draw labels on the CPU before the first
    step, `to_host` reads what is finished, and the step of a guidance interval is read from a tensor on the CPU.
    """
    waits: list[str] = []

    def to_host(x: Tensor) -> Tensor:
        waits.append(f"{x.dtype} of {x.device.type}".removeprefix("torch."))
        if x.dtype == torch.bool:  # its values are read: pretend that all are finite
            with unset_fake_temporarily():
                return torch.ones(tuple(x.shape), dtype=torch.bool)
        return torch.empty(x.shape, dtype=x.dtype)

    def step_of(timesteps: Tensor) -> int:
        assert timesteps.device.type == "cpu", "reading a timestep waits for the device"
        return 500

    def pin_memory(x: Tensor) -> Tensor:  # fake tensors cannot be pinned
        assert x.device.type == "cpu"
        return x

    for place in ("vae", "sources"):
        monkeypatch.setattr(f"latte_eval.sampler.{place}.to_host", to_host)
    monkeypatch.setattr(guidance, "step_of", step_of)
    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    # Of the network counted on the meta device, and of threads, fake tensors know nothing.
    monkeypatch.setattr("latte_eval.sampler.sources.compiling_pays", lambda *args: False)
    monkeypatch.setattr("latte_eval.sampler.sources.drawn_ahead", lambda draw: iter(draw, None))
    monkeypatch.setattr(vae, "free_bytes", lambda device: free)
    monkeypatch.setattr(vae, "frame_bytes", outside(vae.frame_bytes))
    monkeypatch.setattr(SampledSource, "generator", outside(SampledSource.generator))
    with MODE, NoWaiting():
        yield waits


# One for all tests: it remembers the operations that it has seen.
MODE = FakeTensorMode()


def outside(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs on real tensors, whatever mode is on."""

    def real(*args: Any) -> Any:
        with unset_fake_temporarily():
            return function(*args)

    return real


def fake_latte(config: LatteConfig, dtype: str) -> Latte:
    """A Latte without memory on the GPU, in the type that `SampledSource` brings it to."""
    with unset_fake_temporarily(), torch.device("meta"):
        model = Latte(config).eval()
    return with_fake_weights(model, DTYPES[dtype])
