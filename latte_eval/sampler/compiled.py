"""Blocks of a network through `torch.compile`: fewer passes over memory between the matrix products.

Blocks are compiled one kind at a time: a Latte has two kinds and a VDT one, so two graphs serve any depth. Compiled
blocks answer as plain ones do, to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from latte_eval.core.errors import kind_and_first_line
from latte_eval.sampler.families import FAMILIES
from latte_eval.sampler.model import ModelConfig, run_block

# From so many operations on, sampling saves more seconds than compiling takes: 15 s on an H200, where 1e15 operations
# of Latte-XL/2 in bf16 take 3.5 s as they are and 2.2 s compiled (benchmarks/speed/RESULTS.md).
PAYS_FROM = 2e16

Say = Callable[[str], None]


class CompiledBlocks:
    """Stands in for `run_block`: compiles every kind of block and every shape once.

    Where compiling fails, for want of Triton or of a C compiler, it says so and all blocks run as they are.

    Args:
        say: takes sentences for a person.

    Attributes:
        seconds: that compiling has taken so far.
        failed: whether it failed.
    """

    def __init__(self, say: Say):
        self.say, self.seconds, self.failed, self.largest = say, 0.0, False, 0
        self.run = torch.compile(run_block, dynamic=False)
        self.known: set[object] = set()

    def serves(self, clips: int) -> bool:
        """Whether a batch of this size is to be compiled.

        One that is smaller than a batch before it is not: it is the last of its kind, and done before it is compiled.
        """
        self.largest = max(self.largest, clips)
        return clips == self.largest and not self.failed

    def __call__(self, block: nn.Module, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
        kind = block.route, tuple(x.shape)
        if self.failed:
            return run_block(block, x, condition, frames)
        if kind in self.known:
            return self.run(block, x, condition, frames)
        return self.first_run(kind, block, x, condition, frames)

    def first_run(self, kind: object, block: nn.Module, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
        """Compile, and run."""
        started = time.perf_counter()
        try:
            out = self.run(block, x, condition, frames)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers, drivers and linkers raise anything
            self.failed = True
            self.say(f"torch.compile failed, so blocks run as they are, at lower speed: {kind_and_first_line(error)}")
            return run_block(block, x, condition, frames)
        self.known.add(kind)
        self.seconds += time.perf_counter() - started
        return out

    def tell(self) -> None:
        """Say once how long compiling took, if it took a second: another model of the same shape compiles nothing."""
        if self.seconds >= 1:
            self.say(f"compiled the model in {self.seconds:.0f} s; --no-compile leaves it out")
            self.seconds = 0.0


def step_flops(config: ModelConfig) -> int:
    """Multiplications and additions of one clip in one step, without guidance."""
    return FAMILIES[config.family].forward_operations(config)


def compiling_pays(config: ModelConfig, steps: int, guided: bool, clips: int) -> bool:
    """Whether so many clips are worth the seconds that compiling takes."""
    return step_flops(config) * steps * (2 if guided else 1) * clips >= PAYS_FROM
