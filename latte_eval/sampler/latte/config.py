"""What a Latte is, as plain values: its sizes and the choices of the paper's family."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.config_checks import check_counts, check_multiples

# Depth, width, heads (Table 4 of the paper).
PUBLISHED_SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}
PUBLISHED_PATCHES = (2, 4, 8)
# Weights do not tell the number of heads.
PUBLISHED_HEADS = {width: heads for _, width, heads in PUBLISHED_SIZES.values()}

VARIANTS = {
    1: "spatial and temporal blocks alternate",
    2: "late fusion: the first half of the blocks spatial, the second temporal",
    3: "every block attends in space, then in time",
    4: "half of the heads of every block attend in space, half in time",
}
CONDITIONINGS = ("s-adaln", "all-tokens")
TEMPORAL_POSITIONS = ("absolute", "rotary")


@dataclass(frozen=True)
class LatteConfig:
    """The sizes and choices of a Latte.

    Attributes:
        input_size: side of a frame of latents.
        patch: side of a patch.
        channels: channels of the latents.
        width, depth, heads: of the transformer; depth counts blocks.
        frames: frames of a clip.
        classes: None for an unconditional model; the null class is extra.
        learned_variance: whether variance logits follow the noise channels.
        variant: 1 to 4, the order in which space and time are attended to (`VARIANTS`).
        tube: frames per patch. 1 is the uniform frame patch embedding, more is the compression frame one.
        conditioning: `s-adaln` (timestep and class modulate every block) or `all-tokens` (they are tokens).
        temporal_position: `absolute` (a sine-cosine table) or `rotary`.
        null_row: whether the label table has a row for no class, which guidance needs.

    Raises:
        CheckpointError: values that no Latte has.
    """

    input_size: int
    patch: int
    channels: int
    width: int
    depth: int
    heads: int
    frames: int
    classes: int | None = None
    learned_variance: bool = True
    variant: int = 1
    tube: int = 1
    conditioning: str = "s-adaln"
    temporal_position: str = "absolute"
    null_row: bool = True

    family: ClassVar[str] = "Latte"
    unguided: ClassVar[str] = "this one is unconditional"

    def __post_init__(self) -> None:
        self.check_choices()
        self.check_sizes()

    def check_choices(self) -> None:
        allowed = {
            "variant": tuple(VARIANTS),
            "conditioning": CONDITIONINGS,
            "temporal_position": TEMPORAL_POSITIONS,
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                known = ", ".join(map(str, values))
                raise CheckpointError(f"{name} cannot be {getattr(self, name)!r}; it is one of {known}")

    def check_sizes(self) -> None:
        if self.variant in (1, 2) and self.depth % 2:
            raise CheckpointError(f"Latte alternates spatial and temporal blocks: depth {self.depth} is odd")
        check_multiples(self, ("width", "heads"), ("input_size", "patch"), ("frames", "tube"))
        check_counts(self, "channels", "depth", "classes")
        if self.variant == 4 and self.heads % 2:
            raise CheckpointError(f"variant 4 splits the heads in halves: {self.heads} is odd")
        if self.temporal_position == "rotary" and self.head_width % 2:
            raise CheckpointError(f"rotary positions turn pairs of channels: {self.head_width} a head is odd")

    @property
    def out_channels(self) -> int:
        """Noise channels, and as many channels of variance logits where the variance is learned."""
        return self.channels * (2 if self.learned_variance else 1)

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return (self.input_size // self.patch) ** 2

    @property
    def tubes(self) -> int:
        """Tokens along time: frames, or tubes of frames."""
        return self.frames // self.tube

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.heads

    def to_dict(self) -> dict[str, Any]:
        """All fields, in JSON types."""
        return dataclasses.asdict(self)


def possible_heads(width: int, variant: int = 1, temporal_position: str = "absolute") -> list[int]:
    """Every number of heads that a width can be divided into."""
    small = [heads for heads in range(1, math.isqrt(width) + 1) if width % heads == 0]
    divisors = sorted({*small, *(width // heads for heads in small)})
    even = [heads for heads in divisors if heads % 2 == 0] if variant == 4 else divisors
    return [heads for heads in even if temporal_position == "absolute" or width // heads % 2 == 0]


def latte_config(name: str, **choices: Any) -> LatteConfig:
    """The config of a published name such as `Latte-XL/2` or `LatteIMG-S/8`.

    Args:
        name: Latte-{S,B,L,XL}/{2,4,8}.
        choices: any other field of `LatteConfig`. Defaults are 32x32 latents (256 pixels) of 4 channels, 16
            frames, unconditional. 512 pixels are `input_size=64`. Variant 3 has a second attention in every
            block and 18/22 of the depth, which gives as many parameters (23 blocks at XL).

    Raises:
        CheckpointError: an unknown name or choice.
    """
    match = re.fullmatch(r"(?:Latte(?:IMG)?-)?(S|B|L|XL)/(\d)", name)
    if not match or int(match[2]) not in PUBLISHED_PATCHES:
        raise CheckpointError(f"{name!r} is not a published size; they are Latte-S, -B, -L or -XL, with /2, /4 or /8")
    known = {field.name for field in dataclasses.fields(LatteConfig)}
    for choice in choices:
        if choice not in known:
            raise CheckpointError(f"a Latte has no {choice!r}; its choices are {', '.join(sorted(known))}")
    depth, width, heads = PUBLISHED_SIZES[match[1]]
    if choices.get("variant") == 3:
        depth = round(depth * 18 / 22)
    defaults = {"input_size": 32, "channels": 4, "frames": 16, "depth": depth, "width": width, "heads": heads}
    return LatteConfig(**{**defaults, "patch": int(match[2]), **choices})


def published_name(config: LatteConfig) -> str | None:
    """`Latte-XL/2` and the like where depth, width, heads and patch are a published size's, else None."""
    for size, (depth, width, heads) in PUBLISHED_SIZES.items():
        if config.variant == 3:
            depth = round(depth * 18 / 22)
        if (config.depth, config.width, config.heads) == (depth, width, heads) and config.patch in PUBLISHED_PATCHES:
            return f"Latte-{size}/{config.patch}"
    return None
