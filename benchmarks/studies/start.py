"""The start of a training on `shapes`: zero gates, and a model that already copies its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.vdt import VDT

PATCH_SCALE = 0.3


def initialise(model: Latte | VDT) -> None:
    """DiT's start (all gates zero), in a model that already copies its input, which is most of the noise to predict.

    Patches enter through a small orthonormal map and leave through its inverse. The map avoids the position
    tables and the mean, and is small beside them, so that the last layer norm neither mixes them in nor rescales
    the noise of a token: at large t an error of 3 % there is larger than what the clip adds.
    """
    config = model.config
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
            if "adaLN_modulation" in name or name.endswith("temporal_fc"):
                nn.init.zeros_(module.weight)
    for linear in model.t_embedder.mlp:
        if isinstance(linear, nn.Linear):
            nn.init.normal_(linear.weight, std=0.02)
    if model.y_embedder is not None:
        nn.init.normal_(model.y_embedder.embedding_table.weight, std=0.02)
    if isinstance(model, Latte) and model.config.conditioning == "all-tokens":
        close_branches(model)
    copy_input(model, orthonormal_beside_tables(model, config.channels * config.tube * config.patch**2))


def close_branches(model: Latte) -> None:
    """Without gates, the last layer of every branch is zero instead: a block starts as the identity."""
    for name, module in model.blocks.named_modules():
        if isinstance(module, nn.Linear) and name.endswith(("attn.proj", "mlp.fc2")):
            nn.init.zeros_(module.weight)


def copy_input(model: Latte | VDT, patch_map: Tensor) -> None:  # [width, channels * tube * patch * patch]
    """Patches enter through the map and leave through its inverse.

    The decoder of tubes holds the noise of all frames of a tube one after the other in its channels, also in the
    place of the variance logits, and the transposed convolution hands every frame its own.
    """
    config, proj = model.config, model.x_embedder.proj
    proj.weight.data.copy_(PATCH_SCALE * patch_map.reshape(proj.weight.shape))
    assert proj.bias is not None
    nn.init.zeros_(proj.bias)
    kernel = proj.weight.data.view(config.width, config.channels, config.tube, config.patch, config.patch)
    noise = kernel.permute(3, 4, 2, 1, 0).flatten(2, 3) / PATCH_SCALE**2
    room = min(noise.shape[2], config.out_channels)
    out = torch.zeros(config.patch, config.patch, config.out_channels, config.width)
    out[:, :, :room] = noise[:, :, :room]
    model.final_layer.linear.weight.data.copy_(out.flatten(0, 2))
    if model.final_layer.temporal_upsample is not None:
        separate_frames(model.final_layer.temporal_upsample, config.channels, room)


def separate_frames(upsample: nn.ConvTranspose3d, channels: int, room: int) -> None:
    """Channel c of frame s of a tube comes from channel s * channels + c of the decoder."""
    nn.init.zeros_(upsample.weight)
    assert upsample.bias is not None
    nn.init.zeros_(upsample.bias)
    for row in range(room):
        upsample.weight.data[row, row % channels, row // channels] = 1


def orthonormal_beside_tables(model: Latte | VDT, columns: int) -> Tensor:  # -> [width, columns]
    """Random orthonormal columns, orthogonal to the position tables and to the constant vector where there is room."""
    width = model.config.width
    times = model.temp_embed if isinstance(model, Latte) else model.time_embed
    tables = torch.cat([model.pos_embed[0], times[0], torch.ones(1, width)])
    taken = torch.linalg.svd(tables, full_matrices=True)
    room = max(columns, width - int(torch.linalg.matrix_rank(tables, rtol=1e-3)))
    free = taken.Vh[-room:]  # [room, width], the directions that the tables use least
    return free.T @ nn.init.orthogonal_(torch.empty(room, columns))
