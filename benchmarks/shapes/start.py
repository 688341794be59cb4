"""The start of a training on `shapes`: zero gates, and a model that already copies its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latte_eval.sampler.latte import Latte

PATCH_SCALE = 0.3


def initialise(model: Latte) -> None:
    """DiT's start (all gates zero), with a model that already copies its input, which is most of the noise.

    Patches enter through a small orthonormal map and leave through its inverse. The map avoids the position
    tables and the mean, and is small beside them, so that the last layer norm neither mixes them in nor rescales
    the noise of a token: at large t an error of 3 % there is larger than what the clip adds.
    """
    config = model.config
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
            if "adaLN_modulation" in name:
                nn.init.zeros_(module.weight)
    for linear in model.t_embedder.mlp:
        if isinstance(linear, nn.Linear):
            nn.init.normal_(linear.weight, std=0.02)
    if model.y_embedder is not None:
        nn.init.normal_(model.y_embedder.embedding_table.weight, std=0.02)
    patch_map = orthonormal_beside_tables(model, config.channels * config.patch**2)
    weight = model.x_embedder.proj.weight
    weight.data.copy_(PATCH_SCALE * patch_map.unflatten(1, (config.channels, config.patch, config.patch)))
    assert model.x_embedder.proj.bias is not None
    nn.init.zeros_(model.x_embedder.proj.bias)
    out = torch.zeros(config.patch, config.patch, config.out_channels, config.width)
    out[:, :, : config.channels] = weight.data.permute(2, 3, 1, 0) / PATCH_SCALE**2
    model.final_layer.linear.weight.data.copy_(out.flatten(0, 2))


def orthonormal_beside_tables(model: Latte, columns: int) -> Tensor:  # -> [width, columns]
    """Random orthonormal columns, orthogonal to the position tables and to the constant vector where there is room."""
    width = model.config.width
    tables = torch.cat([model.pos_embed[0], model.temp_embed[0], torch.ones(1, width)])
    taken = torch.linalg.svd(tables, full_matrices=True)
    room = max(columns, width - int(torch.linalg.matrix_rank(tables, rtol=1e-3)))
    free = taken.Vh[-room:]  # [room, width], the directions that the tables use least
    return free.T @ nn.init.orthogonal_(torch.empty(room, columns))
