"""What a VDT is, as plain values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.config_checks import check_counts, check_multiples

# Depth, width, heads: the two sizes of RERV/VDT@cdbad2b.
PUBLISHED_SIZES = {"S": (12, 384, 6), "L": (28, 1152, 16)}
PUBLISHED_PATCH = 2

LICENCE = (
    "CC BY-NC 4.0: that of RERV/VDT, whose published weights have no statement of their own; for non-commercial use"
)

# Weights do not tell the number of heads.
PUBLISHED_HEADS = {width: heads for _, width, heads in PUBLISHED_SIZES.values()}


@dataclass(frozen=True)
class VDTConfig:
    """The sizes of a VDT.

    Attributes:
        input_size: side of a frame of latents.
        patch: side of a patch.
        channels: channels of the latents.
        width, depth, heads: of the transformer; every block attends over time, then in space.
        frames: frames of a clip; a VDT makes clips of this length alone.
        learned_variance: whether variance logits follow the noise channels.
        label_rows: rows of the label table. The first is added to every timestep; the others are not used.

    Raises:
        CheckpointError: values that no VDT has.
    """

    input_size: int
    patch: int
    channels: int
    width: int
    depth: int
    heads: int
    frames: int
    learned_variance: bool = True
    label_rows: int = 2

    family: ClassVar[str] = "VDT"
    unguided: ClassVar[str] = "this one is a VDT, which has no classes and no guidance"

    def __post_init__(self) -> None:
        check_multiples(self, ("width", "heads"), ("input_size", "patch"))
        check_counts(self, "channels", "depth", "frames", "label_rows")

    @property
    def out_channels(self) -> int:
        """Noise channels, and as many channels of variance logits where the variance is learned."""
        return self.channels * (2 if self.learned_variance else 1)

    @property
    def classes(self) -> None:
        """No clip has a label: the label table gives the same row to all."""
        return None

    @property
    def null_row(self) -> bool:
        """Whether there is guidance to no class: there is none."""
        return False

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return (self.input_size // self.patch) ** 2

    @property
    def tube(self) -> int:
        """Frames per patch: every frame is cut on its own."""
        return 1

    @property
    def tubes(self) -> int:
        """Tokens along time."""
        return self.frames

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.heads

    def to_dict(self) -> dict[str, Any]:
        """All fields, in JSON types."""
        return dataclasses.asdict(self)


def vdt_config(name: str, **choices: Any) -> VDTConfig:
    """The config of a published name, `VDT-S/2` or `VDT-L/2`.

    Args:
        choices: any other field of `VDTConfig`. Defaults are 32x32 latents (256 pixels) of 4 channels and 16 frames.

    Raises:
        CheckpointError: an unknown name or choice.
    """
    sizes = {f"VDT-{size}/{PUBLISHED_PATCH}": values for size, values in PUBLISHED_SIZES.items()}
    if name not in sizes:
        raise CheckpointError(f"{name!r} is not a published size; they are {' and '.join(sizes)}")
    known = {field.name for field in dataclasses.fields(VDTConfig)}
    for choice in choices:
        if choice not in known:
            raise CheckpointError(f"a VDT has no {choice!r}; its choices are {', '.join(sorted(known))}")
    depth, width, heads = sizes[name]
    defaults = {"input_size": 32, "channels": 4, "frames": 16, "patch": PUBLISHED_PATCH}
    return VDTConfig(**{**defaults, "depth": depth, "width": width, "heads": heads, **choices})


def published_name(config: VDTConfig) -> str | None:
    """`VDT-L/2` or `VDT-S/2` where depth, width, heads and patch are a published size's, else None."""
    for size, values in PUBLISHED_SIZES.items():
        if (config.depth, config.width, config.heads) == values and config.patch == PUBLISHED_PATCH:
            return f"VDT-{size}/{config.patch}"
    return None
