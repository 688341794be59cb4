"""The families of networks that a checkpoint can be of, one row each, and which of them a state dict belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.latte import config as latte_config
from latte_eval.sampler.latte import operations as latte_operations
from latte_eval.sampler.latte import recognise as latte_recognise
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.model import ModelConfig, VideoModel
from latte_eval.sampler.vdt import config as vdt_config
from latte_eval.sampler.vdt import operations as vdt_operations
from latte_eval.sampler.vdt import recognise as vdt_recognise
from latte_eval.sampler.vdt.network import VDT


@dataclass(frozen=True)
class Family:
    """One family of networks.

    Attributes:
        network, config: the classes of the model and of its sizes.
        state_dict_to_config: (state, **choices) -> config.
        choices: what leaves no trace in the weights, as arguments of `network.from_state_dict`.
        published_heads: heads by width, where the publication tells them.
        possible_heads: fields of a config -> every number of heads that it can have.
        published_name: config -> the published name of its size, or None.
        forward_operations: config -> operations of one forward pass of one clip.
        requests: what may be asked for beside, as arguments of `network.from_state_dict`.
        licence: what holds for the network and its published weights beside the licence of latte-eval.
    """

    network: type[Any]
    config: type[Any]
    state_dict_to_config: Callable[..., ModelConfig]
    choices: tuple[str, ...]
    published_heads: Mapping[int, int]
    possible_heads: Callable[[Mapping[str, Any]], list[int]]
    published_name: Callable[[Any], str | None]
    forward_operations: Callable[[Any], int]
    licence: str | None = None
    requests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`Latte` or `VDT`."""
        return str(self.config.family)

    def build(self, state: Mapping[str, Tensor], **choices: Any) -> VideoModel:
        """The model of a state dict. Raises `CheckpointError` for choices that the family does not have."""
        for name in choices:
            if name not in (*self.choices, *self.requests, "frames"):
                option, owner = name.replace("_", "-"), "VDT" if self.name == LATTE.name else LATTE.name
                raise CheckpointError(
                    f"--{option} goes with a {owner}; this is a {self.name}, which has no such choice"
                )
        model: VideoModel = self.network.from_state_dict(state, **choices)
        return model

    def check(self, state: Mapping[str, Tensor], **choices: Any) -> None:
        """Raise `CheckpointError` unless keys and shapes are those of the family, whatever the heads."""
        self.network.fitting(self.state_dict_to_config(state, **choices), state)


def latte_heads(fields: Mapping[str, Any]) -> list[int]:
    return latte_config.possible_heads(fields["width"], fields["variant"], fields["temporal_position"])


def vdt_heads(fields: Mapping[str, Any]) -> list[int]:
    return latte_config.possible_heads(fields["width"])


LATTE = Family(
    Latte,
    latte_config.LatteConfig,
    latte_recognise.state_dict_to_config,
    latte_recognise.UNTRACED,
    latte_config.PUBLISHED_HEADS,
    latte_heads,
    latte_config.published_name,
    latte_operations.forward_operations,
)
VDT_FAMILY = Family(
    VDT,
    vdt_config.VDTConfig,
    vdt_recognise.state_dict_to_config,
    ("heads",),
    vdt_config.PUBLISHED_HEADS,
    vdt_heads,
    vdt_config.published_name,
    vdt_operations.forward_operations,
    vdt_config.LICENCE,
    ("resize_pos_embed",),
)
FAMILIES = {family.name: family for family in (LATTE, VDT_FAMILY)}


def state_dict_to_family(state: Mapping[str, Tensor]) -> Family:
    """The family that a state dict belongs to; Latte where nothing tells, which then says what is missing."""
    return VDT_FAMILY if vdt_recognise.is_vdt(state) else LATTE


def with_depth(config: ModelConfig, depth: int) -> ModelConfig:
    """The same sizes with another number of blocks."""
    other: ModelConfig = FAMILIES[config.family].config(**{**config.to_dict(), "depth": depth})
    return other
