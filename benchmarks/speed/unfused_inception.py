"""The Inception written down plainly, with separate batch-norms: what the fused one is compared with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.inception import BasicConv2d

from latte_eval.metrics.detectors import InceptionV3
from latte_eval.metrics.detectors.inception import EPS
from latte_eval.metrics.detectors.inception_network import build_trunk
from latte_eval.metrics.detectors.network import he_scaled


class Unfused(nn.Module):
    """[N, 3, H, W] uint8 -> [N, 2048], with the resize of the published archive."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, images: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        theta = torch.eye(2, 3, device=images.device)
        theta[0, 2] += 1 / width - 1 / 299
        theta[1, 2] += 1 / height - 1 / 299
        grid = F.affine_grid(theta.unsqueeze(0).repeat(count, 1, 1), [count, channels, 299, 299], False)
        pixels = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        return self.layers((pixels - 128) / 128)


def unfused_state() -> dict[str, Tensor]:
    """The weights of `InceptionV3.seeded()` under torch-fidelity's names, with batch-norms that do nothing."""
    network = InceptionV3.seeded()
    state = dict(build_trunk(BasicConv2d).state_dict())
    for name, layer in network.convolutions().items():
        state[f"{name}.conv.weight"] = layer.weight.contiguous()
        state[f"{name}.bn.running_var"] = torch.full((len(layer.weight),), 1 - EPS)
    return state | {"fc.weight": network.head.data.clone(), "fc.bias": torch.zeros(len(network.head))}


def plain_state() -> dict[str, Tensor]:
    """Weights scaled as He et al. 2015. Those of `InceptionV3.seeded()` sum to zero and magnify rounding 500 times."""
    state = dict(build_trunk(BasicConv2d).state_dict())
    drawn = {name: he_scaled(value.shape, "benchmark", name) for name, value in state.items() if value.ndim == 4}
    return {**state, **drawn, "fc.weight": torch.zeros(1008, 2048)}


def scripted_inception(state: Mapping[str, Tensor] | None = None) -> torch.jit.ScriptModule:
    """A TorchScript module of the network, the seeded one unless given weights, its layers called `layers`."""
    weights = unfused_state() if state is None else state
    trunk = build_trunk(BasicConv2d).eval().requires_grad_(False)
    trunk.load_state_dict({name: value for name, value in weights.items() if not name.startswith("fc.")})
    layers = torch.jit.trace(trunk, torch.zeros(2, 3, 299, 299), check_trace=False)
    module: torch.jit.ScriptModule = torch.jit.script(Unfused(layers))
    return module
