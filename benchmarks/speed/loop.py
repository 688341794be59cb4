"""FID inside a training loop: batches of clips from memory, against FrechetInceptionDistance of torchmetrics.

Both run the same seeded Inception, torchmetrics in the network of torch-fidelity, as its users do. The usual resize of
torchmetrics is another one (antialiased); that of published numbers is asked for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latte_eval import FID
from latte_eval.benchmarks.speed.footage import CLIP_FRAMES, FRAME_SIZE, halves
from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured, relative
from latte_eval.benchmarks.speed.turns import take_turns

CLIPS, BATCH = 8, 2


def measure(material: Material, turns: int) -> Measured:
    """Seconds of both for one epoch: 8 + 8 clips of 16 frames of 128x128 in batches of two, and the value."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, fake = (clips_of(material, side) for side in ("real", "fake"))
    ours = FID(detector="inception-seeded", size=FRAME_SIZE, covariance="n-1")
    theirs = FrechetInceptionDistance(antialias=False, feature_extractor_weights_path=str(material.inception_state))

    def epoch_of_ours() -> float:
        ours.reset()
        for batch in range(0, CLIPS, BATCH):
            ours.update(real=real[batch : batch + BATCH], fake=fake[batch : batch + BATCH])
        return float(ours.compute())

    def epoch_of_theirs() -> float:
        theirs.reset()
        for batch in range(0, CLIPS, BATCH):
            theirs.update(images_of(real[batch : batch + BATCH]), real=True)
            theirs.update(images_of(fake[batch : batch + BATCH]), real=False)
        return float(theirs.compute())

    return take_turns(epoch_of_ours, epoch_of_theirs, turns, relative, warm=0)


def clips_of(material: Material, side: str) -> Tensor:  # -> [8, 16, 128, 128, 3] uint8
    """Clips of one side, as many of one video as of another."""
    frames = [found for which, _, found in halves(material.footage, FRAME_SIZE) if which == side]
    clips = np.concatenate(frames).reshape(-1, CLIP_FRAMES, FRAME_SIZE, FRAME_SIZE, 3)
    return torch.from_numpy(clips[:: len(clips) // CLIPS][:CLIPS])


def images_of(clips: Tensor) -> Tensor:  # [N, T, H, W, 3] -> [N * T, 3, H, W]
    return clips.flatten(0, 1).permute(0, 3, 1, 2)
