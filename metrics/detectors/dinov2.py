"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193), the network behind FD-DINOv2 (Stein et al. 2023, arXiv 2306.04675).

ViT-L/14 without registers, from transformers. Called as layer6ai-labs/dgm-eval@74c79f75 does: each frame goes through
PIL's bicubic filter to 224x224 (aspect ratio not kept), / 255, then ImageNet's mean and standard deviation; the feature
is the class token after the last LayerNorm. The table of positions is brought from 37x37 to 16x16 as the torch hub
brings it, by a scale of (16 + 0.1) / 37; transformers by itself asks for a size of 16 and gets other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import WeightsError
from latte_eval.files.weights import DINOV2_BASE, DINOV2_LARGE, DINOV2_SMALL, Weights, fetch_weights, file_sha256
from latte_eval.metrics.detectors.archive import load_tensors
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector
from latte_eval.metrics.detectors.inception import check_images, on_frames
from latte_eval.metrics.detectors.network import Outputs, in_fixed_batches, recipe_sha256
from latte_eval.metrics.detectors.transformer import (
    import_transformers,
    load_mapped,
    required,
    seeded_tensors,
    without_memory,
)

WHO = "DINOv2"
SIZE, PATCH, HEAD_WIDTH = 224, 14, 64
GRID, OFFSET = SIZE // PATCH, 0.1
CPU_BATCH, GPU_BATCH = 4, 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
POSITIONS = "embeddings.position_embeddings"
RECIPE = "DINOv2, width 64, 2 blocks, scaled by fan-in"
SEEDED_WIDTH, SEEDED_DEPTH, TRAINED_GRID = 64, 2, 37


class DINOv2(nn.Module):
    """The network with its preprocessing: [N, 3, H, W] uint8 -> [N, D] float32.

    Images go through in batches of a fixed size, so that an image's features do not depend on those it comes with.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """A DINOv2 whose weights are not set: use `from_state_dict` or `seeded`."""
        super().__init__()
        transformers = import_transformers(WHO)
        settings = transformers.Dinov2Config(image_size=SIZE, **config)
        self.encoder = without_memory(lambda: transformers.Dinov2Model(settings))
        self.eval()

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> DINOv2:
        """A DINOv2 with weights under the names of transformers (`facebook/dinov2-large`), positions for any size.

        Raises `WeightsError` where tensors are missing, unknown or of other shapes.
        """
        network = cls(config_of(state))
        resized = resized_positions(required(state, POSITIONS, WHO).float())
        load_mapped(network.encoder, {**state, POSITIONS: resized}, WHO)
        return network

    @classmethod
    def seeded(cls, seed: int = 0) -> DINOv2:
        """A small DINOv2 with random weights that are a function of `seed`, for machines without the file."""
        return cls.from_state_dict(seeded_tensors(seeded_shapes(), RECIPE, seed))

    @property
    def device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    def forward(self, images: Tensor) -> Tensor:  # [N, 3, H, W] uint8 -> [N, D] float32
        """Features of images of any size. Raises `ClipError` for another dtype or layout."""
        return self.outputs(images)["features"]

    def outputs(self, images: Tensor) -> Outputs:
        """As `forward`, by name."""
        pixels = preprocess(images).to(self.device)
        with exact_float32():
            return in_fixed_batches(self.batch_outputs, pixels, CPU_BATCH if self.device.type == "cpu" else GPU_BATCH)

    def batch_outputs(self, pixels: Tensor) -> Outputs:
        """The class token after the last LayerNorm, for one batch."""
        return {"features": self.encoder(pixel_values=pixels).last_hidden_state[:, 0]}


def preprocess(images: Tensor) -> Tensor:  # [N, 3, H, W] uint8 -> [N, 3, 224, 224] float32
    """PIL's bicubic filter on whole grey levels, / 255, ImageNet's mean and standard deviation."""
    check_images(images)
    frames = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    resized = np.stack([resized_frame(each) for each in frames])
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (MEAN, STD))
    return (torch.from_numpy(resized).permute(0, 3, 1, 2).float() / 255 - mean) / std


def resized_frame(frame: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8 -> [224, 224, 3] uint8
    return np.asarray(Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def resized_positions(table: Tensor) -> Tensor:  # [1, 1 + M * M, D] -> [1, 1 + 16 * 16, D]
    """The table for 224x224 pixels, as the torch hub interpolates it: bicubic, by a scale and not to a size."""
    side = round((table.shape[1] - 1) ** 0.5)
    if side * side + 1 != table.shape[1]:
        raise WeightsError(f"{WHO}: {table.shape[1]} positions are not a class token and a square grid")
    if side == GRID:
        return table
    grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = float(GRID + OFFSET) / side
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)


def config_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Width, depth and heads of a state dict, as transformers calls them. Raises `WeightsError`."""
    width = required(state, "embeddings.cls_token", WHO).shape[-1]
    patch = required(state, "embeddings.patch_embeddings.projection.weight", WHO).shape[-1]
    if patch != PATCH or width % HEAD_WIDTH:
        raise WeightsError(f"{WHO}: patches of {patch} pixels and a width of {width}; it takes {PATCH} pixels and a "
                           f"multiple of {HEAD_WIDTH}")  # fmt: skip
    depth = len({name.split(".")[2] for name in state if name.startswith("encoder.layer.")})
    return {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": width // HEAD_WIDTH,
            "patch_size": patch}  # fmt: skip


