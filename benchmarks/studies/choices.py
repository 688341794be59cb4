"""What `train.py` can be asked for besides the demo model: the family of the paper, images, intervals, sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from latte_eval.benchmarks.shapes.draw import CLASSES, FRAMES, SIZE
from latte_eval.core.errors import UsageError
from latte_eval.sampler.dit import start_from_dit
from latte_eval.sampler.latte.config import CONDITIONINGS, TEMPORAL_POSITIONS, VARIANTS, LatteConfig
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.tensorfile import read_tensor_file
from latte_eval.sampler.vdt import VDTConfig

DEMO = LatteConfig(
    input_size=SIZE, patch=4, channels=3, width=128, depth=4, heads=4, frames=FRAMES, classes=len(CLASSES)
)
# Depth, width, heads; `demo` is the shipped one.
SIZES = {"small": (4, 64, 4), "demo": (4, 128, 4), "large": (6, 192, 6)}
VDT_DEMO = VDTConfig(input_size=SIZE, patch=4, channels=3, width=112, depth=4, heads=4, frames=FRAMES, label_rows=1)
VDT_SIZES = {"small": (4, 64, 4), "demo": (4, 112, 4), "large": (6, 192, 6)}
MODELS = ("latte", "vdt")
TUBES = {"uniform": 1, "compression": 2}

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Choices:
    """What is trained; the defaults are the demo model.

    Attributes:
        model: `latte`, or `vdt`, which has no choices but `init`, the interval and the size.
        variant: 1 to 4. Variant 3 has two attentions per block, so it gets 18/22 of the depth, as in the paper.
        patch_embedding: `uniform` frames or `compression` frames, tubes of two.
        conditioning, temporal_position: as in `LatteConfig`.
        images: number of images after the frames of every clip, as in the training of Latte+IMG.
        init: a DiT checkpoint of the same width to start from; for a VDT the checkpoint of an earlier training.
        interval: distance between the frames, in steps of the motion.
        size: a name in `SIZES`.

    Raises:
        UsageError: a choice that a VDT does not have.
    """

    model: str = "latte"
    variant: int = 1
    patch_embedding: str = "uniform"
    conditioning: str = "s-adaln"
    temporal_position: str = "absolute"
    images: int = 0
    init: Path | None = None
    interval: int = 1
    size: str = "demo"

    def __post_init__(self) -> None:
        own = {"model", "init", "interval", "size"}
        changed = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default and f.name not in own]
        if self.model == "vdt" and changed:
            raise UsageError(f"--{changed[0].replace('_', '-')} goes with --model latte: a VDT has no such choice")

    @property
    def config(self) -> LatteConfig | VDTConfig:
        """The model. Raises `CheckpointError` for choices that no Latte has."""
        if self.model == "vdt":
            depth, width, heads = VDT_SIZES[self.size]
            return dataclasses.replace(VDT_DEMO, depth=depth, width=width, heads=heads)
        depth, width, heads = SIZES[self.size]
        return dataclasses.replace(
            DEMO,
            depth=round(depth * 18 / 22) if self.variant == 3 else depth,
            width=width,
            heads=heads,
            variant=self.variant,
            tube=TUBES[self.patch_embedding],
            conditioning=self.conditioning,
            temporal_position=self.temporal_position,
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, in JSON types; of a file its name alone."""
        return {name: value.name if isinstance(value, Path) else value for name, value in vars(self).items()}


def choice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `Choices`, which the function gets as `**choices`."""
    defaults = Choices()
    options = (
        click.option("--model", type=click.Choice(MODELS), default=defaults.model),
        click.option("--variant", type=click.Choice([str(v) for v in VARIANTS]), default=str(defaults.variant)),
        click.option("--patch-embedding", type=click.Choice(list(TUBES)), default=defaults.patch_embedding),
        click.option("--conditioning", type=click.Choice(CONDITIONINGS), default=defaults.conditioning),
        click.option("--temporal-position", type=click.Choice(TEMPORAL_POSITIONS), default=defaults.temporal_position),
        click.option("--images", type=click.IntRange(min=0), default=0, help="Images behind the frames of a clip."),
        click.option(
            "--init",
            type=click.Path(path_type=Path, exists=True),
            help="A DiT checkpoint to start from; for a VDT, one of a training to go on with.",
        ),
        click.option("--interval", type=click.IntRange(min=1), default=1, help="Distance of frames in the motion."),
        click.option("--size", type=click.Choice(list(SIZES)), default=defaults.size),
    )
    for option in reversed(options):
        function = option(function)
    return function


def start_from_file(model: Latte, path: Path) -> list[str]:
    """Copy a DiT checkpoint into a new model; returns the names that keep their initial values.

    Raises `CheckpointError` for another kind of file, or another width.
    """
    content = read_tensor_file(path)
    for container in ("ema", "model", "state_dict"):
        content = content.get(container, content)
    return start_from_dit(model, {key: value.float() for key, value in content.items()})


def with_images(data: Batches, images: int) -> Batches:
    """Batches whose clips are followed by images, which are random frames of the batch, with a label for each image.

    # [N, T, C, H, W], [N] -> [N, T + U, C, H, W], [N, 1 + U]
    """
    for clips, labels in data:
        n, t = clips.shape[:2]
        chosen, frame = torch.randint(n, (n, images)), torch.randint(t, (n, images))
        yield torch.cat([clips, clips[chosen, frame]], dim=1), torch.cat([labels[:, None], labels[chosen]], dim=1)


def joint_forward(model: Latte) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """`model.joint_forward` for batches of `with_images`."""
    return lambda x, timesteps, labels: model.joint_forward(x, timesteps, labels[:, 0], labels[:, 1:])
