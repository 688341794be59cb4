"""What a pipeline of diffusers may be told beside prompt or image, length, size, steps and guidance: names and values.

Nothing here imports torch: the command line names these too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from latte_eval.core.errors import SamplerError


@dataclass(frozen=True)
class PipelineOption:
    """One argument of a pipeline's call.

    Attributes:
        words: how a person reads it beside its value.
        least: the smallest value there is.
        whole: whether values are whole numbers.
    """

    words: str
    least: float
    whole: bool = True


# By the name of the argument. Stable Video Diffusion knows all of them, and has 7, 127, 0.02, 1 and all frames itself.
PIPELINE_OPTIONS = {
    "fps": PipelineOption("fps", 1),
    "motion_bucket_id": PipelineOption("motion bucket", 0),
    "noise_aug_strength": PipelineOption("noise augmentation", 0, whole=False),
    "min_guidance_scale": PipelineOption("guidance of the first frame", 0, whole=False),
    "decode_chunk_size": PipelineOption("frames decoded at once:", 1),
}


def option_name(argument: str) -> str:
    """`--motion-bucket-id` of `motion_bucket_id`."""
    return f"--{argument.replace('_', '-')}"


def check_told(told: Mapping[str, Any], known: Collection[str], pipeline: str) -> None:
    """Raise `SamplerError` for an argument that the call of a pipeline does not have, or a value that does not exist.

    Args:
        told: argument -> value, of `PIPELINE_OPTIONS`.
        known: arguments of the call.
        pipeline: its class.
    """
    for name, value in told.items():
        option = PIPELINE_OPTIONS[name]
        if name not in known:
            raise SamplerError(f"{pipeline} takes no {name}: leave {option_name(name)} {value} out")
        if not math.isfinite(value) or value < option.least or (option.whole and value != int(value)):
            kind = "a whole number" if option.whole else "a number"
            raise SamplerError(f"{option_name(name)} {value} must be {kind} from {option.least:g} on")


def options_in_words(sampler: Mapping[str, Any]) -> list[str]:
    """`fps 7` and so on, of the record of a sampler, as far as there is anything."""
    return [f"{option.words} {sampler[name]:g}" for name, option in PIPELINE_OPTIONS.items()
            if isinstance(sampler.get(name), int | float)]  # fmt: skip
