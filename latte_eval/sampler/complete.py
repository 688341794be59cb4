"""Position tables that a file does not store: both follow from a formula, once the sizes are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.latte.embedding import spatial_table, temporal_table
from latte_eval.sampler.vdt.recognise import TIME_TABLE, is_vdt

# The published sizes, for a file that does not tell: 256 pixels through the VAE, and frames of a clip.
PUBLISHED = {"input_size": 32, "frames": 16}
# Pixels per latent along a side, by channels: 8 through the Stable Diffusion VAE, 1 where the model paints pixels.
FACTORS = {4: 8, 3: 1}

# Values of a table that is made; the largest published one, 64x64 latents of Latte-XL/2, has 1.2 million.
MOST_VALUES = 2**27


def with_tables(
    state: Mapping[str, Tensor], told: Mapping[str, Any]
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """A state dict with its position tables, the names of those that were rebuilt, and the sizes assumed for them.

    An image DiT, which has a table of space and none of time, stays as it is unless its file tells the frames.

    Args:
        told: what the file says: `input_size` or `image_size`, and `frames`.

    Raises `CheckpointError` for sizes that no model has.
    """
    time = TIME_TABLE if is_vdt(state) else "temp_embed"
    missing = [name for name in ("pos_embed", time) if name not in state]
    if missing == [time] and "frames" not in told:
        missing = []
    kernel = state.get("x_embedder.proj.weight")
    if not missing or kernel is None or kernel.ndim < 4 or "blocks.0.attn.qkv.weight" not in state:
        return dict(state), (), ()
    sizes, assumed = told_sizes(kernel, told, missing)
    width, patch, tube = kernel.shape[0], kernel.shape[-1], kernel.shape[2] if kernel.ndim == 5 else 1
    rows = {"pos_embed": (sizes["input_size"] // patch) ** 2, time: sizes["frames"] // tube}
    for name in missing:
        check_rows(name, rows[name], width)
    tables = {
        "pos_embed": lambda: spatial_table(width, sizes["input_size"] // patch),
        time: lambda: temporal_table(width, sizes["frames"] // tube),
    }
    return {**{name: tables[name]() for name in missing}, **state}, tuple(missing), assumed


def check_rows(name: str, rows: int, width: int) -> None:
    """Raise `CheckpointError` where a table cannot be made of this many rows."""
    if width % 4 or not 0 < rows * width <= MOST_VALUES:
        size = "input_size" if name == "pos_embed" else "frames"
        raise CheckpointError(
            f"{name} is missing and cannot be made: by the {size} that the file tells it would have {rows:,} rows of "
            f"{width:,} values; between 1 and {MOST_VALUES:,} values are made, in rows of a multiple of 4"
        )


def told_sizes(kernel: Tensor, told: Mapping[str, Any], missing: list[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """`input_size` and `frames`, and which of the two that a missing table needs are assumed."""
    known = {name: told[name] for name in PUBLISHED if name in told}
    factor = FACTORS.get(kernel.shape[1])
    if "input_size" not in known and factor and "image_size" in told:
        known["input_size"] = told["image_size"] // factor
    needed = ["input_size" if name == "pos_embed" else "frames" for name in missing]
    assumed = tuple(size for size in needed if size not in known)
    return {**PUBLISHED, **known}, assumed
