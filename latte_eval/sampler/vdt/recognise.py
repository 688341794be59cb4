"""From keys and shapes to a config: whether a state dict is a VDT, and of which sizes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.latte.config import possible_heads
from latte_eval.sampler.latte.recognise import LABELS, depth_of
from latte_eval.sampler.vdt.config import PUBLISHED_HEADS, VDTConfig

# A VDT has these and no Latte does: the position table over time, and the layer after the attention over time.
TIME_TABLE, TIME_LAYER = "time_embed", "blocks.0.temporal_fc.weight"

# Of what the sizes are read, with its number of axes.
NEEDED = {"x_embedder.proj.weight": 4, "pos_embed": 3, TIME_TABLE: 3, LABELS: 2, TIME_LAYER: 2,
          "final_layer.linear.bias": 1}  # fmt: skip


def is_vdt(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has what VDT alone has."""
    return TIME_TABLE in state or TIME_LAYER in state


def state_dict_to_config(state: Mapping[str, Tensor], heads: int | None = None) -> VDTConfig:
    """Read the sizes off the keys and shapes of a state dict.

    Keys and shapes do not depend on the heads: where neither the argument nor a published width tells them, 1 stands
    in, and `check_heads_told` refuses to go on from there.

    Raises:
        CheckpointError: not a VDT, or heads that its width cannot have.
    """
    check_vdt(state)
    width, channels, _, patch = state["x_embedder.proj.weight"].shape
    tokens, frames = state["pos_embed"].shape[1], state[TIME_TABLE].shape[1]
    out_channels = state["final_layer.linear.bias"].shape[0] // patch**2
    return VDTConfig(
        input_size=int(round(tokens**0.5)) * patch,
        patch=patch,
        channels=channels,
        width=width,
        depth=depth_of(state),
        heads=heads or PUBLISHED_HEADS.get(width, 1),
        frames=frames,
        learned_variance=out_channels == 2 * channels,
        label_rows=state[LABELS].shape[0],
    )


def check_heads_told(config: VDTConfig, heads: int | None) -> None:
    """Raise `CheckpointError` where the number of heads is neither given nor that of a published width."""
    if heads is None and config.width not in PUBLISHED_HEADS:
        possible = ", ".join(map(str, possible_heads(config.width)))
        raise CheckpointError(
            f"nothing tells the number of attention heads: the file does not say it, and width {config.width} is not a "
            f"published one ({', '.join(map(str, PUBLISHED_HEADS))}); give --heads N, one of {possible}"
        )


def check_frames(config: VDTConfig, frames: int | None) -> None:
    """Raise `CheckpointError` for clips of another length than the position table over time has."""
    if frames not in (None, config.frames):
        raise CheckpointError(
            f"this VDT has positions for {config.frames} frames ({TIME_TABLE}) and makes clips of that length alone, "
            f"not of {frames}; give --param frames={config.frames}"
        )


def check_vdt(state: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` for a state dict that is not a VDT's, in one sentence."""
    if "temp_embed" in state:
        raise CheckpointError(
            f"this is a Latte, not a VDT: it has temp_embed, not {TIME_TABLE}; Latte.from_state_dict takes it"
        )
    for key, axes in NEEDED.items():
        if key not in state:
            raise CheckpointError(f"this is not a VDT checkpoint: {key} is missing")
        if state[key].ndim != axes or not state[key].numel():
            raise CheckpointError(
                f"this is not a VDT checkpoint: {key} is {tuple(state[key].shape)}, not {axes} axes with values"
            )
