"""What to say of a place whose videos cannot be used, or not together, or may be meant as something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latte_eval.benchmarks.readers.entries import Entry
from latte_eval.benchmarks.readers.windows import side_stride
from latte_eval.core.errors import ClipError, LatteEvalError, NotEnoughClips
from latte_eval.core.numbers import counts_to_text

if TYPE_CHECKING:
    from latte_eval.benchmarks.readers.source import FolderSource

# What to do with files that are not read.
CONVERT = "convert videos with ffmpeg -i IN OUT.mp4, and images to png"


def nothing_usable(source: FolderSource) -> LatteEvalError:
    """What to say of a folder without a single candidate."""
    path, videos, short = source.path, len(source.entries), source.too_short
    if not videos:
        unreadable = f"; {source.rejected[0].path} {source.rejected[0].reason}" if source.rejected else ""
        others = f", only {source.ignored:,} other files ({source.listing.counts}); {CONVERT}" if source.ignored else ""
        return ClipError(f"{path} holds no videos and no folders of frames{others}{unreadable}")
    if len(short) == videos:
        frames, stride = source.protocol.frames, side_stride(source.protocol, source.side)
        found = counts_to_text(each.found for each in short)
        return NotEnoughClips(
            f"all {videos:,} videos in {path} are too short: they have {found} frames, "
            f"{frames * stride} are needed ({frames} at stride {stride})"
        )
    first = next(each for each in source.rejected if not each.reason.startswith("too short"))
    if videos == 1:
        place = f"{path}: " if first.path not in (path.name, str(path)) else ""
        return ClipError(f"{place}{first.path}: {first.reason}")
    too_short = f" ({len(short):,} are too short)" if short else ""
    return ClipError(f"none of the {videos:,} videos in {path} can be used{too_short}; {first.path}: {first.reason}")


def other_size(path: Path, usual: Sequence[int], video: str, found: Sequence[int]) -> ClipError:
    """What to say where clips keep their own size and a video has another one. # [T, H, W, 3] twice"""
    (_, height, width, _), (_, other_height, other_width, _) = usual, found
    return ClipError(
        f"videos in {path} are {width}x{height} and {other_width}x{other_height} ({video}); "
        f"bring them to one size with, for example, --param size={min(height, width)}"
    )


def meant_as_images(entries: Sequence[Entry]) -> str:
    """What to do where all there is are images in one folder, which may be meant as a set of images; or nothing."""
    if len(entries) == 1 and entries[0].kind == "array":
        return "an array of 4 dimensions is one video; a set of single images is x[:, None], with --param frames=1"
    if len(entries) != 1 or entries[0].kind != "frames":
        return ""
    images = len(entries[0].names)
    return (
        f"the {images:,} images in one folder count as the frames of one video; a set of single images is measured "
        f"with --param frames=1 --windows all"
    )
