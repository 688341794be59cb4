"""The I3D and the Inception in bfloat16, against themselves in float32, on frames of the material.

`apart` is the size of the difference of all features over that of the features: their spread among clips is smaller.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latte_eval.benchmarks.speed.footage import CLIP_FRAMES
from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured
from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.benchmarks.speed.unfused_inception import plain_state
from latte_eval.metrics.detectors import I3D, InceptionV3

CLIPS, FRAMES = 4, 32


def i3d(material: Material, turns: int) -> Measured:
    """Four clips of the I3D with seeded weights."""
    clips = images(material, CLIPS * CLIP_FRAMES).unflatten(0, (CLIPS, CLIP_FRAMES)).transpose(1, 2)
    full, half = I3D.seeded(), I3D.seeded().to(torch.bfloat16)
    return take_turns(lambda: half(clips), lambda: full(clips), turns, share_moved)


def inception(material: Material, turns: int) -> Measured:
    """32 frames of the Inception with weights that do not magnify rounding."""
    frames, state = images(material, FRAMES), plain_state()
    full, half = InceptionV3.from_state_dict(state), InceptionV3.from_state_dict(state).to(torch.bfloat16)
    return take_turns(lambda: half(frames), lambda: full(frames), turns, share_moved)


def images(material: Material, count: int) -> Tensor:  # -> [N, 3, 128, 128] uint8
    """The first frames of the fake side."""
    paths = sorted(path for path in (material.frames / "fake").rglob("*") if path.is_file())[:count]
    return torch.from_numpy(np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])).permute(
        0, 3, 1, 2
    )


def share_moved(values: Tensor, reference: Tensor) -> float:
    """Size of the difference over the size of the reference."""
    return float((values - reference).norm() / reference.norm())
