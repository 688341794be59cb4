"""The layers of the 2015-12-05 Inception (Szegedy et al. 2016), and the resize of TensorFlow 1 before them.

Layers have the names that torchvision and torch-fidelity give them. torchvision's own network averages other pixels,
and importing it takes a second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 299


def resize_tf1(images: Tensor, size: int = SIZE) -> Tensor:  # [N, C, H, W] -> [N, C, size, size] float32
    """Bilinear as TensorFlow 1's `resize_bilinear`: pixel 0 lies on pixel 0, one step is H / size, the edge repeats.

    No half-pixel centres and no antialiasing. Values keep their scale.
    """
    rows, columns = (tf1_weights(length, size).to(images.device, non_blocking=True) for length in images.shape[-2:])
    return rows @ (images.float() @ columns.T)


def tf1_weights(length: int, size: int) -> Tensor:  # -> [size, length] float32, rows sum to 1
    """Row i holds the weights of the two pixels around position i * length / size."""
    position = torch.arange(size, dtype=torch.float64) * (length / size)
    low, row = position.long(), torch.arange(size)
    weights = torch.zeros(size, length, dtype=torch.float64)
    weights[row, low] = 1 - (position - low)
    weights[row, (low + 1).clamp(max=length - 1)] += position - low
    return weights.float()


class FoldedConv(nn.Conv2d):
    """A convolution that has its batch-norm folded in, then ReLU."""

    bias: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(super().forward(x))


def mean_pool(x: Tensor) -> Tensor:
    """3x3 averages over the pixels that exist: unlike in torchvision's blocks, padding does not count."""
    return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """3x3 maxima, which the last block has in place of the averages."""
    return F.max_pool2d(x, kernel_size=3, stride=1, padding=1)


def halving_pool(x: Tensor) -> Tensor:
    """3x3 maxima of every other place, without padding."""
    return F.max_pool2d(x, kernel_size=3, stride=2)


