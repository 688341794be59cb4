"""V-JEPA with its probe, the network behind JEDi (Luo et al. 2024, arXiv 2410.05203).

V-JEPA v1 ViT-H/16 (facebookresearch/jepa@51c59d5) and the attentive probe that was trained on Something-Something v2:
the feature is what one query gathers from all tokens, before the probe's linear layer. transformers' `VideoMAEModel` is
the same encoder under other names, `VJEPA2AttentivePooler` the same pooler but for a projection after the attention.

The package `vjepa` 0.1.2, which JEDi's own package calls, applies that projection; facebookresearch/jepa does so only
between 2024-02-19 and 2025-02-27, and the probe was most likely trained without. `vjepa` is as packaged,
`vjepa-unprojected` without. Frames go bilinearly, antialiased, to 224x224 (aspect ratio not kept), / 255, ImageNet's
mean and standard deviation; JEDi's package resizes nothing and leaves the size to its caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.files.weights import VJEPA_ENCODER, VJEPA_PROBE, find_weights
from latte_eval.metrics.detectors.archive import load_tensors
from latte_eval.metrics.detectors.base import SEEDED_NOTE, UNPINNED_NOTE, Detector, check_clips
from latte_eval.metrics.detectors.c3d import files_sha256
from latte_eval.metrics.detectors.network import in_fixed_batches, recipe_sha256
from latte_eval.metrics.detectors.transformer import (
    EXTRA,
    import_transformers,
    load_mapped,
    required,
    seeded_tensors,
    without_memory,
)

WHO = "V-JEPA"
SIZE, FRAMES, TUBELET, PATCH = 224, 16, 2, 16
TOKENS = FRAMES // TUBELET * (SIZE // PATCH) ** 2
EPS, POOLER_EPS = 1e-6, 1e-5
HEADS = 16
INNER_BATCH = 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RECIPE = "V-JEPA, width 64, 2 blocks, scaled by fan-in"
SEEDED_WIDTH, SEEDED_DEPTH, SEEDED_HEADS = 64, 2, 4

# Tensors of a block, and of the pooler: the reference's name -> that of transformers.
BLOCK = {
    "norm1": "layernorm_before", "attn.proj": "attention.output.dense", "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip
CROSS = "cross_attention_block"
POOLER = {
    "norm1": "layer_norm1", "norm2": "layer_norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
    "xattn.q": "cross_attn.q_proj",
}  # fmt: skip


class ProjectedAttention(nn.Module):
    """An attention of transformers with a linear layer after it."""

    def __init__(self, attention: nn.Module, weight: Tensor, bias: Tensor):
        super().__init__()
        self.attention = attention
        self.weight, self.bias = (nn.Parameter(each.float(), requires_grad=False) for each in (weight, bias))

    def forward(self, *tokens: Tensor, **options: Any) -> tuple[Any, ...]:
        found, *others = self.attention(*tokens, **options)
        return F.linear(found, self.weight, self.bias), *others


class VJEPA(nn.Module):
    """Encoder and pooler with their preprocessing: [N, 3, 16, H, W] uint8 -> [N, D] float32.

    Clips go through in inner batches of one size, so that a clip's features do not depend on those it comes with.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp: int) -> None:
        """A network whose weights are not set: use `from_state_dicts` or `seeded`."""
        super().__init__()
        transformers, pooler_class = import_transformers(WHO), import_pooler()
        settings = transformers.VideoMAEConfig(
            image_size=SIZE, num_frames=FRAMES, tubelet_size=TUBELET, patch_size=PATCH, hidden_size=width,
            num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=mlp, layer_norm_eps=EPS,
            use_mean_pooling=False,
        )  # fmt: skip
        pooling = transformers.VJEPA2Config(
            hidden_size=width, num_attention_heads=heads, num_pooler_layers=0, layer_norm_eps=POOLER_EPS,
            attn_implementation="eager",
        )  # fmt: skip
        self.encoder = without_memory(lambda: transformers.VideoMAEModel(settings))
        self.pooler: Any = without_memory(lambda: pooler_class(pooling))
        self.eval()

    @classmethod
    def from_state_dicts(
        cls, encoder: Mapping[str, Tensor], probe: Mapping[str, Tensor], heads: int = HEADS, projected: bool = True
    ) -> VJEPA:
        """A network with the weights of the published encoder and probe, under the names of facebookresearch/jepa.

        `projected` applies the probe's `xattn.proj`, as the package behind JEDi does. Raises `WeightsError` where
        tensors are missing, unknown or of other shapes: a pooler is never left as it was drawn.
        """
        encoder, probe = without_wrapping(encoder), without_wrapping(probe)
        patch, mlp = (required(encoder, f"{name}.weight", WHO) for name in ("patch_embed.proj", "blocks.0.mlp.fc1"))
        depth = len({name.split(".")[1] for name in encoder if name.startswith("blocks.")})
        network = cls(patch.shape[0], depth, heads, mlp.shape[0])
        load_mapped(network.encoder, mapped_encoder(encoder, depth), WHO)
        embeddings: Any = network.encoder.embeddings
        embeddings.position_embeddings = checked_positions(encoder, patch.shape[0])
        load_mapped(network.pooler, mapped_pooler(probe), f"{WHO} probe")
        if projected:
            layer = network.pooler.cross_attention_layer
            projection = (required(probe, f"pooler.{CROSS}.xattn.proj.{leaf}", WHO) for leaf in ("weight", "bias"))
            layer.cross_attn = ProjectedAttention(layer.cross_attn, *projection)
        return network

    @classmethod
    def seeded(cls, seed: int = 0) -> VJEPA:
        """A small network with random weights that are a function of `seed`, for machines without the files."""
        encoder, probe = (seeded_tensors(shapes, RECIPE, seed) for shapes in (encoder_shapes(), probe_shapes()))
        return cls.from_state_dicts(encoder, probe, heads=SEEDED_HEADS)

    def forward(self, clips: Tensor) -> Tensor:  # [N, 3, 16, H, W] uint8 -> [N, D] float32
        """Features of clips of any size. Raises `ClipError` for another layout or number of frames."""
        check_clips(clips, "vjepa", FRAMES, FRAMES)
        with exact_float32():
            clips = clips.to(next(self.parameters()).device)
            return in_fixed_batches(self.batch_features, clips, INNER_BATCH)["features"]

    def batch_features(self, clips: Tensor) -> dict[str, Tensor]:
        """As `forward`, in one batch."""
        tokens = self.encoder(pixel_values=preprocess(clips)).last_hidden_state
        return {"features": self.pooler(tokens)}


