"""What to say of a place in which no video can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    too_short = f" ({len(short):,} are too short)" if short else ""
    return ClipError(f"none of the {videos:,} videos in {path} can be used{too_short}; {first.path}: {first.reason}")
