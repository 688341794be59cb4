"""The hand-over of tensors between CUDA streams, against a CUDA that writes down what it is asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
import torch

from latte_eval.evaluation import streams
from latte_eval.evaluation.streams import Handed, Stream

LOG: list[str] = []


class FakeStream:
    def __init__(self, name: str):
        self.name = name

    def wait_stream(self, other: FakeStream) -> None:
        LOG.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: FakeEvent) -> None:
        LOG.append(f"{self.name} waits for the event of {event.name}")

    def record_event(self) -> FakeEvent:
        LOG.append(f"{self.name} records")
        return FakeEvent(self.name)


class FakeEvent(FakeStream):
    def synchronize(self) -> None:
        LOG.append(f"the host waits for the event of {self.name}")


class FakeTensor:
    def record_stream(self, stream: FakeStream) -> None:
        LOG.append(f"kept for {stream.name}")


@contextmanager
def current(stream: FakeStream) -> Any:
    LOG.append(f"on {stream.name}")
    yield
    LOG.append(f"off {stream.name}")


def test_a_tensor_is_waited_for_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    LOG.clear()
    names = iter(["sampling", "decoding"])
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(next(names)))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream("the caller's"))
    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(streams, "cuda_tensors", lambda value: [value] if isinstance(value, FakeTensor) else [])
    sampling, decoding, storing = Stream("cuda:0"), Stream("cuda:0"), Stream(None)
    latents = sampling.run(lambda given: FakeTensor(), Handed(None))
    clips = decoding.run(lambda given: "clips", latents)
    assert storing.run(lambda given: given + " stored", clips) == Handed("clips stored")
    assert LOG == [
        "sampling waits for the caller's", "decoding waits for the caller's",
        "on sampling", "sampling records", "off sampling",
        "on decoding", "decoding waits for the event of sampling", "kept for decoding", "decoding records",
        "off decoding", "the host waits for the event of decoding",
    ]  # fmt: skip


def test_tensors_are_found_alone_and_in_a_tuple() -> None:
    assert list(streams.cuda_tensors((torch.ones(2), "x"))) == [] == list(streams.cuda_tensors("x"))
    on_meta = type("OnCuda", (torch.Tensor,), {"is_cuda": True})
    tensor = torch.ones(2).as_subclass(on_meta)
    assert len(list(streams.cuda_tensors((tensor, [0])))) == len(list(streams.cuda_tensors(tensor))) == 1