def import_pooler() -> Any:
    """The pooler's class. Raises `UsageError` for a version of transformers that has none."""
    try:
        from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2AttentivePooler
    except ImportError as error:
        raise UsageError(f"{WHO} needs transformers 4.53 or newer: {EXTRA}") from error
    return VJEPA2AttentivePooler


def preprocess(clips: Tensor) -> Tensor:  # [N, 3, T, H, W] uint8 -> [N, T, 3, 224, 224] float32
    """Resize each frame (bilinear, antialiased), then / 255, ImageNet's mean and standard deviation."""
    frames = clips.transpose(1, 2).flatten(0, 1).float() / 255
    frames = F.interpolate(frames, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
    mean, std = (torch.tensor(each, device=clips.device).reshape(3, 1, 1) for each in (MEAN, STD))
    return ((frames - mean) / std).unflatten(0, (len(clips), -1))


def without_wrapping(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without those of wrappers: `module.backbone.norm.weight` is `norm.weight`."""
    return {name.removeprefix("module.").removeprefix("backbone."): value for name, value in state.items()}


def checked_positions(state: Mapping[str, Tensor], width: int) -> Tensor:  # -> [1, 1568, D]
    """The table of positions in the file. Raises `WeightsError` for one of other clips."""
    table = required(state, "pos_embed", WHO).float()
    if tuple(table.shape) != (1, TOKENS, width):
        raise WeightsError(f"{WHO}: pos_embed has the shape {tuple(table.shape)} instead of {(1, TOKENS, width)}")
    return table


def mapped_encoder(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The state dict of transformers' encoder. The bias of keys is left out: the softmax cancels it."""
    pairs = {"patch_embed.proj": "embeddings.patch_embeddings.projection", "norm": "layernorm"}
    for block in range(depth):
        pairs |= {f"blocks.{block}.{ours}": f"encoder.layer.{block}.{theirs}" for ours, theirs in BLOCK.items()}
    mapped = renamed(state, pairs)
    for block in range(depth):
        weight, bias = (required(state, f"blocks.{block}.attn.qkv.{leaf}", WHO).chunk(3) for leaf in ("weight", "bias"))
        attention = f"encoder.layer.{block}.attention.attention"
        mapped |= {f"{attention}.{part}.weight": weight[i] for i, part in enumerate(("query", "key", "value"))}
        mapped |= {f"{attention}.query.bias": bias[0], f"{attention}.value.bias": bias[2]}
    used = {f"{name}.{leaf}" for name in pairs for leaf in ("weight", "bias")} | {"pos_embed"}
    used |= {f"blocks.{block}.attn.qkv.{leaf}" for block in range(depth) for leaf in ("weight", "bias")}
    refuse_unknown(state, used)
    return mapped


def mapped_pooler(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of transformers' pooler, without the projection after its attention."""
    pairs = {f"pooler.{CROSS}.{ours}": f"cross_attention_layer.{theirs}" for ours, theirs in POOLER.items()}
    mapped = renamed(state, pairs)
    for leaf in ("weight", "bias"):
        key, value = required(state, f"pooler.{CROSS}.xattn.kv.{leaf}", WHO).chunk(2)
        mapped[f"cross_attention_layer.cross_attn.k_proj.{leaf}"] = key
        mapped[f"cross_attention_layer.cross_attn.v_proj.{leaf}"] = value
    mapped["query_tokens"] = required(state, "pooler.query_tokens", WHO)
    used = {f"{name}.{leaf}" for name in [*pairs, f"pooler.{CROSS}.xattn.kv", f"pooler.{CROSS}.xattn.proj", "linear"]
            for leaf in ("weight", "bias")}  # fmt: skip
    refuse_unknown(state, used | {"pooler.query_tokens"})
    return mapped


def renamed(state: Mapping[str, Tensor], pairs: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights and biases under other names. Raises `WeightsError` for one that is missing."""
    return {f"{theirs}.{leaf}": required(state, f"{ours}.{leaf}", WHO)
            for ours, theirs in pairs.items() for leaf in ("weight", "bias")}  # fmt: skip


def refuse_unknown(state: Mapping[str, Tensor], used: set[str]) -> None:
    """Raise `WeightsError` for tensors that the network has no place for."""
    if unknown := [name for name in state if name not in used]:
        raise WeightsError(f"{WHO}: the file has tensors of another network: {unknown[:2]}")


def encoder_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the small encoder, in the reference's words."""
    width, mlp = SEEDED_WIDTH, 2 * SEEDED_WIDTH
    linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (mlp, width),
              "mlp.fc2": (width, mlp)}  # fmt: skip
    block: dict[str, tuple[int, ...]] = {f"{norm}.{leaf}": (width,) for norm in ("norm1", "norm2")
                                         for leaf in ("weight", "bias")}  # fmt: skip
    for name, shape in linear.items():
        block |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    blocks = {f"blocks.{i}.{name}": shape for i in range(SEEDED_DEPTH) for name, shape in block.items()}
    return {"pos_embed": (1, TOKENS, width), "patch_embed.proj.weight": (width, 3, TUBELET, PATCH, PATCH),
            "patch_embed.proj.bias": (width,), **blocks, "norm.weight": (width,), "norm.bias": (width,)}  # fmt: skip


def probe_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the small probe, in the reference's words."""
    width = SEEDED_WIDTH
    linear = {"xattn.q": (width, width), "xattn.kv": (2 * width, width), "xattn.proj": (width, width),
              "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {"pooler.query_tokens": (1, 1, width)}
    for norm in ("norm1", "norm2"):
        shapes |= {f"pooler.{CROSS}.{norm}.{leaf}": (width,) for leaf in ("weight", "bias")}
    for name, shape in linear.items():
        shapes |= {f"pooler.{CROSS}.{name}.weight": shape, f"pooler.{CROSS}.{name}.bias": shape[:1]}
    return shapes


def open_published(
    name: str, projected: bool, device: str = "cpu", *, trust: bool = False, offline: bool | None = None
) -> Detector:
    """V-JEPA with the published weights, where somebody has put or fetched them: they are never downloaded by the way.

    Raises `WeightsError` that says under which licence they are, and what to type.
    """
    import_transformers(WHO)
    paths = [find_weights(record) for record in (VJEPA_ENCODER, VJEPA_PROBE)]
    if paths[0] is None or paths[1] is None:
        raise WeightsError(
            f"the weights of V-JEPA are not installed. Their licence is {VJEPA_ENCODER.licence}; where that suits you, "
            f"type: latte-eval weights fetch {VJEPA_ENCODER.name} {VJEPA_PROBE.name}. For a trial there is "
            f"--detector vjepa-seeded (not comparable with published numbers)"
        )
    return vjepa_from_files(paths[0], paths[1], device, name, projected)


def vjepa_from_files(encoder: Path, probe: Path, device: str, name: str = "vjepa", projected: bool = True) -> Detector:
    """The network with the weights of two files. Raises `WeightsError`."""
    states = load_tensors(encoder, "target_encoder"), load_tensors(probe, "classifier")
    network = VJEPA.from_state_dicts(*states, projected=projected).to(device)
    note = f"{UNPINNED_NOTE}; licence {VJEPA_ENCODER.licence}"
    return as_detector(name, network, VJEPA_ENCODER, files_sha256(encoder, probe), device, note)


vjepa_unprojected_from_files = partial(vjepa_from_files, name="vjepa-unprojected", projected=False)
open_vjepa = partial(open_published, "vjepa", True)
open_vjepa_unprojected = partial(open_published, "vjepa-unprojected", False)


def open_vjepa_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """A small V-JEPA with seeded random weights, which needs no file."""
    sha256 = recipe_sha256(RECIPE, 0, {**encoder_shapes(), **probe_shapes()})
    return as_detector("vjepa-seeded", VJEPA.seeded().to(device), None, sha256, device, SEEDED_NOTE)


def as_detector(name: str, network: VJEPA, weights: Any, sha256: str, device: str, note: str) -> Detector:
    """A detector of clips of exactly 16 frames."""
    return Detector(
        name, lambda clips: {"features": network(clips)}, weights, sha256, device, min_frames=FRAMES,
        max_frames=FRAMES, comparable=weights is not None, note=note,
    )  # fmt: skip
