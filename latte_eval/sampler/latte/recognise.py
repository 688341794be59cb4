"""From keys and shapes to a config: what a state dict is, without being told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.latte.config import PUBLISHED_HEADS, LatteConfig, possible_heads

# Choices that leave no trace in the weights; files of `benchmarks/studies/train.py` store them beside the weights.
UNTRACED = ("heads", "variant", "temporal_position", "classes")
LABELS = "y_embedder.embedding_table.weight"

# The deepest published Latte has 28.
MOST_BLOCKS = 1000


def untraced_choices(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Of a stored config, what `Latte.from_state_dict` cannot see in the weights, as its arguments."""
    return {name: stored[name] for name in UNTRACED if name in stored}


def state_dict_to_config(
    state: Mapping[str, Tensor],
    heads: int | None = None,
    variant: int | None = None,
    temporal_position: str | None = None,
    classes: int | None = None,
) -> LatteConfig:
    """Read sizes and choices off the keys and shapes of a state dict; the arguments fill in what leaves no trace.

    Keys and shapes do not depend on the heads: where neither the argument nor a published width tells them, the first
    possible number stands in, and `check_heads_told` refuses to go on from there.

    Raises:
        CheckpointError: not a Latte, or an argument that contradicts the weights.
    """
    try:
        sizes = visible_sizes(state)
        seen = visible_variant(state, sizes["width"])
        classes, null_row = agreed_classes(state, classes)
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(foreign_state_dict(state)) from error
    variant, position, width = agreed_variant(seen, variant), temporal_position or "absolute", sizes["width"]
    some_heads = PUBLISHED_HEADS.get(width) or next(iter(possible_heads(width, variant, position)), 1)
    return LatteConfig(
        **sizes, heads=heads or some_heads, classes=classes, variant=variant, temporal_position=position,
        null_row=null_row,
    )  # fmt: skip


def visible_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What keys and shapes tell without doubt, as arguments of `LatteConfig`.

    Raises `KeyError`, `ValueError` or `IndexError` for what is not a Latte, and `CheckpointError` as `depth_of`.
    """
    kernel = state["x_embedder.proj.weight"].shape
    (width, channels), patch, tube = kernel[:2], kernel[-1], kernel[2] if len(kernel) == 5 else 1
    tokens, tubes = state["pos_embed"].shape[1], state["temp_embed"].shape[1]
    depth = depth_of(state)
    out_channels = state["final_layer.linear.bias"].shape[0] // patch**2
    return {
        "input_size": int(round(tokens**0.5)) * patch, "patch": patch, "channels": channels, "width": width,
        "depth": depth, "frames": tubes * tube, "learned_variance": out_channels == 2 * channels, "tube": tube,
        "conditioning": "all-tokens" if "blocks.0.norm1.weight" in state else "s-adaln",
    }  # fmt: skip


def depth_of(state: Mapping[str, Tensor]) -> int:
    """How many blocks a state dict has. Raises `CheckpointError` for more than `MOST_BLOCKS`, or a gap between them.

    What a file says is not built before: the number of a block is a text of the file, and can be any.
    """
    numbers = {m[1] for key in state if (m := re.match(r"blocks\.([0-9]{1,9})\.", key))}
    blocks = sorted(map(int, numbers))
    if blocks and (len(blocks) > MOST_BLOCKS or blocks[-1] >= MOST_BLOCKS):
        raise CheckpointError(f"block {blocks[-1]:,} is beyond the {MOST_BLOCKS:,} blocks that a Latte may have here")
    if blocks != list(range(len(blocks))):
        lacking = next(i for i in range(len(blocks) + 1) if i not in blocks)
        raise CheckpointError(f"block {lacking} is missing: the last one is block {blocks[-1]}")
    if not blocks:
        raise ValueError("no blocks")
    return len(blocks)


def check_heads_told(config: LatteConfig, heads: int | None) -> None:
    """Raise `CheckpointError` where the number of heads is neither given nor that of a published width."""
    if heads is None and config.width not in PUBLISHED_HEADS:
        possible = ", ".join(map(str, possible_heads(config.width, config.variant, config.temporal_position)))
        raise CheckpointError(
            f"nothing tells the number of attention heads: the file does not say it, and width {config.width} is not a "
            f"published one ({', '.join(map(str, PUBLISHED_HEADS))}); give --heads N, one of {possible}"
        )


def agreed_classes(state: Mapping[str, Tensor], told: int | None) -> tuple[int | None, bool]:
    """Classes, and whether the label table ends with a row for no class; without being told, it does.

    Raises `CheckpointError` for a number of classes that the table does not have.
    """
    table = state.get(LABELS)
    if table is None:
        return None, True
    rows = table.shape[0]
    if told not in (None, rows, rows - 1):
        raise CheckpointError(
            f"the label table has {rows} rows, which are {rows - 1} classes and the null class, or {rows} classes "
            f"without one, and not {told}; --classes {rows - 1} or --classes {rows} says which"
        )
    return (rows, False) if told == rows else (rows - 1, True)


def visible_variant(state: Mapping[str, Tensor], width: int) -> int:
    """1 (or 2, which has the same weights), 3 or 4."""
    if "blocks.0.temporal_attn.qkv.weight" not in state:
        return 1
    return 3 if state["blocks.0.attn.qkv.weight"].shape[0] == 3 * width else 4


def agreed_variant(seen: int, asked: int | None) -> int:
    """The variant asked for where the weights allow it, else the one they show."""
    if asked is None or asked == seen or (seen == 1 and asked == 2):
        return asked or seen
    shown = "1 or 2" if seen == 1 else str(seen)
    raise CheckpointError(f"these weights are of variant {shown}, not of variant {asked}")


def foreign_state_dict(state: Mapping[str, Tensor]) -> str:
    """One sentence about a state dict that is not a Latte."""
    first = ", ".join(list(state)[:3]) or "nothing"
    if any("caption_projection" in key or "temporal_transformer_blocks" in key for key in state):
        return f"this is a text-to-video Latte ({first}, ...); a class-conditional or unconditional one is needed"
    if "time_embed" in state or "blocks.0.temporal_fc.weight" in state:
        return "this is a VDT, not a Latte: it has time_embed and temporal_fc layers; VDT.from_state_dict takes it"
    if "pos_embed" in state and "x_embedder.proj.weight" in state and "temp_embed" not in state:
        return "this is an image DiT: it has no temp_embed; it can start a training (--init), not be sampled as video"
    return f"this is not a Latte checkpoint: it holds {first}, ... and lacks pos_embed, x_embedder or blocks"


def check_keys(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], network: str = "Latte") -> None:
    """Raise `CheckpointError` that names the first missing, unknown and misshapen keys."""
    wrong = [f"{key} is missing" for key in expected if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in expected]
    wrong += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise CheckpointError(f"not a {network} of these sizes: {'; '.join(wrong[:3])}{more}")
