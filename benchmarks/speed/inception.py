"""Inception features, native against TorchScript of the same network with separate batch-norms, as a markdown row.

    python benchmarks/speed/inception.py

Both get the same seeded weights and uint8 frames and do their own resize: the baseline writes it as a grid, as NVIDIA's
archive does, and takes all frames in one batch. The two take turns, and the best turn of each counts.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.inception import BasicConv2d

from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.metrics.detectors import InceptionV3
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


def both_networks(device: str) -> tuple[InceptionV3, torch.jit.ScriptModule]:
    """The native network, and the baseline as TorchScript, with the same weights."""
    trunk = build_trunk(BasicConv2d).eval().requires_grad_(False)
    for name, value in trunk.state_dict().items():
        if value.ndim == 4:
            value.copy_(he_scaled(value.shape, "benchmark", name))
    native = InceptionV3.from_state_dict(trunk.state_dict() | {"fc.weight": torch.zeros(1008, 2048)})
    layers = torch.jit.trace(trunk, torch.zeros(2, 3, 299, 299), check_trace=False)
    return native.to(device), torch.jit.script(Unfused(layers)).to(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    native, baseline = both_networks(arguments.device)
    shape = (arguments.frames, 3, arguments.size, arguments.size)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8).to(arguments.device)
    turns = take_turns(native, baseline, frames, arguments.repeats)
    print(turns.to_row(f"Inception features, {arguments.size}x{arguments.size} frames", "frames", arguments.device))


if __name__ == "__main__":
    main()
