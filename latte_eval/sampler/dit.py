"""From an image DiT (Peebles and Xie 2023) to the start of a Latte, as the paper trains from ImageNet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.latte.embedding import temporal_table
from latte_eval.sampler.latte.network import Latte

LABELS = "y_embedder.embedding_table.weight"
NEEDED = ("pos_embed", "x_embedder.proj.weight", "t_embedder.mlp.0.weight", "blocks.0.attn.qkv.weight")


def check_dit(state: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` unless the state dict is a DiT's."""
    missing = [key for key in NEEDED if key not in state]
    if missing or "temp_embed" in state:
        why = f"it lacks {missing[0]}" if missing else "it has temp_embed: it is a Latte already"
        raise CheckpointError(f"this is not a DiT checkpoint: {why}")


def dit_to_latte(state: Mapping[str, Tensor], frames: int, classes: int | None = None) -> dict[str, Tensor]:
    """A Latte state dict (variant 1 or 2, uniform frames, S-AdaLN) with the weights of a DiT.

    Both have the same blocks and names. The position table serves every frame, the temporal one is added, the label
    table is dropped, and a new one of `classes` and the null class starts at zero.

    Raises:
        CheckpointError: not a DiT.
    """
    check_dit(state)
    width = state["pos_embed"].shape[-1]
    latte = {key: value for key, value in state.items() if key != LABELS}
    latte["temp_embed"] = temporal_table(width, frames)
    if classes is not None:
        latte[LABELS] = torch.zeros(classes + 1, width)
    return latte


def start_from_dit(model: Latte, state: Mapping[str, Tensor]) -> list[str]:
    """Copy into a new Latte what a DiT has for it, and return the names of weights that keep their own start.

    Attentions of variant 4 take the rows of their half of the heads. Second attentions of variant 3, tubes, and
    plain norms find nothing in a DiT. A position table of another size stays the model's own.

    Raises:
        CheckpointError: not a DiT, or one of another width.
    """
    config, own = model.config, model.state_dict()
    source = dit_to_latte(state, config.tubes, config.classes)
    width = source["pos_embed"].shape[-1]
    if width != config.width:
        raise CheckpointError(f"the DiT has width {width}, this Latte {config.width}")
    if config.variant == 4:
        source = source | split_heads(source, config)
    taken = {key: value for key, value in source.items() if key in own and value.shape == own[key].shape}
    model.load_state_dict(taken, strict=False)
    return [key for key in own if key not in taken]


def split_heads(state: Mapping[str, Tensor], config: LatteConfig) -> dict[str, Tensor]:
    """Attentions of a DiT cut in two: the first half of the heads in space, the second over time.

    Their sum is the DiT's attention: the bias of the projection goes to the first.
    """
    split: dict[str, Tensor] = {}
    for i in range(config.depth):
        name = f"blocks.{i}."
        if f"{name}attn.qkv.weight" not in state:
            break
        for kind in ("weight", "bias"):
            rows = state[f"{name}attn.qkv.{kind}"].unflatten(0, (3, 2, -1))
            split[f"{name}attn.qkv.{kind}"] = rows[:, 0].flatten(0, 1)
            split[f"{name}temporal_attn.qkv.{kind}"] = rows[:, 1].flatten(0, 1)
        first, second = state[f"{name}attn.proj.weight"].chunk(2, dim=1)
        bias = state[f"{name}attn.proj.bias"]
        split |= {f"{name}attn.proj.weight": first, f"{name}temporal_attn.proj.weight": second}
        split |= {f"{name}attn.proj.bias": bias, f"{name}temporal_attn.proj.bias": torch.zeros_like(bias)}
    return split
