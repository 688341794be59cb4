"""What a checkpoint is, in words and numbers."""

from __future__ import annotations

from typing import Any

import torch

from latte_eval.sampler.checkpoint import Checkpoint
from latte_eval.sampler.complete import FACTORS
from latte_eval.sampler.cost import measure_cost, on_meta
from latte_eval.sampler.families import FAMILIES
from latte_eval.sampler.latte.config import VARIANTS, LatteConfig
from latte_eval.sampler.memory import SHARE, StepMemory, gib, step_memory
from latte_eval.sampler.model import ModelConfig
from latte_eval.sampler.vae import SD_VAE_CHANNELS, SD_VAE_CONFIG, frame_bytes, vae_to_config

# Sizes of cards in GiB, and types for which memory is counted.
CARDS, MEMORY_DTYPES = (24, 40, 80), ("fp32", "bf16")

CONDITIONING = {"s-adaln": "S-AdaLN", "all-tokens": "all tokens"}


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything that `latte-eval inspect` says of a checkpoint itself, in JSON types.

    `config` holds the plain values, `heads` among them None where nothing tells; `assumed` names the choices that
    neither weights nor file tell. Costs, which do not depend on the heads, are counted on the meta device.
    Raises `CheckpointError` for a state dict of no model.
    """
    family = checkpoint.family
    config = family.state_dict_to_config(checkpoint.state, **checkpoint.choices)
    told = checkpoint.heads or family.published_heads.get(config.width)
    cost = measure_cost(on_meta(config))
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "bytes": checkpoint.size,
        "weights": checkpoint.weights,
        "iteration": checkpoint.iteration,
        "family": family.name,
        "licence": checkpoint.licence,
        "model": family.published_name(config) or f"{family.name}, {config.depth} blocks of width {config.width}",
        "config": {**config.to_dict(), "heads": told},
        "frame_size": frame_size(config),
        "assumed": checkpoint.assumed(config),
        "rebuilt": list(checkpoint.rebuilt),
        "left_out": list(checkpoint.left_out),
        "parameters": cost.parameters,
        "flops": cost.own_flops,
        "paper_operations": cost.paper_operations,
        "memory": memory_record(config),
    }


def memory_record(config: ModelConfig) -> dict[str, Any]:
    """Bytes that sampling takes by dtype, `fp16` taking those of `bf16`.

    `weights` of the model; `clip` and `guided_clip` (None where there is no guidance) for every clip of a batch at the
    peak of a step; `frame` for every frame that the Stable Diffusion VAE decodes at once in float32 (None for latents
    that are not its own).
    """
    return {dtype: memory_of(config, dtype) for dtype in MEMORY_DTYPES}


def memory_of(config: ModelConfig, dtype: str) -> dict[str, Any]:
    plain, guided = (step_memory(config, dtype, guided) for guided in (False, True))
    sd_vae = vae_to_config(SD_VAE_CONFIG)
    frame = frame_bytes(sd_vae, config.input_size, torch.float32) if config.channels == SD_VAE_CHANNELS else None
    can_guide = config.classes is not None and config.null_row
    return {"weights": plain.weights, "clip": plain.clip, "guided_clip": guided.clip if can_guide else None,
            "frame": frame}  # fmt: skip


def memory_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Memory of a step in bf16, and how many clips fit cards of usual sizes."""
    record = found["memory"]["bf16"]
    guided = f" ({gib(record['guided_clip'])} guided)" if record["guided_clip"] else ""
    frame = f", and {gib(record['frame'])} a frame to decode" if record["frame"] else ""
    most = StepMemory(record["weights"], 0, record["guided_clip"] or record["clip"])
    fitting = ", ".join(f"{most.clips_in(size * 2**30 - most.weights):,}" for size in CARDS)
    how = "guided clips" if guided else "clips"
    return [
        ("memory", f"bf16: weights {gib(record['weights'])}, a step {gib(record['clip'])} a clip{guided}{frame}"),
        ("", f"{fitting} {how} fit in {', '.join(map(str, CARDS[:-1]))} and {CARDS[-1]} GiB, {SHARE:.0%} of them used"),
    ]


