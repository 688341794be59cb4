"""Fields of the protocol that were set by hand: each must change what is measured, or it is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from latte_eval.core.errors import UsageError
from latte_eval.core.protocol import Protocol

# Names for the other fields; they say nothing about a clip.
NAMES = {"stem": "--protocol", "benchmark": "--benchmark"}


def check_fields(given: Iterable[str], usual: Protocol, asked: Protocol, honoured: frozenset[str]) -> None:
    """Raise `UsageError` for a field that would change the protocol's id and no clip.

    Args:
        given: fields that were set by hand.
        usual: the protocol without them.
        asked: the protocol with them.
        honoured: fields that shape the clips of one of the two sides.
    """
    for field in given:
        values = getattr(asked, field), getattr(usual, field)
        if values[0] != values[1] and field not in honoured:
            raise UsageError(refusal(field, *values))


def refusal(field: str, asked: Any, usual: Any) -> str:
    """One sentence: what was asked, what it is without, what to type."""
    said = f"{field}={value_to_text(asked)}"
    if field in NAMES:
        return f"--param {said} would only rename the protocol; use {NAMES[field]}"
    return (
        f"--param {said} changes no clip of this evaluation, only the name of its protocol; leave it at "
        f"{field}={value_to_text(usual)}{ADVICE.get(field, '')}"
    )


ADVICE = {
    "decoder": ": it counts for video files",
    "rounding": ": it counts where torch resizes (resample=torch-bilinear or torch-antialias)",
    "counted": ": it counts where a VDT is given whole frames, by --task, --given or --mask",
    "i3d_eps": ": it counts for distances of I3D features",
    "fake_offset": ": it counts with one clip of each generated video",
    "real_split": ": splits are known where --benchmark names the dataset and its folder has them",
    "fake_stride": ": the frames of a sampled clip follow each other",
    "labels": ": classes are chosen only where a conditional checkpoint is sampled",
    "real_offset": ": it counts with windows=one, for videos that are longer than a clip",
    "crop": ": it counts where videos are brought to a size",
    "resample": ": it counts where videos are brought to a size",
    "covariance": ": it counts for Fréchet distances",
    "fid_resize": ": it counts for distances of Inception features",
    "frame_rule": ": it counts for distances of a detector of frames",
}


def value_to_text(value: Any) -> str:
    """A value as `--param` takes it."""
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return "none" if value is None else str(value)


def check_shape(own: tuple[int | None, int | None], protocol: Protocol, whose: str = "", fixed: bool = False) -> None:
    """Raise `UsageError` for clips that are not as long or as large as the protocol says.

    Args:
        own: frames of a clip and side of a frame in pixels; None where they are not known before there is a clip.
        whose: ` of NAME` where a reader may wonder.
        fixed: whether these clips cannot be had under another protocol.
    """
    compares = "the protocol" if protocol.benchmark == "none" or fixed else protocol.benchmark
    for field, told, value in zip(("frames", "size"), ("{0} frames", "frames of {0}x{0} pixels"), own, strict=True):
        wanted = getattr(protocol, field)
        if None not in (value, wanted) and value != wanted:
            advice = f"leave out --param {field}" if fixed else f"--param {field}={value} changes the protocol"
            other = wanted if field == "frames" else f"{wanted}x{wanted}"
            raise UsageError(f"the clips{whose} have {told.format(value)}, {compares} compares {other}; {advice}")


def check_not_enlarged(folder: str, size: tuple[int, int], protocol: Protocol) -> None:
    """Raise `UsageError` for generated videos that would have to be enlarged to the size of a benchmark's protocol."""
    if protocol.size is not None and min(size) < protocol.size:
        raise UsageError(
            f"the videos in {folder} have frames of {size[0]}x{size[1]} pixels, {protocol.benchmark} compares "
            f"{protocol.size}x{protocol.size}; --param size={min(size)} changes the protocol"
        )
