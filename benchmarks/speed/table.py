"""The table of comparisons: what is measured, against what, and how much faster it is meant to be."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util

from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured
from latte_eval.core.choices import check_choice

REQUIREMENTS = "pip install -r benchmarks/speed/requirements.txt"


@dataclass(frozen=True)
class Comparison:
    """One row.

    Attributes:
        what: what both sides do.
        baseline: what latte-eval is compared with.
        measure: "module:function" below `latte_eval.benchmarks.speed`; takes the material and the number of turns.
        goal: how many times faster latte-eval is meant to be.
        agreement: largest relative difference of the two answers; None where the two define them differently.
        peers: distributions that are needed beside latte-eval's own, by the module that they bring.
    """

    what: str
    baseline: str
    measure: str
    goal: float | None = None
    agreement: float | None = None
    peers: tuple[tuple[str, str], ...] = ()

    def missing(self) -> str:
        """What to install before this can be measured; nothing where all is there."""
        absent = [name for name, module in self.peers if util.find_spec(module) is None]
        return f"{', '.join(absent)} not installed: {REQUIREMENTS}" if absent else ""

    def versions(self) -> dict[str, str]:
        """Of the peers."""
        return {name: metadata.version(name) for name, _ in self.peers}

    def __call__(self, material: Material, turns: int) -> Measured:
        module, _, name = self.measure.partition(":")
        function: Callable[[Material, int], Measured]
        function = getattr(importlib.import_module(f"latte_eval.benchmarks.speed.{module}"), name)
        return function(material, turns)


FID = "FID of 400 + 400 frames of 128x128, process from start to end"
TABLE: dict[str, Comparison] = {
    "fid-torch-fidelity": Comparison(
        FID, "torch-fidelity", "end_to_end:fid_torch_fidelity", 2, 1e-5, (("torch-fidelity", "torch_fidelity"),)
    ),
    "fid-pytorch-fid": Comparison(
        FID, "pytorch-fid (other resize)", "end_to_end:fid_pytorch_fid", 2, None, (("pytorch-fid", "pytorch_fid"),)
    ),
    "fid-clean-fid": Comparison(
        FID, "clean-fid (other resize)", "end_to_end:fid_clean_fid", 2, None, (("clean-fid", "cleanfid"),)
    ),
    "fid-interval": Comparison(
        f"{FID}, with its interval", "latte-eval without the interval", "end_to_end:fid_interval", None, 1e-9
    ),
    "fid-torchmetrics": Comparison(
        "FID inside a training loop, 8 + 8 clips of 16 frames of 128x128", "torchmetrics with torch-fidelity",
        "loop:measure", None, 1e-5, (("torchmetrics", "torchmetrics"), ("torch-fidelity", "torch_fidelity")),
    ),
    "fvd-cd-fvd": Comparison(
        "FVD of 32 + 32 mp4 files of 16 frames of 256x256, process from start to end", "cd-fvd, I3D",
        "end_to_end:fvd_cd_fvd", 2, 1e-2, (("cd-fvd", "cdfvd"), ("torchcodec", "torchcodec"), ("einops", "einops")),
    ),
    "frechet": Comparison("Fréchet distance, 2048-d, of moments", "scipy sqrtm", "frechet:measure", 10, 1e-6),
    "i3d": Comparison("I3D logits, 4 clips of 16 frames of 256x256", "TorchScript of the same network",
                      "i3d:measure", 1.6, 2e-5),
    "inception": Comparison("Inception features, 32 frames of 256x256", "TorchScript of the same network",
                            "inception:measure", None, 2e-5),
    "i3d-bf16": Comparison("I3D logits in bfloat16, 4 clips of 16 frames of 128x128", "the same in float32",
                           "bfloat16:i3d", None, 2e-2),
    "inception-bf16": Comparison("Inception features in bfloat16, 32 frames of 128x128", "the same in float32",
                                 "bfloat16:inception", None, 2e-2),
    "readers": Comparison("24 mp4 files of 160 frames to clips", "JPEG frames to disk and back",
                          "readers:measure", 2, 0),
}  # fmt: skip


def chosen(only: str | None) -> dict[str, Comparison]:
    """The comparisons called `a,b`, or all. Raises `UsageError` for an unknown name."""
    names = [name.strip() for name in only.split(",") if name.strip()] if only is not None else list(TABLE)
    for name in names:
        check_choice("--only", name, TABLE)
    return {name: TABLE[name] for name in names}
