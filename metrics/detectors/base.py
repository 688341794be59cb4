"""`Detector`: the network behind a metric, with the record of its weights. Nothing here imports torch until it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latte_eval.core.errors import ClipError
from latte_eval.core.registry import Registry
from latte_eval.files.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

    Forward = Callable[[Tensor], dict[str, Tensor]]

SEEDED_NOTE = "seeded random weights: not comparable with published numbers"
TRUSTED_NOTE = "opened on trust, not the pinned file: not comparable with published numbers"


@dataclass(frozen=True)
class Detector:
    """Clips in, features or probabilities out, and all that a result must say about the network.

    Attributes:
        name: as in `--detector`: `i3d`, `i3d-seeded`, `inception`, ...
        forward: the network itself; takes clips on `device`.
        weights: the record of the file it was opened from; None where the weights come from a seed.
        sha256: hash of that file's bytes, or of the recipe of the seeded weights.
        device: where the network lives, such as `cpu` or `cuda:0`.
        min_frames: shortest clip it takes.
        comparable: whether its numbers may stand beside published ones; False for seeded weights.
        note: what to print beside the number; empty where there is nothing to say.
        used: which network answers: the `native` one or the published `archive`.
        agreement: relative difference of the two on the probe batch; None where there is no archive.
    """

    name: str
    forward: Forward
    weights: Weights | None
    sha256: str
    device: str = "cpu"
    min_frames: int = 1
    comparable: bool = True
    note: str = ""
    used: Literal["native", "archive"] = "native"
    agreement: float | None = None

    def __call__(self, clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8, any device -> float32 on the CPU
        """What the network says about each clip, by name.

        `features` is [N, 400] (I3D) or [N, T, 2048] (Inception), `probabilities` [N, T, 1008] (Inception) or
        [N, 101] (C3D). Row i depends on clip i alone. Raises `ClipError` for another layout or too few frames.
        """
        check_clips(clips, self.name, self.min_frames)
        return {name: value.cpu() for name, value in self.forward(clips.to(self.device)).items()}



def check_clips(clips: Tensor, name: str, min_frames: int = 1) -> None:
    """Raise `ClipError` unless `clips` is [N, 3, T >= min_frames, H, W] uint8."""
    shape = tuple(clips.shape)
    if str(clips.dtype) != "torch.uint8" or len(shape) != 5 or shape[1] != 3:
        raise ClipError(f"{name} takes torch.uint8 clips (N, 3, T, H, W), not {clips.dtype} {shape}")
    if shape[2] < min_frames:
        raise ClipError(f"{name} needs clips of at least {min_frames} frames; these have {shape[2]}")


DETECTORS = Registry(
    "detector",
    {
        "i3d": "latte_eval.metrics.detectors.i3d:open_i3d",
        "i3d-seeded": "latte_eval.metrics.detectors.i3d:open_i3d_seeded",
        "inception": "latte_eval.metrics.detectors.inception:open_inception",
        "inception-seeded": "latte_eval.metrics.detectors.inception:open_inception_seeded",
        "c3d": "latte_eval.metrics.detectors.c3d:open_c3d",
        "c3d-seeded": "latte_eval.metrics.detectors.c3d:open_c3d_seeded",
    },
)


def open_detector(name: str, device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """The detector called `name`, with its weights found or downloaded.

    `trust` opens an executable archive whose hash is not pinned; `offline` forbids downloads (None: as the
    environment says). Raises `UsageError` for an unknown name, `WeightsError` where weights cannot be had.
    Each opener in `DETECTORS` takes `(device, *, trust, offline)`; a seeded one ignores the last two.
    """
    detector: Detector = DETECTORS.get(name)(str(device), trust=trust, offline=offline)
    return detector
