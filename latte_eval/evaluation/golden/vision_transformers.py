"""VideoMAE and V-JEPA against the reference networks under seeded weights, DINOv2's positions against a formula.

Of DINOv2 no answer of a reference is stored: the network is that of transformers, and what is ours is the table of
positions and the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latte_eval.evaluation.golden.files import Golden, open_golden
from latte_eval.evaluation.golden.measure import Measure, float32_tolerance, relative_error
from latte_eval.evaluation.golden.seeded import seeded_clip, seeded_normal

CD_FVD = "cd-fvd 0.1.1 under seeded weights"
JEPA = "facebookresearch/jepa@51c59d5 under seeded weights"
HUB = "the torch hub's rule as a formula, in float64"
BACKBONE, POSITIONS = "module.backbone.", "module.backbone.pos_embed"
TRAINED, GRID, OFFSET = 37, 16, 0.1  # places a side: of DINOv2's table, at 224 pixels; what the hub adds


def videomae_error(size: str, device: str) -> float:
    """Features of a clip, its frames resized, of VideoMAE V2."""
    from latte_eval.metrics.detectors.videomae import VideoMAE

    golden = open_golden("videomae_v2")
    network = VideoMAE.from_state_dict(golden.tensors(), heads=golden.meta["config"]["heads"]).to(device)
    clips = seeded_clip(size, golden.meta["inputs"][size][1], golden.meta["seed"])
    return relative_error(network(torch.from_numpy(clips)).cpu(), golden[f"{size}_features"])


def vjepa_error(projected: bool, device: str) -> float:
    """What V-JEPA's probe gathers from two clips, with or without the projection after its attention."""
    from latte_eval.metrics.detectors.vjepa import VJEPA

    golden = open_golden("vjepa")
    network = VJEPA.from_state_dicts(*vjepa_states(golden), golden.meta["config"]["heads"], projected).to(device)
    found = network(torch.from_numpy(golden.clip("square"))).cpu()
    return relative_error(found, golden[f"square_{'projected' if projected else 'unprojected'}"])


def vjepa_states(golden: Golden) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state dicts of encoder and probe that the reference had: seeded, but for its table of positions."""
    seeded = [key for key in golden.meta["keys"] if key != POSITIONS]
    tensors = {key: torch.from_numpy(golden.weight(key)) for key in seeded}
    tensors[POSITIONS] = torch.from_numpy(vjepa_positions(golden.meta["config"]["width"])).float()[None]
    encoder = {key: value for key, value in tensors.items() if key.startswith(BACKBONE)}
    return encoder, {key: value for key, value in tensors.items() if key not in encoder}


def vjepa_positions(width: int) -> np.ndarray:  # -> [1568, width] float64
    """Depth, height and width of a token, a third of the columns each: the reference's uniform power."""
    places = [each.ravel() for each in np.meshgrid(range(8), range(14), range(14), indexing="ij")]
    third = int(np.ceil(width / 6) * 2)
    return np.concatenate([sines(third, each) for each in places], axis=1)[:, :width]


def sines(width: int, places: np.ndarray) -> np.ndarray:  # [N] -> [N, width] float64
    """Half of the columns sines, half cosines, of falling frequencies."""
    angles = places[:, None] / 10000 ** (np.arange(width // 2) / (width / 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def dinov2_positions_error() -> float:
    """The table that DINOv2 has at 224 pixels, made from one of 37x37 places."""
    from latte_eval.metrics.detectors.dinov2 import resized_positions

    grid = seeded_normal("positions", (TRAINED, TRAINED, 8), 0).astype(np.float64)
    table = torch.from_numpy(np.concatenate([np.zeros((1, 8)), grid.reshape(-1, 8)]))[None]
    expected = hub_positions(grid).reshape(1, -1, 8)
    return relative_error(resized_positions(table)[:, 1:], expected)


def hub_positions(grid: np.ndarray) -> np.ndarray:  # [M, M, D] -> [16, 16, D]
    """Place i lies at (i + 0.5) * M / 16.1 - 0.5 of the table; cubic between places, the edge repeats."""
    side, weights = len(grid), np.zeros((GRID, len(grid)))
    for i in range(GRID):
        place = (i + 0.5) * side / (GRID + OFFSET) - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            weights[i, min(max(tap, 0), side - 1)] += cubic(abs(place - tap))
    return np.einsum("ia,jb,abd->ijd", weights, weights, grid)


def cubic(x: float) -> float:
    """Keys' kernel with a = -0.75, at a distance."""
    a = -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def vision_transformer_measures(device: str) -> Iterator[Measure]:
    """Each network at a small width; nothing is measured where transformers is not installed."""
    tight = float32_tolerance(1e-5, device)
    for size, what in (("small", "64x64"), ("wide", "90x160")):
        yield Measure(f"VideoMAE features, {what}", CD_FVD, tight, partial(videomae_error, size, device))
    for projected, what in ((True, "projected"), (False, "unprojected")):
        yield Measure(f"V-JEPA features, {what}", JEPA, tight, partial(vjepa_error, projected, device))
    yield Measure("DINOv2 positions", HUB, 1e-6, dinov2_positions_error)
