"""`Benchmark`: what a number can be measured on, one row each, and the table of these rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte_eval.core.clips import ClipSource
from latte_eval.core.protocol import Protocol
from latte_eval.core.registry import Registry

if TYPE_CHECKING:
    from latte_eval.sampler.model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Benchmark(ABC):
    """A protocol, the real clips, and how a checkpoint is sampled for them.

    Attributes:
        name, title: for the command line and for people.
        classes: names in label order; empty where there are none.
        checkpoints: names of shipped checkpoints that are measured on it unless a person names another benchmark.
        seeded_detectors: whether its numbers mean nothing elsewhere, so that seeded detectors are the default.
        needs_folder: whether its real clips are read from a folder.
    """

    name: str
    title: str
    classes: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    seeded_detectors: bool = False
    needs_folder: bool = True

    @property
    @abstractmethod
    def sampler(self) -> dict[str, Any]:
        """How a checkpoint is sampled where nobody says otherwise: method, steps, guidance_scale, clip_x0;
        and a dtype where it is the same on every device.
        """

    @abstractmethod
    def protocol(self, name: str | None = None) -> Protocol:
        """The protocol of this name on this benchmark; None is the benchmark's default. Raises `ProtocolError`."""

    @abstractmethod
    def open_real(
        self, folder: Path | None, protocol: Protocol, seed: int, progress: Callable[[int], None]
    ) -> ClipSource:
        """The real clips. Raises `UsageError` without a folder where one is needed, `ClipError` for a wrong one."""

    @property
    def honours(self) -> frozenset[str]:
        """Fields of the protocol, beside those of its source, that shape its real clips; others cannot be set."""
        return frozenset()

    @property
    def clip_shape(self) -> tuple[int | None, int | None]:
        """Frames of its real clips and side of their frames, where they are fixed; None where the protocol decides."""
        return None, None

    @abstractmethod
    def fits(self, config: ModelConfig) -> bool:
        """Whether a checkpoint of these sizes can have been trained on it."""

    @abstractmethod
    def check_classes(self, classes: int | None) -> None:
        """Raise `UsageError` unless a checkpoint with so many classes can be compared; None is unconditional."""


BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    {
        "faceforensics": "latte_eval.benchmarks.datasets.faceforensics:FACEFORENSICS",
        "skytimelapse": "latte_eval.benchmarks.datasets.skytimelapse:SKYTIMELAPSE",
        "taichi-hd": "latte_eval.benchmarks.datasets.taichi_hd:TAICHI_HD",
        "ucf101": "latte_eval.benchmarks.datasets.ucf101:UCF101",
        "shapes": "latte_eval.benchmarks.shapes.benchmark:SHAPES",
    },
)


def benchmark_of_checkpoint(name: str | None) -> str | None:
    """The benchmark that a shipped checkpoint belongs to; None for any other checkpoint."""
    return next((row.name for row in BENCHMARKS.rows() if name in row.checkpoints), None)
