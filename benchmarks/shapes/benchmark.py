"""The row of the embedded benchmark: real clips that are drawn, and the shipped checkpoints that belong to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte_eval.benchmarks.benchmark import Benchmark
from latte_eval.benchmarks.shapes.draw import CLASSES, FRAMES, SIZE
from latte_eval.core.choices import check_choice
from latte_eval.core.errors import ProtocolError, UsageError
from latte_eval.core.protocol import PUBLISHED_CLIPS, Protocol
from latte_eval.core.protocols import PROTOCOLS

if TYPE_CHECKING:
    from latte_eval.benchmarks.shapes.sources import ShapesSource
    from latte_eval.sampler.model import ModelConfig

CLIPS = 64

# What can be drawn: `train` is what the shipped checkpoints have seen.
SPLITS = ("train", "test")

# Drawn at its own size and read as it is; the test split is independent of what the shipped checkpoints have seen.
DEMO = Protocol(
    stem="demo", benchmark="shapes", size=None, crop="none", real_split="test", real_clips=CLIPS, fake_clips=CLIPS,
    real_offset="zero",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shapes(Benchmark):
    """Four moving shapes, small enough to train and evaluate on a laptop."""

    @property
    def sampler(self) -> dict[str, Any]:
        """A model of this size strays without clipping, and 50 DDIM steps are enough for it.

        In float32 on every device: its numbers show that all is in order, and it is small enough to take no time.
        """
        return {"method": "ddim", "steps": 50, "guidance_scale": 1.0, "clip_x0": True, "dtype": "fp32"}

    @property
    def honours(self) -> frozenset[str]:
        """Clips are drawn at one size, whole, from the start of their motion."""
        return frozenset({"frames", "real_split", "real_stride"})

    @property
    def clip_shape(self) -> tuple[int | None, int | None]:
        """Clips of any length are drawn, at one size."""
        return None, SIZE

    def protocol(self, name: str | None = None) -> Protocol:
        """`demo`, which `clean` means here too. Raises `ProtocolError` for one that needs real video."""
        check_choice("--protocol", name or DEMO.stem, [DEMO.stem, *PROTOCOLS])
        if name not in (None, DEMO.stem, "clean"):
            raise ProtocolError(f"--protocol {name} needs real video; the shapes benchmark has the protocol demo")
        return DEMO

    def open_real(
        self, folder: Path | None, protocol: Protocol, seed: int, progress: Callable[[int], None]
    ) -> ShapesSource:
        """Drawn clips; no folder is read. Raises `UsageError` for a split that is not drawn."""
        from latte_eval.benchmarks.shapes.sources import ShapesSource

        split, count = protocol.real_split, protocol.real_clips or PUBLISHED_CLIPS
        check_choice("real_split of shapes", split, SPLITS, UsageError)
        return ShapesSource(count, seed=seed, split=split, interval=protocol.real_stride, frames=protocol.frames)

    def check_classes(self, classes: int | None) -> None:
        """Any number will do: a checkpoint of another training is measured as it is."""

    def fits(self, config: ModelConfig) -> bool:
        """Whether a checkpoint paints clips of this size."""
        shape = config.channels, config.input_size, config.frames
        return shape == (3, SIZE, FRAMES) and config.classes in (None, len(CLASSES))


SHAPES = Shapes(
    name="shapes",
    title="Shapes",
    classes=CLASSES,
    checkpoints=("demo", "demo-early", "demo-vdt"),
    seeded_detectors=True,
    needs_folder=False,
)
