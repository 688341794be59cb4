"""The I3D written down plainly, with separate batch-norms: the baseline that the fused network is compared with.

Names and call are those of hassony2/kinetics_i3d_pytorch and of the published archive, so that a TorchScript archive
of it stands in for the published one where that cannot be had.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.metrics.detectors.i3d_names import CLASSES, MIXED


def pad_same(x: Tensor, sides: list[int], strides: list[int]) -> Tensor:
    """Zeros around x [N, C, T, H, W] so that a window of `sides` at `strides` covers it as TensorFlow's SAME does."""
    _, _, frames, height, width = x.shape
    width_pads = pads_of(width, sides[2], strides[2])
    height_pads = pads_of(height, sides[1], strides[1])
    return F.pad(x, width_pads + height_pads + pads_of(frames, sides[0], strides[0]))


def pads_of(size: int, side: int, stride: int) -> list[int]:
    covered = (size + stride - 1) // stride
    total = max((covered - 1) * stride + side - size, 0)
    return [total // 2, total - total // 2]


class Unit(nn.Module):
    """Convolution, batch-norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, eps: float = 1e-3):
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, side, stride, bias=False)
        self.batch3d = nn.BatchNorm3d(outputs, eps=eps)
        self.sides, self.strides = [side] * 3, [stride] * 3

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.batch3d(self.conv3d(pad_same(x, self.sides, self.strides))))


class Pool(nn.Module):
    """Max-pooling with padding by zeros."""

    def __init__(self, sides: list[int], strides: list[int]):
        super().__init__()
        self.sides, self.strides = sides, strides

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.sides, self.strides), self.sides, self.strides)


class Block(nn.Module):
    """An Inception block of four branches."""

    def __init__(self, inputs: int, out0: int, mid1: int, out1: int, mid2: int, out2: int, out3: int, eps: float):
        super().__init__()
        self.branch_0 = Unit(inputs, out0, 1, eps=eps)
        self.branch_1 = nn.Sequential(Unit(inputs, mid1, 1, eps=eps), Unit(mid1, out1, 3, eps=eps))
        self.branch_2 = nn.Sequential(Unit(inputs, mid2, 1, eps=eps), Unit(mid2, out2, 3, eps=eps))
        self.branch_3 = nn.Sequential(Pool([3, 3, 3], [1, 1, 1]), Unit(inputs, out3, 1, eps=eps))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], 1)


class Logits(nn.Module):
    """The last convolution, with bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(1024, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class UnfusedI3D(nn.Module):
    """[N, 3, T, H, W] -> [N, 400], called as the published archive is."""

    def __init__(self, eps: float = 1e-3):
        super().__init__()
        self.conv3d_1a_7x7 = Unit(3, 64, 7, 2, eps)
        self.maxPool3d_2a_3x3 = Pool([1, 3, 3], [1, 2, 2])
        self.conv3d_2b_1x1 = Unit(64, 64, 1, 1, eps)
        self.conv3d_2c_3x3 = Unit(64, 192, 3, 1, eps)
        self.maxPool3d_3a_3x3 = Pool([1, 3, 3], [1, 2, 2])
        self.mixed_3b = Block(*MIXED["mixed_3b"], eps=eps)
        self.mixed_3c = Block(*MIXED["mixed_3c"], eps=eps)
        self.maxPool3d_4a_3x3 = Pool([3, 3, 3], [2, 2, 2])
        self.mixed_4b = Block(*MIXED["mixed_4b"], eps=eps)
        self.mixed_4c = Block(*MIXED["mixed_4c"], eps=eps)
        self.mixed_4d = Block(*MIXED["mixed_4d"], eps=eps)
        self.mixed_4e = Block(*MIXED["mixed_4e"], eps=eps)
        self.mixed_4f = Block(*MIXED["mixed_4f"], eps=eps)
        self.maxPool3d_5a_2x2 = Pool([2, 2, 2], [2, 2, 2])
        self.mixed_5b = Block(*MIXED["mixed_5b"], eps=eps)
        self.mixed_5c = Block(*MIXED["mixed_5c"], eps=eps)
        self.conv3d_0c_1x1 = Logits()
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        if rescale:
            x = x / 255 * 2 - 1
        if resize:
            x = resized(x)
        x = self.maxPool3d_2a_3x3(self.conv3d_1a_7x7(x))
        x = self.maxPool3d_3a_3x3(self.conv3d_2c_3x3(self.conv3d_2b_1x1(x)))
        x = self.maxPool3d_4a_3x3(self.mixed_3c(self.mixed_3b(x)))
        x = self.mixed_4e(self.mixed_4d(self.mixed_4c(self.mixed_4b(x))))
        x = self.mixed_5c(self.mixed_5b(self.maxPool3d_5a_2x2(self.mixed_4f(x))))
        x = self.conv3d_0c_1x1(F.avg_pool3d(x, [2, 7, 7], [1, 1, 1])).squeeze(4).squeeze(3).mean(2)
        return x if return_features else x.softmax(1)


def resized(x: Tensor) -> Tensor:  # [N, C, T, H, W] -> [N, C, T, 224, 224]
    n, channels, frames, height, width = x.shape
    flat = x.view(n * channels, frames, height, width)  # as published: the input must be contiguous
    flat = F.interpolate(flat, [224, 224], mode="bilinear", align_corners=False)
    return flat.reshape(n, channels, frames, 224, 224)


def scripted(state: dict[str, Tensor], eps: float = 1e-3) -> torch.jit.ScriptModule:
    """A TorchScript module with the tensors of a state dict in hassony2's naming."""
    network = UnfusedI3D(eps)
    network.load_state_dict(state, strict=False)  # counters of batches may be absent
    module: torch.jit.ScriptModule = torch.jit.script(network)
    return module
