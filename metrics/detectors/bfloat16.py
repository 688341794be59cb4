"""The I3D and the Inception computed in bfloat16: faster on processors with AMX, and other numbers.

Weights and activations have 8 bits of mantissa; only the resize before the network and the averages after it stay in
float32. A choice for a quick look on a CPU, which somebody has to name: benchmarks/speed/RESULTS.md says what it gains
and how far features move. Its numbers are compared with nothing that was measured in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from latte_eval.files.weights import (
    I3D_ARCHIVE,
    I3D_STATE,
    INCEPTION_ARCHIVE,
    INCEPTION_STATE,
    Weights,
    file_sha256,
)
from latte_eval.metrics.detectors.archive import load_tensors, open_archive, open_either
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector
from latte_eval.metrics.detectors.i3d import I3D, MIN_FRAMES, as_features, open_i3d_seeded
from latte_eval.metrics.detectors.inception import InceptionV3, on_frames, open_inception_seeded

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.base import Forward

NOTE = "computed in bfloat16: not comparable with numbers of float32"


@dataclass(frozen=True)
class Bfloat16:
    """A network that can be had in bfloat16.

    Attributes:
        archive, state: the two files of its published weights.
        network: makes it from the tensors of either.
        forward: the network on clips, by name.
        open_seeded: opens it in float32 with seeded weights, those of `seeded`.
    """

    name: str
    archive: Weights
    state: Weights
    network: Callable[[Mapping[str, Tensor]], nn.Module]
    seeded: Callable[[], nn.Module]
    forward: Callable[[Any], Forward]
    open_seeded: Callable[[str], Detector]
    min_frames: int = 1

    def open(self, device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
        """With the published weights, from whichever file can be had. Raises `WeightsError`."""
        return open_either(self.archive, self.from_archive, self.state, self.from_state, device, trust=trust,
                           offline=offline)  # fmt: skip

    def from_archive(self, path: Path, device: str, *, trust: bool = False) -> Detector:
        """With the tensors of the TorchScript archive, which is opened as any other and does not run."""
        module, sha256 = open_archive(path, self.archive.sha256, trust=trust)
        return self.detector(dict(module.state_dict()), self.archive, sha256, device)

    def from_state(self, path: Path, device: str) -> Detector:
        """With the tensors of a state dict. Raises `WeightsError`."""
        return self.detector(load_tensors(path), self.state, file_sha256(path), device)

    def detector(self, tensors: Mapping[str, Tensor], weights: Weights, sha256: str, device: str) -> Detector:
        """The detector with these tensors."""
        forward = self.half(self.network(tensors), device)
        return Detector(
            f"{self.name}-bf16", forward, weights, sha256, device, self.min_frames, comparable=False, note=NOTE
        )

    def open_bf16_seeded(self, device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
        """With seeded weights, which need no file."""
        return dataclasses.replace(
            self.open_seeded(device),
            name=f"{self.name}-bf16-seeded",
            forward=self.half(self.seeded(), device),
            note=f"{SEEDED_NOTE}; {NOTE}",
        )

    def half(self, network: nn.Module, device: str) -> Forward:
        return self.forward(network.to(device, torch.bfloat16))


I3D_BF16 = Bfloat16(
    "i3d", I3D_ARCHIVE, I3D_STATE, I3D.from_state_dict, I3D.seeded, as_features, open_i3d_seeded, MIN_FRAMES
)
INCEPTION_BF16 = Bfloat16(
    "inception", INCEPTION_ARCHIVE, INCEPTION_STATE, InceptionV3.from_state_dict, InceptionV3.seeded,
    lambda network: on_frames(network.outputs), open_inception_seeded,
)  # fmt: skip

# What the table of detectors names.
open_i3d_bf16, i3d_bf16_from_state = I3D_BF16.open, I3D_BF16.from_state
open_i3d_bf16_seeded = I3D_BF16.open_bf16_seeded
open_inception_bf16, inception_bf16_from_state = INCEPTION_BF16.open, INCEPTION_BF16.from_state
open_inception_bf16_seeded = INCEPTION_BF16.open_bf16_seeded
