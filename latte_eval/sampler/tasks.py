"""Which part of every clip is given, as a person says it: a task, frames, or a mask in a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.choices import check_choice
from latte_eval.core.errors import SamplerError, UsageError, first_line
from latte_eval.sampler.model import ModelConfig
from latte_eval.sampler.vdt.masks import DRAWN, MASK_RULES, TASKS, frames_to_mask, task_to_mask

UNCONDITIONAL = TASKS[0]
# The task of clips whose mask a person gave.
BY_MASK = "by mask"

# How the model was trained to be given frames: by a mask, or by S frames before the noisy ones.
CONDITIONINGS = ("mask", "concat")
# What stands at given positions of a finished clip: what the codec makes of them, as published, or the real pixels.
GIVEN_PIXELS = ("round-trip", "real")
# Which latents of a given frame are given: the most likely ones, or some drawn as the encoder says, as published.
GIVEN_LATENTS = ("mode", "drawn")

# A file of masks is read whole; one of this size would be 16 frames of 2,896 latents a side.
MOST_VALUES = 2**27


@dataclass(frozen=True)
class TaskSettings:
    """What of every clip is given. At most one of `task`, `given` and `mask` says it.

    Attributes:
        task: a name in `TASKS`.
        given: frames, such as `0:8` or `0,4,8,12`.
        mask: a .npy file of [T] or [T, H, W] at the size of the latents, 1 = generate.
        rule: of the task `completion`: `corrected`, or `upstream`.
        conditioning: `concat` for a model that was trained with given frames before the noisy ones.
        given_pixels: `round-trip`, or `real`.
        given_latents: `mode`, or `drawn`.

    Raises:
        SamplerError: a value that does not exist, two of them, or one without what it belongs to.
    """

    task: str | None = None
    given: str | None = None
    mask: Path | None = None
    rule: str = "corrected"
    conditioning: str = "mask"
    given_pixels: str = "round-trip"
    given_latents: str = "mode"

    def __post_init__(self) -> None:
        if self.task is not None:
            check_choice("--task", self.task, TASKS, SamplerError)
        check_choice("--mask-rule", self.rule, MASK_RULES, SamplerError)
        check_choice("--cond", self.conditioning, CONDITIONINGS, SamplerError)
        check_choice("--given-pixels", self.given_pixels, GIVEN_PIXELS, SamplerError)
        check_choice("--given-latents", self.given_latents, GIVEN_LATENTS, SamplerError)
        said = {"--task": self.task, "--given": self.given, "--mask": self.mask}
        if len(two := [name for name, value in said.items() if value is not None]) > 1:
            raise SamplerError(f"{two[0]} and {two[1]} both say what is given: keep one of them")
        if self.rule != "corrected" and self.task is None:
            raise SamplerError(f"--mask-rule {self.rule} goes with --task")
        how = self.conditioning, self.given_pixels, self.given_latents
        if not self.conditional and how != ("mask", "round-trip", "mode"):
            raise SamplerError(
                "--cond, --given-pixels and --given-latents go with --task, --given or --mask, which say what is given"
            )

    @property
    def conditional(self) -> bool:
        """Whether anything may be given."""
        return bool(self.given or self.mask) or self.task not in (None, UNCONDITIONAL)

    def masks(self, config: ModelConfig, seed: int, length: int | None = None) -> Masks:
        """The masks of the clips of a model; of longer ones, where `length` says so.

        Raises:
            SamplerError: frames or a file that do not fit the model's clips, or frames that it was not trained for.
        """
        masks = Masks(self, config.frames, config.input_size, seed, length)
        _ = masks.fixed
        if self.conditioning == "concat":
            check_concatenation(masks)
        return masks


@dataclass(frozen=True)
class Masks:
    """The mask of every clip: a function of (seed, clip).

    Attributes:
        frames, side: of the latents of the model.
        length: frames of a clip, where it is longer than the model's and goes on from its first frames.
    """

    settings: TaskSettings
    frames: int
    side: int
    seed: int
    length: int | None = None

    @property
    def clip_frames(self) -> int:
        """Frames of a clip."""
        return self.length or self.frames

    def mask(self, clip: int) -> Tensor:  # -> [length, H, W] bool, True = generate
        """The mask of one clip; what lies behind the model's frames is generated."""
        behind = torch.ones(self.clip_frames - self.frames, self.side, self.side, dtype=torch.bool)
        return torch.cat([self.model_mask(clip), behind])

    def model_mask(self, clip: int) -> Tensor:  # -> [T, H, W] bool
        """The mask of as many frames as the model has."""
        if self.fixed is not None:
            return self.fixed
        task = self.settings.task or UNCONDITIONAL
        return task_to_mask(task, self.seed, clip, self.frames, self.side, self.settings.rule)

    @cached_property
    def fixed(self) -> Tensor | None:  # [T, H, W] bool
        """The mask that all clips have; None where a task draws it. Raises `SamplerError`."""
        s = self.settings
        if s.given is not None:
            known = np.isin(np.arange(self.frames), given_frames(s.given, self.frames))
            return frames_to_mask(known, self.side)
        return None if s.mask is None else read_mask(s.mask, self.frames, self.side)

    def generated_frames(self) -> tuple[int, ...]:
        """The frames that are generated, or of which a part is, where they are the same in all clips, but not all.

        Raises `SamplerError` where every clip has others, or no frame is given whole.
        """
        task = self.settings.task or UNCONDITIONAL
        if self.fixed is None and task in DRAWN:
            raise SamplerError(
                f"--task {task} gives other frames of every clip, and --param counted=generated leaves the same ones "
                "out of all: name them by --given"
            )
        found = tuple(self.mask(0).flatten(1).any(1).nonzero().flatten().tolist())
        if len(found) == self.clip_frames:
            raise SamplerError(
                f"a part of each of the {self.clip_frames} frames is generated: leave out --param counted=generated"
            )
        return found

    def check_clips(self, count: int) -> None:
        """Raise `SamplerError` if there is nothing to generate in one of the clips 0..count-1."""
        whole = [clip for clip in range(count if self.fixed is None else 0) if not self.mask(clip).any()]
        if whole:
            raise SamplerError(
                f"{len(whole):,} of {count:,} clips have nothing to generate under --mask-rule {self.settings.rule} "
                f"(clip {whole[0]} is the first): they are no generated clips; use --mask-rule corrected"
            )

    @property
    def record(self) -> dict[str, Any]:
        """What a result says about them, in JSON types."""
        s = self.settings
        fixed = None if self.fixed is None else hashlib.sha256(self.fixed.numpy().tobytes()).hexdigest()
        return {"task": s.task or BY_MASK, "given": s.given, "mask_rule": s.rule, "mask_sha256": fixed,
                "conditioning": s.conditioning, "given_pixels": s.given_pixels,
                **({"length": self.length} if self.length else {})}  # fmt: skip