def frame_size(config: ModelConfig) -> int | None:
    """Side of a frame in pixels, where the number of channels tells the codec."""
    factor = FACTORS.get(config.channels)
    return config.input_size * factor if factor else None


def configs_of(found: dict[str, Any]) -> list[ModelConfig]:
    """The config of a description; where nothing tells the heads, one for every possible number."""
    family, config = FAMILIES[found["family"]], found["config"]
    heads = family.possible_heads(config) if config["heads"] is None else [config["heads"]]
    return [family.config(**{**config, "heads": each}) for each in heads]


def description_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """A description as rows that a person reads."""
    c = configs_of(found)[0]
    trained = "" if found["iteration"] is None else f", iteration {found['iteration']:,}"
    pixels = f", {found['frame_size']}x{found['frame_size']} pixels" if found["frame_size"] else ""
    paper = f", {found['paper_operations'] / 1e9:,.3f} G by the paper's count (batch of 3, without attention)"
    rows = [
        ("file", f"{found['name']}, {found['bytes']:,} bytes, sha256 {found['sha256'][:12]}"),
        ("weights", weights_text(found["weights"]) + trained),
        ("model", f"{found['model']}, {heads_text(found)}"),
        *architecture_rows(c, f"{c.channels}x{c.input_size}x{c.input_size}{pixels}"),
        ("variance", "learned" if c.learned_variance else "fixed"),
        ("parameters", f"{found['parameters']:,} trainable"),
        ("FLOPs", f"{found['flops'] / 1e9:,.3f} G for one clip and step{paper if isinstance(c, LatteConfig) else ''}"),
    ]
    licence = [("licence", found["licence"])] if found["licence"] else []
    return rows + memory_rows(found) + unsaid_rows(found) + licence


def architecture_rows(config: ModelConfig, latents: str) -> list[tuple[str, str]]:
    """What is built, from the order of the blocks to the conditioning."""
    c = config
    if not isinstance(c, LatteConfig):
        return [
            ("blocks", "every block attends over time, then in space"),
            ("patch", f"{c.patch}x{c.patch}, uniform frame"),
            ("latents", latents),
            ("frames", f"{c.frames}: clips of this length alone"),
            ("classes", "none: unconditional, and parts of a clip may be given (masks)"),
            ("conditioning", "S-AdaLN in space, none over time"),
        ]
    tubes = "uniform frame" if c.tube == 1 else f"compression frame, tubes of {c.tube}"
    return [
        ("variant", f"{c.variant}: {VARIANTS[c.variant]}"),
        ("patch", f"{c.patch}x{c.patch}, {tubes}"),
        ("latents", latents),
        ("frames", f"{c.frames}, temporal position {c.temporal_position}"),
        ("classes", classes_text(c)),
        ("conditioning", CONDITIONING[c.conditioning]),
    ]


def unsaid_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What the file does not say or hold, and what of it is not used."""
    untold = ["heads"] * (found["config"]["heads"] is None) + found["assumed"]
    said = {
        "assumed": (untold, ": the weights do not tell"),
        "rebuilt": (found["rebuilt"], ": not in the file, made from their formula"),
        "left out": (found["left_out"], ": no weights"),
    }
    return [
        (name, ", ".join(word.replace("_", " ") if name == "assumed" else word for word in words) + reason)
        for name, (words, reason) in said.items()
        if words
    ]


def heads_text(found: dict[str, Any]) -> str:
    """How many heads, or what to type."""
    config = found["config"]
    if config["heads"] is not None:
        return f"{config['heads']} heads"
    possible = FAMILIES[found["family"]].possible_heads(config)
    return f"heads not told: give --heads N, one of {', '.join(map(str, possible))}"


def classes_text(config: LatteConfig) -> str:
    if config.classes is None:
        return "none: unconditional"
    return f"{config.classes}, and the null class" if config.null_row else f"{config.classes}, without a null class"


def weights_text(weights: str) -> str:
    """Which weights of the file are meant."""
    known = {"ema": "EMA", "model": "not EMA (`model`)", "bare": "a bare state dict: EMA or not is not told"}
    return known.get(weights, f"`{weights}`: EMA or not is not told")
