"""A toy metric, detector, benchmark, sampler and protocol, one row each: whole commands run in a moment with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.benchmarks.benchmark import BENCHMARKS, Benchmark
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.features import Features, feature_rows
from latte_eval.core.protocol import Protocol
from latte_eval.core.protocols import PROTOCOLS, NamedProtocol, named_protocol
from latte_eval.core.registry import Registry
from latte_eval.core.seeding import numpy_generator
from latte_eval.metrics.contrast import Contrast
from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.detectors.base import DETECTORS, DetectorRow
from latte_eval.metrics.metric import Measurement, Metric
from latte_eval.metrics.rows import METRICS, contrast_distances
from latte_eval.sampler.latte import LatteConfig
from latte_eval.sampler.samplers import SAMPLERS, SamplerRow

CONFIG = LatteConfig(input_size=8, patch=4, channels=3, width=32, depth=2, heads=4, frames=4)


def means_apart(real: np.ndarray, fake: np.ndarray) -> float:
    return float(((real.mean(0) - fake.mean(0)) ** 2).sum())


def statistic(real: np.ndarray, fake: np.ndarray, real_labels: np.ndarray, fake_labels: np.ndarray) -> Any:
    def without(deleted: Sequence[int]) -> float:
        keep = [~np.isin(labels, list(deleted)) for labels in (real_labels, fake_labels)]
        return means_apart(real[keep[0]], fake[keep[1]])

    return without


def measure_gap(fake: Features, real: Features | None, interval: bool, progress: Any) -> Measurement:
    assert real is not None
    value = means_apart(feature_rows(real)[0], feature_rows(fake)[0])
    return Measurement(value, [0.5 * value, 1.5 * value], 0.25 * value, details={"parts": {"real": 8, "fake": 8}})


def contrast_gap(new: Features, accepted: Features, real: Features | None, allowance: float, progress: Any) -> Contrast:
    return contrast_distances(new, accepted, real, allowance, progress, statistic)


def colours(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 12] float32
    return {"features": clips.float().mean((3, 4)).flatten(1) / 255}


def open_colours(device: str, *, trust: bool, offline: bool | None) -> Detector:
    return Detector("colours", colours, weights=None, sha256="7" * 64, comparable=False)


@dataclass(frozen=True)
class StripesSource:
    """Grey clips of random brightness."""

    count: int
    seed: int
    name: str = "stripes"
    rejected: Sequence[Rejected] = ()

    @property
    def fingerprint(self) -> str:
        return f"{self.seed:064d}"

    def __len__(self) -> int:
        return self.count

    def clips(self, indices: Sequence[int]) -> Clips:
        levels = [int(numpy_generator("stripes", self.seed, i).integers(256)) for i in indices]
        return Clips(torch.stack([torch.full((4, 3, 8, 8), level).to(torch.uint8) for level in levels]), tuple(indices))

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [f"stripe-{i}" for i in indices]


@dataclass(frozen=True, kw_only=True)
class Stripes(Benchmark):
    @property
    def sampler(self) -> dict[str, Any]:
        return {"method": "halving", "steps": 3, "guidance_scale": 1.0, "clip_x0": False}

    def protocol(self, name: str | None = None) -> Protocol:
        return named_protocol(name or "toy").replace(benchmark=self.name)

    def open_real(
        self, folder: Path | None, protocol: Protocol, seed: int, progress: Callable[[int], None]
    ) -> StripesSource:
        return StripesSource(protocol.real_clips or 0, seed)

    def fits(self, config: LatteConfig) -> bool:
        return config == CONFIG

    def check_classes(self, classes: int | None) -> None:
        """Any."""


def halving_steps(
    denoiser: Any, x: Tensor, schedule: Any, step_noise: Any, *, eta: float, clip_x0: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(schedule.steps):
        x = x / 2
        yield x, x


TOY = Protocol(stem="toy", frames=4, size=8, real_clips=24, fake_clips=24, fake_storage=("jpeg75",))
ROWS: list[tuple[Registry[Any], str, Any]] = [
    (PROTOCOLS, "toy", NamedProtocol(TOY, "this test", of_benchmark=())),
    (SAMPLERS, "halving", SamplerRow(halving_steps)),
    (DETECTORS, "colours", DetectorRow("colours", open_colours)),
    (BENCHMARKS, "stripes", Stripes(name="stripes", title="Stripes", needs_folder=False)),
    (METRICS, "gap", Metric("gap", "Gap of the means", "lower", ("colours",), "features", True, measure_gap,
                            contrast_gap, "The gap is the gap.")),
]  # fmt: skip
