"""The layers of the 2015-12-05 Inception from torchvision's blocks, and the resize of TensorFlow 1 before them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.inception import (
    Inception3,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

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
    """3x3 averages over the pixels that exist; torchvision's blocks count the padding as zeros."""
    return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """3x3 maxima, which the last block has in place of the averages."""
    return F.max_pool2d(x, kernel_size=3, stride=1, padding=1)


class BlockA(InceptionA):
    """torchvision's block with the averages of `mean_pool`."""

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(mean_pool(x))], 1)


class BlockC(InceptionC):
    """torchvision's block with the averages of `mean_pool`."""

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(mean_pool(x))], 1)


class BlockE(InceptionE):
    """torchvision's block with the averages of `mean_pool`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x, mean_pool(x))

    def join(self, x: Tensor, pooled: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        halves = self.branch3x3_2a(three), self.branch3x3_2b(three)
        halves_double = self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)
        return torch.cat([self.branch1x1(x), *halves, *halves_double, self.branch_pool(pooled)], 1)


class LastBlockE(BlockE):
    """The last block: `max_pool` in place of the averages, as in the published graph."""

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x, max_pool(x))


def build_trunk(conv: Callable[..., nn.Module]) -> Inception3:  # [N, 3, 299, 299] in [-1, 1] -> [N, 2048]
    """The network up to the averages after its last block; `conv` makes convolution, batch-norm and ReLU."""
    blocks: list[Callable[..., Any]] = [BlockA, InceptionB, BlockC, InceptionD, BlockE, InceptionAux]
    shaped = [conv, *(partial(block, conv_block=conv) for block in blocks)]
    trunk = Inception3(aux_logits=False, inception_blocks=shaped, init_weights=False, dropout=0.0)
    trunk.Mixed_7c = LastBlockE(2048, conv_block=conv)
    trunk.fc = nn.Identity()
    return trunk
