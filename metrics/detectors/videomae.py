"""VideoMAE V2, the network behind the content-debiased FVD (CD-FVD; Ge et al. 2024, arXiv 2404.12391).

ViT-g, pre-trained on unlabelled videos and fine-tuned with labels on Something-Something v2. transformers'
`VideoMAEModel` is the same function under other names (songweige/content-debiased-fvd, cd-fvd 0.1.1). Called as there:
frames / 255 without mean and standard deviation, bilinear to 224x224 without antialiasing, 16 frames; the feature is
the mean over all tokens of the last block, then a LayerNorm with an eps of 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import WeightsError
from latte_eval.files.weights import VIDEOMAE_V2, fetch_weights, file_sha256
from latte_eval.metrics.detectors.archive import load_tensors
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector, check_clips
from latte_eval.metrics.detectors.network import in_fixed_batches, recipe_sha256
from latte_eval.metrics.detectors.transformer import (
    import_transformers,
    load_mapped,
    named_as,
    required,
    seeded_tensors,
    without_memory,
)

WHO = "VideoMAE"
SIZE, FRAMES, TUBELET = 224, 16, 2
EPS = 1e-6
HEADS = 16
INNER_BATCH = 2
RECIPE = "VideoMAE, width 64, 2 blocks, scaled by fan-in"
SEEDED_WIDTH, SEEDED_DEPTH, SEEDED_HEADS, PATCH = 64, 2, 4, 14

# Tensors of a block: the reference's name -> that of transformers.
BLOCK = {
    "norm1": "layernorm_before", "attn.proj": "attention.output.dense", "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip


class VideoMAE(nn.Module):
    """The network with its preprocessing: [N, 3, 16, H, W] uint8 -> [N, D] float32.

    Clips go through in inner batches of one size, so that a clip's features do not depend on those it comes with.
    """

    def __init__(self, config: Mapping[str, int]) -> None:
        """A VideoMAE whose weights are not set: use `from_state_dict` or `seeded`."""
        super().__init__()
        transformers = import_transformers(WHO)
        settings = transformers.VideoMAEConfig(**config, **FIXED)
        self.encoder = without_memory(lambda: transformers.VideoMAEModel(settings))
        embeddings: Any = self.encoder.embeddings
        embeddings.position_embeddings = sinusoids(embeddings.num_patches, config["hidden_size"])[None]
        self.norm_weight = nn.Parameter(torch.empty(config["hidden_size"]), requires_grad=False)
        self.norm_bias = nn.Parameter(torch.empty(config["hidden_size"]), requires_grad=False)
        self.eval()

    @classmethod
    def from_state_dict(cls, d: Mapping[str, Tensor], heads: int = HEADS) -> VideoMAE:
        """A VideoMAE with weights under the names of cd-fvd (`blocks.0.attn.qkv.weight`, ...); its head is not used.

        Arrays of numpy do as well. `heads` is the one number that shapes do not tell. Raises `WeightsError` where
        tensors are missing, unknown or of other shapes, and where transformers lost the biases of queries or values.
        """
        d = {name: torch.as_tensor(value) for name, value in d.items()}
        config = config_of(d, heads)
        network = cls(config)
        mapped = mapped_state(d, config["num_hidden_layers"])
        load_mapped(network.encoder, mapped, WHO)
        check_biases(network.encoder, d, config["num_hidden_layers"])
        network.norm_weight.copy_(required(d, "fc_norm.weight", WHO))
        network.norm_bias.copy_(required(d, "fc_norm.bias", WHO))
        return network

    @classmethod
    def seeded(cls, seed: int = 0) -> VideoMAE:
        """A small VideoMAE with random weights that are a function of `seed`, for machines without the file."""
        return cls.from_state_dict(seeded_tensors(seeded_shapes(), RECIPE, seed), SEEDED_HEADS)

    def forward(self, clips: Tensor) -> Tensor:  # [N, 3, 16, H, W] uint8 -> [N, D] float32
        """Features of clips of any size. Raises `ClipError` for another layout or number of frames."""
        check_clips(clips, "videomae", FRAMES, FRAMES)
        with exact_float32():
            clips = clips.to(self.norm_weight.device)
            return in_fixed_batches(self.batch_features, clips, INNER_BATCH)["features"]

    def batch_features(self, clips: Tensor) -> dict[str, Tensor]:
        """As `forward`, in one batch."""
        tokens = self.encoder(pixel_values=preprocess(clips)).last_hidden_state
        features = F.layer_norm(tokens.mean(1), self.norm_weight.shape, self.norm_weight, self.norm_bias, EPS)
        return {"features": features}


# What transformers' VideoMAE is built with; its own eps is 1e-12, and with its own pooling it has a norm of its own.
FIXED: dict[str, Any] = {
    "image_size": SIZE, "num_frames": FRAMES, "tubelet_size": TUBELET, "layer_norm_eps": EPS, "use_mean_pooling": True,
}  # fmt: skip


def preprocess(clips: Tensor) -> Tensor:  # [N, 3, T, H, W] uint8 -> [N, T, 3, 224, 224] float32 in [0, 1]
    """Scale, then resize each frame: bilinear, half-pixel centres, no antialiasing, no mean or standard deviation."""
    frames = clips.transpose(1, 2).flatten(0, 1).float() / 255
    frames = F.interpolate(frames, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return frames.unflatten(0, (len(clips), -1))


def sinusoids(tokens: int, width: int) -> Tensor:  # -> [tokens, width] float32
    """Fixed positions (Vaswani et al. 2017): sine in even, cosine in odd columns, wavelengths up to 10,000 x 2 pi."""
    column = torch.arange(width, dtype=torch.float64)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] / 10000 ** (2 * (column // 2) / width)
    angles[:, 0::2], angles[:, 1::2] = angles[:, 0::2].sin(), angles[:, 1::2].cos()
    return angles.float()


def config_of(state: Mapping[str, Tensor], heads: int) -> dict[str, int]:
    """Width, depth and patch of a state dict, as transformers calls them. Raises `WeightsError`."""
    patch = required(state, "patch_embed.proj.weight", WHO)
    if patch.ndim != 5 or tuple(patch.shape[1:3]) != (3, TUBELET) or patch.shape[0] % heads:
        raise WeightsError(
            f"{WHO}: patch_embed.proj.weight has the shape {tuple(patch.shape)}; it must be (width, 3, {TUBELET}, "
            f"patch, patch), with a width that {heads} heads divide"
        )
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    mlp = required(state, "blocks.0.mlp.fc1.weight", WHO)
    return {"hidden_size": patch.shape[0], "num_hidden_layers": depth, "num_attention_heads": heads,
            "intermediate_size": mlp.shape[0], "patch_size": patch.shape[-1]}  # fmt: skip


def mapped_state(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The state dict of transformers' network. Raises `WeightsError` for tensors of no use."""
    for leaf in ("weight", "bias"):
        required(state, f"fc_norm.{leaf}", WHO)
    mapped = {f"embeddings.patch_embeddings.projection.{leaf}": required(state, f"patch_embed.proj.{leaf}", WHO)
              for leaf in ("weight", "bias")}  # fmt: skip
    for block in range(depth):
        mapped |= mapped_block(state, f"blocks.{block}", f"encoder.layer.{block}")
    used = 2 + depth * (2 * len(BLOCK) + 3) + 2
    others = [name for name in state if not name.startswith(("patch_embed.", "blocks.", "fc_norm.", "head."))]
    if others or used != sum(not name.startswith("head.") for name in state):
        raise WeightsError(f"{WHO}: the file has {len(state)} tensors, {used} were expected besides the head; "
                           f"unknown {others[:2]}")  # fmt: skip
    return mapped


