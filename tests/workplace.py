"""What commands of README and docs expect in the current folder, in miniature, and options that make them small."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch

from latte_eval.benchmarks.datasets.ucf101 import UCF101
from latte_eval.sampler.latte import Latte, LatteConfig

# Machines without the detector weights take seeded ones; a few clips and steps do.
SMALL = ["--detector", "seeded", "--steps", "2", "--vae", "vae-seeded", "--quiet"]
SMALL_SIZE = ["--param", "size=32"]
SMALL_FOR = {
    "fvd": [*SMALL, *SMALL_SIZE, "--clips", "4"],
    "evaluate": [*SMALL, *SMALL_SIZE, "--clips", "10", "--no-interval"],
    "stats": ["--detector", "seeded", "--clips", "4", "--quiet"],
    "sample": ["--steps", "2", "--vae", "vae-seeded", "--quiet"],
    "sweep": [*SMALL, *SMALL_SIZE, "--clips", "4"],
}  # fmt: skip


def write_video(path: Path, frames: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.as_posix()))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(frames):
            image = random.integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())


def make_workplace(root: Path) -> Path:
    """Clips of every class of UCF101, generated clips, and a small class-conditional checkpoint."""
    for name in UCF101.classes:
        write_video(root / f"data/UCF-101/{name}/v_{name}_g01_c01.avi", 50)
    for i in range(4):
        write_video(root / f"generated/{i:03d}.mp4", 16)
    config = LatteConfig(
        input_size=4, patch=2, channels=4, width=64, depth=2, heads=4, frames=16, classes=len(UCF101.classes)
    )
    (root / "ckpts").mkdir()
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": config.heads}}, root / "ckpts/ucf101.pt")
    return root
