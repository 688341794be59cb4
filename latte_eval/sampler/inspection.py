"""What a checkpoint is, in words and numbers."""

from __future__ import annotations

from typing import Any

from latte_eval.sampler.checkpoint import Checkpoint
from latte_eval.sampler.cost import measure_cost, on_meta
from latte_eval.sampler.latte.config import VARIANTS, LatteConfig, published_name
from latte_eval.sampler.latte.recognise import UNTRACED, state_dict_to_config

CONDITIONING = {"s-adaln": "S-AdaLN", "all-tokens": "all tokens"}
# Pixels per latent along a side: 8 through the Stable Diffusion VAE, 1 where the model paints pixels.
FACTORS = {4: 8, 3: 1}


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything that `latte-eval inspect` says of a checkpoint itself, in JSON types.

    `config` holds the plain values, `assumed` the choices that neither weights nor file tell. Costs are counted on
    the meta device. Raises `CheckpointError` for a state dict that is no Latte's.
    """
    config = state_dict_to_config(checkpoint.state, **checkpoint.choices)
    cost = measure_cost(on_meta(config))
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "bytes": checkpoint.size,
        "weights": checkpoint.weights,
        "iteration": checkpoint.iteration,
        "model": published_name(config) or f"Latte, {config.depth} blocks of width {config.width}",
        "config": config.to_dict(),
        "frame_size": frame_size(config),
        "assumed": assumed(config, checkpoint),
        "parameters": cost.parameters,
        "flops": cost.own_flops,
        "paper_operations": cost.paper_operations,
    }


def frame_size(config: LatteConfig) -> int | None:
    """Side of a frame in pixels, where the number of channels tells the codec."""
    factor = FACTORS.get(config.channels)
    return config.input_size * factor if factor else None


def assumed(config: LatteConfig, checkpoint: Checkpoint) -> list[str]:
    """Choices that leave no trace in the weights and that the file does not store."""
    visible = {"variant"} if config.variant in (3, 4) else set()
    if published_name(config):
        visible.add("heads")
    return [name for name in UNTRACED if name not in checkpoint.choices and name not in visible]


def description_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """A description as rows that a person reads."""
    c = LatteConfig(**found["config"])
    trained = "" if found["iteration"] is None else f", iteration {found['iteration']:,}"
    pixels = f", {found['frame_size']}x{found['frame_size']} pixels" if found["frame_size"] else ""
    tubes = "uniform frame" if c.tube == 1 else f"compression frame, tubes of {c.tube}"
    rows = [
        ("file", f"{found['name']}, {found['bytes']:,} bytes, sha256 {found['sha256'][:12]}"),
        ("weights", weights_text(found["weights"]) + trained),
        ("model", f"{found['model']}, {c.heads} heads"),
        ("variant", f"{c.variant}: {VARIANTS[c.variant]}"),
        ("patch", f"{c.patch}x{c.patch}, {tubes}"),
        ("latents", f"{c.channels}x{c.input_size}x{c.input_size}{pixels}"),
        ("frames", f"{c.frames}, temporal position {c.temporal_position}"),
        ("classes", "none: unconditional" if c.classes is None else f"{c.classes}, and the null class"),
        ("conditioning", CONDITIONING[c.conditioning]),
        ("variance", "learned" if c.learned_variance else "fixed"),
        ("parameters", f"{found['parameters']:,} trainable"),
        ("FLOPs", f"{found['flops'] / 1e9:,.3f} G for one clip and step, {found['paper_operations'] / 1e9:,.3f} G "
                  "by the paper's count (batch of 3, without attention)"),
    ]  # fmt: skip
    if found["assumed"]:
        names = ", ".join(name.replace("_", " ") for name in found["assumed"])
        rows.append(("assumed", f"{names}: the weights do not tell"))
    return rows


def weights_text(weights: str) -> str:
    """Which weights of the file are meant."""
    known = {"ema": "EMA", "model": "not EMA (`model`)", "bare": "a bare state dict: EMA or not is not told"}
    return known.get(weights, f"`{weights}`: EMA or not is not told")
