"""What the sampler asks of a network, whichever family it is of."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn

from latte_eval.core.errors import SamplerError
from latte_eval.sampler.latte.sizes import Sizes

if TYPE_CHECKING:
    from latte_eval.sampler.latte.embedding import TimestepEmbedding


RunBlock = Callable[[nn.Module, Tensor, Tensor | None, int], Tensor]


def run_block(block: nn.Module, x: Tensor, condition: Tensor | None, frames: int) -> Tensor:
    """A block as it is; `compiled.CompiledBlocks` stands in for this function."""
    out: Tensor = block(x, condition, frames)
    return out


class ModelConfig(Sizes, Hashable, Protocol):
    """What sampling, guidance, cost and records ask of a config beside its sizes.

    Attributes:
        family: `Latte` or `VDT`.
        unguided: why it cannot be guided, where it has no classes.
    """

    family: ClassVar[str]
    unguided: ClassVar[str]

    @property
    def depth(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def learned_variance(self) -> bool: ...
    @property
    def classes(self) -> int | None:
        """None where clips have no labels."""

    @property
    def null_row(self) -> bool:
        """Whether the label table has a row for no class, which guidance needs."""

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""

    @property
    def tubes(self) -> int:
        """Tokens along time."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, in JSON types."""


class VideoModel(nn.Module):
    """A network that predicts the noise of latents of clips.

    Attributes:
        run_block: how a block is run.
    """

    config: ModelConfig
    run_block: RunBlock
    t_embedder: TimestepEmbedding

    def forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predicted noise, then variance logits. # [N, T, C, H, W], [N], [N] -> [N, T, 2C, H, W]"""
        raise NotImplementedError

    def guided_forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor, guidance_scale: float) -> Tensor:
        """`forward` with guidance of its noise. Raises `SamplerError` where there is none."""
        raise SamplerError(self.config.unguided)

    def tabulate(self) -> None:
        """Compute now what depends on the timestep alone, for all of them: a step of sampling then looks it up."""
        self.t_embedder.tabulate()

    def check_labels(self, labels: Tensor) -> None:
        """Raise `SamplerError` for a label outside the classes."""
        raise SamplerError(f"a {self.config.family} has no classes: its clips take no labels")