def first_given(masks: Masks) -> int | None:
    """How many frames are given; None unless they are the first ones of every clip, whole, and alone."""
    if masks.fixed is None and masks.settings.task in DRAWN:
        return None
    mask = masks.model_mask(0).flatten(1)
    count = int((~mask.any(1)).sum())
    return count if mask[count:].all() else None


def given_frames(text: str, frames: int) -> list[int]:
    """`0:8` or `0,4,8,12`, or both joined by commas, as numbers of frames in order.

    Raises:
        SamplerError: another text, frames outside the clip, or all of them.
    """
    found = set[int]()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?::(\d{1,6}))?\s*", part)
        if not match:
            raise SamplerError(f"--given {text!r} must read FIRST:END or numbers with commas, such as 0:8 or 0,4,8,12")
        first, end = int(match[1]), int(match[2] or int(match[1]) + 1)
        if not first < end <= frames:
            raise SamplerError(f"--given {text!r}: {part.strip()} is not within the frames 0..{frames - 1} of a clip")
        found.update(range(first, end))
    if len(found) == frames:
        raise SamplerError(f"--given {text!r} gives all {frames} frames of a clip: nothing is left to generate")
    return sorted(found)


def read_mask(path: Path, frames: int, side: int) -> Tensor:  # -> [T, H, W] bool
    """A mask from a .npy file of [T] or [T, H, W]. Raises `SamplerError`."""
    try:
        found = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise SamplerError(f"--mask {path} is no .npy file that can be read: {first_line(error)}") from error
    if not isinstance(found, np.ndarray) or found.shape not in ((frames,), (frames, side, side)):
        shape = getattr(found, "shape", "an archive")
        raise SamplerError(
            f"--mask {path} is {shape}, this model needs {(frames, side, side)}: frames, height and width of its "
            f"latents; or {(frames,)} for whole frames"
        )
    if found.dtype.kind not in "biuf" or found.size > MOST_VALUES or not np.isin(found, (0, 1)).all():
        raise SamplerError(f"--mask {path} has other values than 0 (given) and 1 (generate)")
    if not found.any():
        raise SamplerError(f"--mask {path} has nothing to generate: all of it is 0, which means given")
    generate = torch.from_numpy(np.ascontiguousarray(found).astype(bool))
    return generate if generate.ndim == 3 else frames_to_mask(~generate, side)


def check_concatenation(masks: Masks) -> None:
    """Raise `SamplerError` unless the first frames are given, as many as the model was trained with, or more.

    The published one saw exactly half of its frames; with fewer it returns noise (RERV/VDT, issue 9).
    """
    count, least = first_given(masks), masks.frames // 2
    if count is None:
        raise SamplerError("--cond concat takes the first frames of a clip alone: --task predict or --given 0:N")
    if count < least:
        raise SamplerError(
            f"--cond concat: {count} frames are given, and the model was trained with {least} of {masks.frames}: with "
            f"fewer it returns noise; give --given 0:{least} or more"
        )


def check_takes_tasks(config: ModelConfig) -> None:
    """Raise `UsageError` for a model that cannot be given a part of a clip."""
    if config.family != "VDT":
        raise UsageError(f"--task, --given and --mask need a VDT checkpoint, this is a {config.family}; leave them out")