def seeded_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the small network, in transformers' words."""
    width = SEEDED_WIDTH
    square, vector = (width, width), (width,)
    attention = {f"attention.attention.{part}": square for part in ("query", "key", "value")}
    layers = {
        **attention,
        "attention.output.dense": square,
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
    }
    block: dict[str, tuple[int, ...]] = {f"norm{i}.{leaf}": vector for i in (1, 2) for leaf in ("weight", "bias")}
    block |= {f"layer_scale{i}.lambda1": vector for i in (1, 2)}
    for name, shape in layers.items():
        block |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    blocks = {f"encoder.layer.{i}.{name}": shape for i in range(SEEDED_DEPTH) for name, shape in block.items()}
    return {
        "embeddings.cls_token": (1, 1, width), "embeddings.mask_token": (1, width),
        POSITIONS: (1, 1 + TRAINED_GRID**2, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": vector,
        **blocks, "layernorm.weight": vector, "layernorm.bias": vector,
    }  # fmt: skip


def open_published(
    name: str, weights: Weights, device: str = "cpu", *, trust: bool = False, offline: bool | None = None
) -> Detector:
    """DINOv2 with published weights, found or downloaded. Raises `WeightsError` or `UsageError`."""
    import_transformers(WHO)
    path = fetch_weights(weights, offline)
    return dinov2_from_file(path, device, name, weights)


def dinov2_from_file(path: Path, device: str, name: str = "dinov2", weights: Weights = DINOV2_LARGE) -> Detector:
    """The network with the weights of a file. Raises `WeightsError`."""
    network = DINOv2.from_state_dict(load_tensors(path)).to(device)
    return Detector(name, on_frames(network.outputs), weights, file_sha256(path), device)


open_dinov2 = partial(open_published, "dinov2", DINOV2_LARGE)
open_dinov2_base = partial(open_published, "dinov2-base", DINOV2_BASE)
open_dinov2_small = partial(open_published, "dinov2-small", DINOV2_SMALL)


def open_dinov2_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """A small DINOv2 with seeded random weights, which needs no file."""
    return Detector(
        "dinov2-seeded", on_frames(DINOv2.seeded().to(device).outputs), None,
        recipe_sha256(RECIPE, 0, seeded_shapes()), device, comparable=False, note=SEEDED_NOTE,
    )  # fmt: skip
