"""`Clips`, the only form in which pixels pass between rooms, and `ClipSource`, whatever yields them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from latte_eval.core.errors import ClipError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """A batch of clips, generated or real.

    Attributes:
        pixels: [N, T, 3, H, W] uint8, RGB, 0..255.
        indices: the index of each clip in its source, [N].
        labels: the class of each clip, [N]; None where there are no classes.
        passed: for each clip, the lossy steps that its file has been through, [N]; None where there was no file.
    """

    pixels: Tensor
    indices: tuple[int, ...]
    labels: tuple[int, ...] | None = None
    passed: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        shape, dtype = tuple(self.pixels.shape), str(self.pixels.dtype)
        if dtype != "torch.uint8" or len(shape) != 5 or shape[2] != 3:
            raise ClipError(f"clips are {dtype} {shape}; they must be torch.uint8 (N, T, 3, H, W)")
        if shape[0] != len(self.indices):
            raise ClipError(f"{shape[0]} clips came with {len(self.indices)} indices")
        if self.passed is not None and len(self.passed) != shape[0]:
            raise ClipError(f"{shape[0]} clips came with the storage of {len(self.passed)}")

    def __len__(self) -> int:
        return len(self.indices)

    def to_detector(self) -> Tensor:  # -> [N, 3, T, H, W] uint8, contiguous
        """The layout that video detectors take."""
        return self.pixels.transpose(1, 2).contiguous()


def stack_clips(clips: Sequence[Tensor]) -> Tensor:  # [T, 3, H, W] uint8 each, on the CPU -> [N, T, 3, H, W] uint8
    """Clips as one batch, copied by numpy.

    The threads of the readers do this. An operation of torch would give each of them a pool of OpenMP threads; with
    more of those than cores, a detector's own then sleep after each of its layers and run a sixth slower.
    """
    import numpy as np
    import torch

    return torch.from_numpy(
        np.stack([clip.numpy() for clip in clips], out=np.empty((len(clips), *clips[0].shape), np.uint8))
    )


@dataclass(frozen=True)
class Rejected:
    """A file that could not serve as a clip, and why, in one line."""

    path: str
    reason: str


@runtime_checkable
class ClipSource(Protocol):
    """Anything that yields clips by index: a dataset folder, a checkpoint, another generator.

    Clip i depends on the source alone, never on the batch in which it is asked for. Where it does not follow from the
    fingerprint and i, as in a folder of which some files cannot be used, the source has a method `identities(indices)`
    besides: texts that tell which clip each candidate is. They are stored with features, and compared before these are
    used again.
    """

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of everything that changes its clips."""

    @property
    def rejected(self) -> Sequence[Rejected]:
        """What could not be used so far."""

    def __len__(self) -> int:
        """Number of candidates: an upper bound on the clips, as some may turn out to be unreadable."""

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these indices, in order; unreadable ones are left out and listed in `rejected`."""

    def groups(self, indices: Sequence[int]) -> list[str]:
        """The source video that each clip belongs to: clips of one group are not independent."""


def in_batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    """Consecutive lists of at most `size` indices."""
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])
