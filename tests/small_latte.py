"""Small Lattes for tests: the golden ones, and one with random weights that answers at the scale of noise."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from latte_eval.evaluation.golden.files import Golden
from latte_eval.sampler.latte import Latte, LatteConfig

Model = TypeVar("Model", bound=nn.Module)

SMALL = LatteConfig(input_size=8, patch=4, channels=3, width=32, depth=2, heads=4, frames=4, classes=3)


def golden_latte(file: Golden) -> Latte:
    return Latte.from_state_dict(file.tensors(), heads=file.meta["config"]["num_heads"])


def seeded_input(file: Golden, name: str) -> Tensor:
    """A named input of a golden file."""
    return torch.from_numpy(file.noise(name))


def small_latte(config: LatteConfig = SMALL, seed: int = 0) -> Latte:
    """Random weights everywhere: a new model would answer zero."""
    return randomised(Latte(config), seed)


def randomised(model: Model, seed: int) -> Model:
    """The model with random weights that keep the scale of what goes through them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 400
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.5 / fan_in**0.5)
    return model.requires_grad_(False).eval()


def relative(found: Tensor, reference: np.ndarray | Tensor) -> float:
    """Largest difference over the rms of the reference."""
    reference = torch.as_tensor(reference)
    return float((found - reference).abs().max() / reference.double().pow(2).mean().sqrt())
