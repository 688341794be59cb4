"""CUDA streams of stages that run beside each other, and the hand-over of tensors from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Handed:
    """What one stage hands to the next.

    Attributes:
        ready: a CUDA event after which its tensors hold their values; None where they do already.
    """

    value: Any
    ready: Any = None


class Stream:
    """The stream on which a stage runs; for a stage without a CUDA device, the thread it runs in."""

    def __init__(self, cuda: str | None):
        self.stream = new_stream(cuda) if cuda else None

    def run(self, work: Callable[[Any], Any], given: Handed) -> Handed:
        """`work` on this stream, after what was handed over is ready."""
        if self.stream is None:
            if given.ready is not None:
                given.ready.synchronize()
            return Handed(work(given.value))
        import torch

        with torch.cuda.stream(self.stream):
            take_over(given, self.stream)
            value = work(given.value)
            return Handed(value, self.stream.record_event())


def take_over(given: Handed, stream: Any) -> None:
    """Wait, on the device, for tensors of another stream, and keep their memory until this stream is through."""
    if given.ready is not None:
        stream.wait_event(given.ready)
    for tensor in cuda_tensors(given.value):
        tensor.record_stream(stream)


def new_stream(cuda: str) -> Any:
    """A stream that begins when what the caller has asked of the device is done: weights may be on their way to it."""
    import torch

    stream = torch.cuda.Stream(cuda)
    stream.wait_stream(torch.cuda.current_stream(cuda))
    return stream


def cuda_tensors(value: Any) -> Iterator[Any]:
    """The tensors on a CUDA device in a tensor or a tuple."""
    import torch

    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, torch.Tensor) and each.is_cuda:
            yield each
