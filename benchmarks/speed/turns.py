"""Two networks on the same input, in turns, as one row of a markdown table."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.metrics.detectors.network import relative_difference

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Turns:
    """Outcome of a comparison.

    Attributes:
        native: items per second of the native network, in its best turn.
        baseline: the same of the baseline.
        apart: relative difference of what the two say.
    """

    native: float
    baseline: float
    apart: float

    def to_row(self, what: str, unit: str, device: str) -> str:
        """One row of markdown."""
        where = f"{platform.machine()}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
        return (
            f"| {what} | TorchScript {self.baseline:.2f} {unit}/s | {self.native:.2f} {unit}/s | "
            f"{self.native / self.baseline:.2f}x | relative difference {self.apart:.0e} | "
            f"{where}, load {os.getloadavg()[0]:.1f} |"
        )


def take_turns(native: Network, baseline: Network, batch: Tensor, repeats: int) -> Turns:
    """Let both look at the batch in turns. TorchScript optimises itself on its second call, which is not timed."""
    with exact_float32():
        apart = relative_difference(native(batch), baseline(batch))
        baseline(batch)
        turns = [(seconds_of(native, batch), seconds_of(baseline, batch)) for _ in range(repeats)]
    fast, slow = (len(batch) / min(seconds) for seconds in zip(*turns, strict=True))
    return Turns(fast, slow, apart)


def seconds_of(network: Network, batch: Tensor) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    network(batch).cpu()
    return time.perf_counter() - started
