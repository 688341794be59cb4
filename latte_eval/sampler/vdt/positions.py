"""The table of positions of a VDT for latents of another size than it was trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.vdt.recognise import check_vdt


def with_positions(state: Mapping[str, Tensor], side: int) -> dict[str, Tensor]:
    """A state dict whose table of positions is that of latents of `side`, bicubic (RERV/VDT@cdbad2b does so unasked).

    Raises `CheckpointError` for a side that is no multiple of the patch, or a state dict of another model.
    """
    check_vdt(state)
    patch, table = state["x_embedder.proj.weight"].shape[-1], state["pos_embed"].float()
    if side % patch:
        raise CheckpointError(f"--resize-pos-embed {side} is not a multiple of the patch, {patch}")
    trained, wanted = round(table.shape[1] ** 0.5), side // patch
    grid = table.reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(grid, size=(wanted, wanted), mode="bicubic", align_corners=False)
    return {**state, "pos_embed": resized.permute(0, 2, 3, 1).flatten(1, 2)}