def mapped_block(state: Mapping[str, Tensor], name: str, there: str) -> dict[str, Tensor]:
    """One block; queries, keys and values are one matrix in the reference."""
    mapped = {
        f"{there}.{target}.{leaf}": required(state, f"{name}.{source}.{leaf}", WHO)
        for source, target in BLOCK.items()
        for leaf in ("weight", "bias")
    }
    rows = required(state, f"{name}.attn.qkv.weight", WHO).chunk(3)
    attention = f"{there}.attention.attention"
    mapped |= {f"{attention}.{part}.weight": each for part, each in zip(PARTS, rows, strict=True)}
    for part in ("query", "value"):
        mapped[f"{attention}.{part}.bias"] = required(state, f"{name}.attn.{part[0]}_bias", WHO)
    return mapped


PARTS = ("query", "key", "value")


def check_biases(encoder: nn.Module, state: Mapping[str, Tensor], depth: int) -> None:
    """Raise `WeightsError` where the network holds other biases of queries and values than the file.

    Some versions of transformers put zeros in their place (huggingface/transformers#48675).
    """
    held = encoder.state_dict()
    for block in range(depth):
        for part in ("query", "value"):
            name = named_as(f"encoder.layer.{block}.attention.attention.{part}.bias", held)
            wanted = state[f"blocks.{block}.attn.{part[0]}_bias"].float()
            if not torch.equal(held[name].cpu(), wanted.cpu()):
                raise WeightsError(f"{WHO}: this version of transformers does not keep {name} as it was loaded")


