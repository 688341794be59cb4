"""What a network costs: parameters, and operations of one forward pass counted without weights or memory.

Two ways of counting are in use and differ by a factor of two or more:

- the paper's Table 3 counts multiply-accumulates of linear and convolution layers plus two operations per value of
  a layer norm, for a batch of three clips, and leaves the attention products out (it is what thop.profile prints);
- the true cost of one clip is every multiplication and every addition, attention products included
  (torch.utils.flop_counter).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.sampler.families import FAMILIES
from latte_eval.sampler.latte.conditioning import Block
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.model import ModelConfig, VideoModel

PAPER_BATCH = 3


@dataclass(frozen=True)
class Cost:
    """What one network costs.

    Attributes:
        parameters: trainable parameters; fixed position tables are not among them.
        paper_operations: the paper's count, for a batch of three.
        flops: multiplications and additions of one clip in the published network, with attention.
        own_flops: the same in this implementation, which computes the modulation once per clip, not once for
            every frame and every token.
    """

    parameters: int
    paper_operations: int
    flops: int
    own_flops: int


def on_meta(config: ModelConfig) -> VideoModel:
    """A model without memory for its weights, trainable as published."""
    with UnsetWeights(), torch.device("meta"):
        model: VideoModel = FAMILIES[config.family].network(config).to("meta")
    return model


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def measure_cost(model: VideoModel) -> Cost:
    """All counts of a model on the meta device. The published VDT modulates once per clip, as this one does."""
    one, paper = latent_inputs(model.config, 1), latent_inputs(model.config, PAPER_BATCH)
    own = count_flops(model, *one)
    with modulation_as_published(model) if isinstance(model, Latte) else nullcontext():
        return Cost(count_parameters(model), count_paper_operations(model, *paper), count_flops(model, *one), own)


def latent_inputs(config: ModelConfig, batch: int) -> tuple[Tensor, ...]:  # -> [N, T, C, H, W], [N], [N]
    """Latents, timesteps and, where there are classes, labels of a forward pass on the meta device."""
    shape = (batch, config.frames, config.channels, config.input_size, config.input_size)
    whole = torch.zeros(batch, dtype=torch.long, device="meta")
    return (torch.empty(shape, device="meta"), whole) + (() if config.classes is None else (whole,))


def count_flops(model: nn.Module, *inputs: Tensor) -> int:
    """Multiplications and additions of one forward pass: two for every multiply-accumulate."""
    from torch.utils.flop_counter import FlopCounterMode  # which imports triton

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops()


def count_paper_operations(model: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of linear and convolution layers plus two operations per value of a layer norm."""
    total = 0

    def add(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += layer_operations(module, arguments, output)

    hooks = [module.register_forward_hook(add) for module in model.modules()]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def layer_operations(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> int:
    """The paper's count for one call of one layer; zero for what it leaves out."""
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        return output.numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
    if isinstance(module, nn.ConvTranspose3d):
        return arguments[0].numel() * module.out_channels // module.groups * math.prod(module.kernel_size)
    return 2 * output.numel() if isinstance(module, nn.LayerNorm) else 0


@contextmanager
def modulation_as_published(model: nn.Module) -> Iterator[None]:
    """Feed every modulation layer as the published code does: one row per frame in space, one per token over time.

    The values are the same; only the cost differs.
    """
    hooks = [hook for block in model.modules() if hasattr(block, "adaLN_modulation") for hook in repeat_rows(block)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def repeat_rows(block: nn.Module) -> list[RemovableHandle]:
    """Hooks that repeat the rows of the condition that `block` modulates with, and drop the copies again."""
    rows = 1

    def remember(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal rows
        rows = modulated_rows(block, frames=arguments[0].shape[1], tokens=arguments[0].shape[2])

    def repeat(_: nn.Module, arguments: tuple[Tensor, ...]) -> Tensor:
        return arguments[0].repeat_interleave(rows, dim=1)

    def keep_first(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output[:, ::rows]

    modulation = block.get_submodule("adaLN_modulation")
    return [
        block.register_forward_pre_hook(remember),
        modulation.register_forward_pre_hook(repeat),
        modulation.register_forward_hook(keep_first),
    ]


def modulated_rows(block: nn.Module, frames: int, tokens: int) -> int:
    """Rows of the condition per clip: one per frame for attention in space, one per token for attention over time.

    Only variant 1 is published as code. Variant 3 modulates for both of its attentions, which is what brings its
    count to the printed one; variant 4 is taken to modulate its tokens once.
    """
    if not isinstance(block, Block):
        return frames
    return block.route.sequences(frames, tokens)
