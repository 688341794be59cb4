"""The sizes that the parts of a transformer for video are built from, whatever network they belong to."""

from __future__ import annotations

from typing import Protocol


class Sizes(Protocol):
    """What attention, MLP, embeddings and decoder ask of a config; `LatteConfig` and `VDTConfig` have it.

    Attributes:
        input_size: side of a frame of latents.
        patch: side of a patch.
        channels: channels of the latents.
        width, heads: of the transformer.
    """

    @property
    def input_size(self) -> int: ...
    @property
    def patch(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def tube(self) -> int:
        """Frames per patch."""

    @property
    def head_width(self) -> int:
        """Channels of a head."""

    @property
    def out_channels(self) -> int:
        """Channels of the output: noise, and variance logits where the variance is learned."""