def seeded_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the small network, in the reference's words."""
    width, mlp = SEEDED_WIDTH, 2 * SEEDED_WIDTH
    block = {
        "norm1.weight": (width,), "norm1.bias": (width,), "attn.q_bias": (width,), "attn.v_bias": (width,),
        "attn.qkv.weight": (3 * width, width), "attn.proj.weight": (width, width), "attn.proj.bias": (width,),
        "norm2.weight": (width,), "norm2.bias": (width,), "mlp.fc1.weight": (mlp, width), "mlp.fc1.bias": (mlp,),
        "mlp.fc2.weight": (width, mlp), "mlp.fc2.bias": (width,),
    }  # fmt: skip
    blocks = {f"blocks.{i}.{name}": shape for i in range(SEEDED_DEPTH) for name, shape in block.items()}
    patch = {"patch_embed.proj.weight": (width, 3, TUBELET, PATCH, PATCH), "patch_embed.proj.bias": (width,)}
    return {**patch, **blocks, "fc_norm.weight": (width,), "fc_norm.bias": (width,)}


def open_videomae(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """VideoMAE V2-g with the weights that CD-FVD uses, found or downloaded. Raises `WeightsError` or `UsageError`."""
    import_transformers(WHO)
    path = fetch_weights(VIDEOMAE_V2, offline)
    return videomae_from_file(path, device)


def videomae_from_file(path: Path, device: str) -> Detector:
    """The network with the weights of a file. Raises `WeightsError`, also where all biases of queries are zero."""
    state = load_tensors(path)
    network = VideoMAE.from_state_dict(state).to(device)
    if not any(value.any() for name, value in state.items() if name.endswith(("q_bias", "v_bias"))):
        raise WeightsError(f"{path}: the biases of queries and values are all zero: they were lost before")
    return as_detector("videomae", network, VIDEOMAE_V2, file_sha256(path), device)


def open_videomae_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """A small VideoMAE with seeded random weights, which needs no file."""
    sha256 = recipe_sha256(RECIPE, 0, seeded_shapes())
    return as_detector("videomae-seeded", VideoMAE.seeded().to(device), None, sha256, device)


def as_detector(name: str, network: VideoMAE, weights: Any, sha256: str, device: str) -> Detector:
    """A detector of clips of exactly 16 frames."""
    note = "" if weights else SEEDED_NOTE
    return Detector(
        name, lambda clips: {"features": network(clips)}, weights, sha256, device, min_frames=FRAMES,
        max_frames=FRAMES, comparable=weights is not None, note=note,
    )  # fmt: skip