# (channels in, channels out, kernel_size=, stride=, padding=) -> convolution, batch-norm and ReLU
MakeConv = Callable[..., nn.Module]
Pool = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """A convolution of a block. With a stride of 1 it is padded so that the size stays, else not at all."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1

    def make(self, conv: MakeConv, given: int) -> nn.Module:
        """The layer on so many channels."""
        height, width = self.kernel
        padding = (height // 2, width // 2) if self.stride == 1 else 0
        return conv(given, self.channels, kernel_size=self.kernel, stride=self.stride, padding=padding)


# Layers one after the other. Where the last entry has several, each takes what came before, and all are joined.
Branch = tuple[tuple[Layer, ...], ...]


def chain(name: str, *layers: tuple[int, tuple[int, int]], stride: int = 1) -> Branch:
    """A branch of layers called `name`_1, `name`_2, ..., or `name` if it has only one; the last one has the stride."""
    names = [f"{name}_{number}" for number in range(1, len(layers) + 1)] if len(layers) > 1 else [name]
    strides = [1] * (len(layers) - 1) + [stride]
    return tuple((Layer(name, *layer, step),) for name, layer, step in zip(names, layers, strides, strict=True))


class Block(nn.Module):
    """Branches on the same input, their outputs joined along channels, and behind them the pooled input.

    Args:
        channels: of the input.
        pooled: channels of the layer `branch_pool` after the pool; 0: there is none.
    """

    def __init__(self, conv: MakeConv, channels: int, branches: tuple[Branch, ...], pool: Pool, pooled: int = 0):
        super().__init__()
        self.pool = pool
        self.branches = [[[layer.name for layer in step] for step in branch] for branch in branches]
        for branch in branches:
            given = channels
            for step in branch:
                for layer in step:
                    self.add_module(layer.name, layer.make(conv, given))
                given = step[0].channels
        self.branch_pool = Layer("branch_pool", pooled).make(conv, channels) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        parts = [part for branch in self.branches for part in self.branch_outputs(branch, x)]
        return torch.cat([*parts, self.branch_pool(self.pool(x))], 1)

    def branch_outputs(self, branch: list[list[str]], x: Tensor) -> list[Tensor]:
        """What the last layers of a branch give."""
        *before, last = branch
        for (name,) in before:
            x = self.get_submodule(name)(x)
        return [self.get_submodule(name)(x) for name in last]


ONE, THREE, FIVE, FLAT, TALL = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


def block_a(conv: MakeConv, channels: int, pooled: int) -> Block:
    """A block of the 35x35 stage."""
    five = chain("branch5x5", (48, ONE), (64, FIVE))
    double = chain("branch3x3dbl", (64, ONE), (96, THREE), (96, THREE))
    return Block(conv, channels, (chain("branch1x1", (64, ONE)), five, double), mean_pool, pooled)


def block_b(conv: MakeConv, channels: int) -> Block:
    """From 35x35 to 17x17."""
    three = chain("branch3x3", (384, THREE), stride=2)
    double = chain("branch3x3dbl", (64, ONE), (96, THREE), (96, THREE), stride=2)
    return Block(conv, channels, (three, double), halving_pool)


def block_c(conv: MakeConv, inner: int) -> Block:
    """A block of the 17x17 stage, with so many channels between its layers."""
    seven = chain("branch7x7", (inner, ONE), (inner, FLAT), (192, TALL))
    double = chain("branch7x7dbl", (inner, ONE), (inner, TALL), (inner, FLAT), (inner, TALL), (192, FLAT))
    return Block(conv, 768, (chain("branch1x1", (192, ONE)), seven, double), mean_pool, 192)


def block_d(conv: MakeConv) -> Block:
    """From 17x17 to 8x8."""
    three = chain("branch3x3", (192, ONE), (320, THREE), stride=2)
    seven = chain("branch7x7x3", (192, ONE), (192, FLAT), (192, TALL), (192, THREE), stride=2)
    return Block(conv, 768, (three, seven), halving_pool)


def block_e(conv: MakeConv, channels: int, pool: Pool) -> Block:
    """A block of the 8x8 stage."""
    three = (Layer("branch3x3_1", 384),), halves("branch3x3_2")
    double = (Layer("branch3x3dbl_1", 448),), (Layer("branch3x3dbl_2", 384, THREE),), halves("branch3x3dbl_3")
    return Block(conv, channels, (chain("branch1x1", (320, ONE)), three, double), pool, 192)


def halves(name: str) -> tuple[Layer, Layer]:
    """A 3x3 layer as a flat and a tall one side by side."""
    return Layer(f"{name}a", 384, (1, 3)), Layer(f"{name}b", 384, (3, 1))


def build_trunk(conv: MakeConv) -> nn.Module:  # [N, 3, 299, 299] in [-1, 1] -> [N, 2048]
    """The network up to the averages after its last block; `conv` makes convolution, batch-norm and ReLU."""
    return nn.Sequential(
        OrderedDict(
            Conv2d_1a_3x3=conv(3, 32, kernel_size=3, stride=2),
            Conv2d_2a_3x3=conv(32, 32, kernel_size=3),
            Conv2d_2b_3x3=conv(32, 64, kernel_size=3, padding=1),
            maxpool1=nn.MaxPool2d(kernel_size=3, stride=2),
            Conv2d_3b_1x1=conv(64, 80, kernel_size=1),
            Conv2d_4a_3x3=conv(80, 192, kernel_size=3),
            maxpool2=nn.MaxPool2d(kernel_size=3, stride=2),
            Mixed_5b=block_a(conv, 192, pooled=32),
            Mixed_5c=block_a(conv, 256, pooled=64),
            Mixed_5d=block_a(conv, 288, pooled=64),
            Mixed_6a=block_b(conv, 288),
            Mixed_6b=block_c(conv, 128),
            Mixed_6c=block_c(conv, 160),
            Mixed_6d=block_c(conv, 160),
            Mixed_6e=block_c(conv, 192),
            Mixed_7a=block_d(conv),
            Mixed_7b=block_e(conv, 1280, mean_pool),
            Mixed_7c=block_e(conv, 2048, max_pool),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )
