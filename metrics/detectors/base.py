"""`Detector`: the network behind a metric, with the record of its weights; and the table of detectors.

Nothing here imports torch until a network runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import ClipError, UsageError
from latte_eval.core.registry import Registry, import_target
from latte_eval.files.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from latte_eval.core.clips import Clips

    Forward = Callable[[Tensor], dict[str, Tensor]]

SEEDED_NOTE = "seeded random weights: not comparable with published numbers"
TRUSTED_NOTE = "opened on trust, not the pinned file: not comparable with published numbers"
UNPINNED_NOTE = "no sha256 of the weights is published: they were taken as they are, compare with care"
UNKNOWN_ARCHIVE_NOTE = "no sha256 of the weights is published: opened on trust, not comparable with published numbers"


@dataclass(frozen=True)
class Detector:
    """Clips in, features or probabilities out, and all that a result must say about the network.

    Attributes:
        name: as in `--detector`: `i3d`, `i3d-seeded`, `inception`, ...
        forward: the network itself; takes clips on `device`.
        weights: the record of the file it was opened from; None where the weights come from a seed.
        sha256: hash of that file's bytes, or of the recipe of the seeded weights.
        device: where the network lives, such as `cpu` or `cuda:0`.
        min_frames, max_frames: shortest and longest clip it takes; None for no limit.
        comparable: whether its numbers may stand beside published ones; False for seeded weights and for an archive
            that was opened on trust.
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
    max_frames: int | None = None
    comparable: bool = True
    note: str = ""
    used: Literal["native", "archive"] = "native"
    agreement: float | None = None

    def __call__(self, clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8, any device -> float32 on the CPU
        """What the network says about each clip, by name.

        `features` is [N, 400] (I3D) or [N, T, 2048] (Inception), `probabilities` [N, T, 1008] (Inception) or
        [N, 101] (C3D). Row i depends on clip i alone, not on TF32 or autocast of the caller. Raises `ClipError` for
        another layout or too few frames.
        """
        check_clips(clips, self.name, self.min_frames, self.max_frames)
        with exact_float32():
            return {name: value.cpu() for name, value in self.forward(clips.to(self.device)).items()}

    def on_clips(self, clips: Clips) -> dict[str, Tensor]:
        """The same of clips that come with their indices."""
        return self(clips.to_detector())

    def record(self) -> dict[str, Any]:
        """What a result says about its detector, in JSON types.

        `pinned`: whether a hash of the weights is published, and they have it; absent for seeded weights, which come
        from no file.
        """
        pinned = {"pinned": self.sha256 == self.weights.sha256} if self.weights else {}
        return {"name": self.name, "sha256": self.sha256, "comparable": self.comparable, "used": self.used,
                "agreement": self.agreement, **pinned}  # fmt: skip


def check_clips(clips: Tensor, name: str, min_frames: int = 1, max_frames: int | None = None) -> None:
    """Raise `ClipError` unless `clips` is [N, 3, T, H, W] uint8 with min_frames <= T <= max_frames."""
    shape = tuple(clips.shape)
    if str(clips.dtype) != "torch.uint8" or len(shape) != 5 or shape[1] != 3:
        raise ClipError(f"{name} takes torch.uint8 clips (N, 3, T, H, W), not {clips.dtype} {shape}")
    if shape[2] < min_frames or shape[2] > (max_frames or shape[2]):
        wanted = frames_to_text(min_frames, max_frames)
        raise ClipError(f"{name} needs clips of {wanted} frames; these have {shape[2]}")


def frames_to_text(min_frames: int, max_frames: int | None) -> str:
    """`at least 9`, `16` or `9 to 16`."""
    if max_frames is None:
        return f"at least {min_frames}"
    return str(max_frames) if min_frames == max_frames else f"{min_frames} to {max_frames}"


@dataclass(frozen=True)
class DetectorRow:
    """One detector by name.

    Attributes:
        family: the network, whatever its weights; metrics name the families that can serve them.
        opener: takes `(device, *, trust, offline)` and gives a `Detector`; or "module:function".
        seeded: whether its weights come from a seed: it needs no file, and its numbers cannot
            be compared with published ones.
        per_frame: whether it gives one row of features per frame, not per clip.
        fid_resize, i3d_eps: the choices of the protocol's fields that it makes; empty where a field does not matter.
        weights: name of the record of its file in `WEIGHTS`; empty for seeded weights.
        cost: about what a clip of 16 frames takes, in words.
        own: "module:function" that opens a file of somebody's own weights, `(path, device)`; empty for none.
        beside: name of the record of a second file that the network takes: then `own` is `(path, path, device)`.
        weightless: whether it has no weights, and is its own stand-in where seeded ones are asked for.
        paired: whether it compares each clip with its own truth, which comes with the conditions of the clips.
        dtype: what it computes in.
    """

    family: str
    opener: Callable[..., Detector] | str
    seeded: bool = False
    per_frame: bool = False
    fid_resize: str = ""
    i3d_eps: str = ""
    weights: str = ""
    cost: str = ""
    own: str = ""
    beside: str = ""
    weightless: bool = False
    paired: bool = False
    dtype: str = "float32"


DETECTORS: Registry[DetectorRow] = Registry(
    "detector",
    {
        "c3d": DetectorRow(
            "c3d", "latte_eval.metrics.detectors.c3d:open_c3d", weights="c3d-state", cost="0.08 TFLOP",
            own="latte_eval.metrics.detectors.c3d:c3d_from_arrays", beside="c3d-mean",
        ),
        "c3d-seeded": DetectorRow("c3d", "latte_eval.metrics.detectors.c3d:open_c3d_seeded", seeded=True),
        "i3d": DetectorRow(
            "i3d", "latte_eval.metrics.detectors.i3d:open_i3d", weights="i3d-archive", cost="0.06 TFLOP",
            own="latte_eval.metrics.detectors.i3d:i3d_from_state", i3d_eps="1e-3",
        ),
        "i3d-seeded": DetectorRow(
            "i3d", "latte_eval.metrics.detectors.i3d:open_i3d_seeded", seeded=True, i3d_eps="1e-3"
        ),
        "i3d-port": DetectorRow(
            "i3d", "latte_eval.metrics.detectors.i3d_port:open_i3d_port", weights="i3d-state", cost="0.06 TFLOP",
            own="latte_eval.metrics.detectors.i3d_port:i3d_port_from_state", i3d_eps="1e-5",
        ),
        "i3d-port-seeded": DetectorRow(
            "i3d", "latte_eval.metrics.detectors.i3d_port:open_i3d_port_seeded", seeded=True, i3d_eps="1e-5"
        ),
        "inception": DetectorRow(
            "inception", "latte_eval.metrics.detectors.inception:open_inception", per_frame=True, fid_resize="tf1",
            weights="inception-archive", cost="0.18 TFLOP",
            own="latte_eval.metrics.detectors.inception:inception_from_state",
        ),
        "inception-seeded": DetectorRow(
            "inception", "latte_eval.metrics.detectors.inception:open_inception_seeded", seeded=True, per_frame=True,
            fid_resize="tf1",
        ),
        "inception-clean": DetectorRow(
            "inception", "latte_eval.metrics.detectors.clean_fid:open_inception_clean", per_frame=True,
            fid_resize="clean", weights="inception-archive", cost="0.18 TFLOP",
            own="latte_eval.metrics.detectors.clean_fid:inception_clean_from_state",
        ),
        "inception-clean-seeded": DetectorRow(
            "inception", "latte_eval.metrics.detectors.clean_fid:open_inception_clean_seeded", seeded=True,
            per_frame=True, fid_resize="clean",
        ),
        "i3d-bf16": DetectorRow(
            "i3d", "latte_eval.metrics.detectors.bfloat16:open_i3d_bf16", weights="i3d-archive", cost="0.06 TFLOP",
            own="latte_eval.metrics.detectors.bfloat16:i3d_bf16_from_state", i3d_eps="1e-3", dtype="bfloat16",
        ),
        "i3d-bf16-seeded": DetectorRow(
            "i3d", "latte_eval.metrics.detectors.bfloat16:open_i3d_bf16_seeded", seeded=True, i3d_eps="1e-3",
            dtype="bfloat16",
        ),
        "inception-bf16": DetectorRow(
            "inception", "latte_eval.metrics.detectors.bfloat16:open_inception_bf16", per_frame=True,
            fid_resize="tf1", weights="inception-archive", cost="0.18 TFLOP",
            own="latte_eval.metrics.detectors.bfloat16:inception_bf16_from_state", dtype="bfloat16",
        ),
        "inception-bf16-seeded": DetectorRow(
            "inception", "latte_eval.metrics.detectors.bfloat16:open_inception_bf16_seeded", seeded=True,
            per_frame=True, fid_resize="tf1", dtype="bfloat16",
        ),
        "videomae": DetectorRow(
            "videomae", "latte_eval.metrics.detectors.videomae:open_videomae", weights="videomae-v2-g",
            cost="5.1 TFLOP", own="latte_eval.metrics.detectors.videomae:videomae_from_file",
        ),
        "videomae-seeded": DetectorRow(
            "videomae", "latte_eval.metrics.detectors.videomae:open_videomae_seeded", seeded=True
        ),
        "vjepa": DetectorRow(
            "vjepa", "latte_eval.metrics.detectors.vjepa:open_vjepa", weights="vjepa-vith16", cost="2.4 TFLOP",
            own="latte_eval.metrics.detectors.vjepa:vjepa_from_files", beside="vjepa-vith16-ssv2-probe",
        ),
        "vjepa-unprojected": DetectorRow(
            "vjepa", "latte_eval.metrics.detectors.vjepa:open_vjepa_unprojected", weights="vjepa-vith16",
            cost="2.4 TFLOP", own="latte_eval.metrics.detectors.vjepa:vjepa_unprojected_from_files",
            beside="vjepa-vith16-ssv2-probe",
        ),
        "vjepa-seeded": DetectorRow("vjepa", "latte_eval.metrics.detectors.vjepa:open_vjepa_seeded", seeded=True),
        "dinov2": DetectorRow(
            "dinov2", "latte_eval.metrics.detectors.dinov2:open_dinov2", per_frame=True, weights="dinov2-large",
            cost="2.6 TFLOP", own="latte_eval.metrics.detectors.dinov2:dinov2_from_file",
        ),
        "dinov2-base": DetectorRow(
            "dinov2", "latte_eval.metrics.detectors.dinov2:open_dinov2_base", per_frame=True, weights="dinov2-base",
            cost="0.75 TFLOP",
        ),
        "dinov2-small": DetectorRow(
            "dinov2", "latte_eval.metrics.detectors.dinov2:open_dinov2_small", per_frame=True, weights="dinov2-small",
            cost="0.2 TFLOP",
        ),
        "dinov2-seeded": DetectorRow(
            "dinov2", "latte_eval.metrics.detectors.dinov2:open_dinov2_seeded", seeded=True, per_frame=True
        ),
        "paired": DetectorRow("paired", "latte_eval.metrics.paired:open_paired", weightless=True, paired=True),
        "lpips": DetectorRow(
            "lpips", "latte_eval.metrics.detectors.lpips:open_lpips", weights="alexnet", cost="0.3 TFLOP", paired=True
        ),
        "lpips-seeded": DetectorRow(
            "lpips", "latte_eval.metrics.detectors.lpips:open_lpips_seeded", seeded=True, paired=True
        ),
    },
)  # fmt: skip


def detector_of_family(family: str, seeded: bool) -> str:
    """The name of the first detector of a family, with published weights or with seeded ones.

    Raises `UsageError` for a family that has none.
    """
    rows = {name: DETECTORS[name] for name in DETECTORS if DETECTORS[name].family == family}
    names = [name for name, row in rows.items() if row.weightless or row.seeded == seeded]
    if not names:
        kind = "seeded detector" if seeded else "detector"
        raise UsageError(f"there is no {kind} of the family {family!r}; name one with --detector")
    return names[0]


def open_detector(name: str, device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """The detector called `name`, with its weights found or downloaded; `i3d=FILE` has the weights of that file.

    `trust` opens an executable archive whose hash is not pinned; `offline` forbids downloads (None: as the
    environment says). Raises `UsageError` for an unknown name, `WeightsError` where weights cannot be had.
    """
    if "=" in name:
        from latte_eval.metrics.detectors.own import open_own

        return open_own(name, str(device))
    opener = DETECTORS[name].opener
    open_it = import_target(opener) if isinstance(opener, str) else opener
    detector: Detector = open_it(str(device), trust=trust, offline=offline)
    return detector
