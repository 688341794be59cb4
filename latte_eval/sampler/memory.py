"""Memory that sampling needs at its peak, counted without weights or memory: the real loop on the meta device.

`LiveBytes` follows every block that an operation allocates until it is freed, so what is counted is what the code does,
and no formula has to follow it. Three things are not counted: what a library allocates inside one operation, such as
the workspaces of cuDNN; blocks that the allocator of torch keeps or cannot reuse; and the CUDA context, 0.3 to 0.5 GiB.
`SHARE` of the free memory leaves room for them, and for the batch before, which is decoded and looked at meanwhile.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latte_eval.core.arithmetic import exact_float32
from latte_eval.sampler.cost import on_meta
from latte_eval.sampler.diffusion import DTYPES, make_schedule, sample_steps
from latte_eval.sampler.families import with_depth
from latte_eval.sampler.guidance import Guidance, guided_denoiser
from latte_eval.sampler.model import ModelConfig, VideoModel

# Of free memory, what a batch may take by this count. Half of the rest is for decoding the batch before.
SHARE = 0.7


class LiveBytes(TorchDispatchMode):
    """Bytes of the storages that were made inside and are alive: `now`, and the largest sum so far, `peak`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id_of(leaf) for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and id_of(leaf) not in given:
                self.follow(leaf.untyped_storage())
        return out

    def follow(self, storage: torch.UntypedStorage) -> None:
        """Count a storage that no operation has seen before, until it is freed."""
        if storage._cdata in self.alive:
            return
        self.alive.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.forget, storage._cdata, storage.nbytes())

    def forget(self, name: int, size: int) -> None:
        self.alive.discard(name)
        self.now -= size


def id_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class FusedAttention(TorchFunctionMode):
    """Attention on the meta device allocates what a fused kernel does: its output, and one float32 per row and head.

    Without this it would be taken apart, and the matrix of scores counted, which no fused kernel keeps.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query = args[0]
        row_sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        del row_sums
        return out


def peak_bytes(function: Callable[[], Any]) -> int:
    """The most bytes that are alive at once while `function` runs, beyond what it is given."""
    with exact_float32(), FusedAttention(), LiveBytes() as live:
        out = function()
        del out
    return live.peak


@dataclass(frozen=True)
class StepMemory:
    """What a step of sampling needs: weights + fixed + clips * clip bytes.

    Attributes:
        weights: of the model.
        fixed: beside the weights, for any number of clips.
        clip: for every clip of the batch.
    """

    weights: int
    fixed: int
    clip: int

    def total(self, clips: int) -> int:
        return self.weights + self.beside_weights(clips)

    def beside_weights(self, clips: int) -> int:
        """For a model that is on the device already."""
        return self.fixed + clips * self.clip

    def clips_in(self, free: int) -> int:
        """Clips whose step fits into `SHARE` of what is free beside the weights; at least 1."""
        return max(1, (int(free * SHARE) - self.fixed) // self.clip)


@cache
def step_memory(config: ModelConfig, dtype: str, guided: bool, method: str = "ddpm") -> StepMemory:
    """Memory of a step, from the peaks of the loop for one clip and for two."""
    weights = sum(value.numel() for value in on_meta(config).state_dict().values()) * DTYPES[dtype].itemsize
    # Blocks run one after the other and keep nothing, so two of them (in space, over time) have the peak of all.
    model = on_meta(with_depth(config, 2)).to(DTYPES[dtype]).requires_grad_(False).eval()
    one, two = (loop_bytes(model, clips, dtype, guided, method) for clips in (1, 2))
    return StepMemory(weights, max(0, 2 * one - two), two - one)


def loop_bytes(model: VideoModel, clips: int, dtype: str, guided: bool, method: str = "ddpm") -> int:
    """The peak of two steps beside the weights; `model` on the meta device. The second remembers the first."""
    c = model.config
    shape = (clips, c.frames, c.channels, c.input_size, c.input_size)
    labels = torch.zeros(clips, dtype=torch.long, device="meta") if c.classes is not None else None
    scale = 2.0 if guided and c.classes is not None and c.null_row else 1.0
    denoiser = guided_denoiser(model, labels, Guidance(scale))

    def noise(step: int = 0) -> Tensor:
        return torch.empty(shape, device="meta")

    def loop() -> None:
        typed = lambda x, timesteps: denoiser(x.to(DTYPES[dtype]), timesteps)  # noqa: E731
        for _ in sample_steps(typed, noise(), make_schedule(2), noise, sampler=method):
            pass

    return peak_bytes(loop)


def free_bytes(device: torch.device) -> int:
    """Free memory of a CUDA device: what the driver has, and what torch holds without using it."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


def gib(count: int) -> str:
    """Bytes as a person reads them: `27.4 GiB`, `0.20 GiB`, `96.0 MiB`."""
    size = count / 2**30
    if size < 0.1:
        return f"{count / 2**20:,.1f} MiB"
    return f"{size:,.1f} GiB" if size >= 10 else f"{size:.2f} GiB"
