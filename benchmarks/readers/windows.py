"""Which frames of a video become a clip.

Source: universome/stylegan-v@3fecd69 and Vchitect/Latte@b27c24a agree in every rule here. The offset, which they draw
at random, is here a function of the seed and of the video's path.
"""

from __future__ import annotations

from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol
from latte_eval.core.seeding import numpy_generator


class TooShort(ClipError):
    """A video with fewer frames than a clip needs."""

    def __init__(self, found: int, frames: int, stride: int):
        self.found, self.needed = found, frames * stride
        super().__init__(f"too short: {found} frames, {self.needed} needed ({frames} at stride {stride})")


def side_stride(protocol: Protocol, side: str) -> int:
    """Distance between the frames of a clip on one side."""
    return protocol.real_stride if side == "real" else protocol.fake_stride


def window_starts(length: int, protocol: Protocol, side: str, seed: int, path: str) -> list[int]:
    """First frames of the windows of a video: one, every non-overlapping one, or every one of a real video.

    A generated video gives its first frames, a real one a window at an offset of its own, unless the protocol says
    otherwise.

    Raises `TooShort`, as `check_length`.
    """
    check_length(length, protocol, side)
    frames, stride = protocol.frames, side_stride(protocol, side)
    if protocol.windows == "all":
        return list(range(0, length - frames * stride + 1, frames * stride))
    if takes_any(protocol, side):
        return list(range(highest_offset(length, frames, stride) + 1))
    if (protocol.real_offset if side == "real" else protocol.fake_offset) == "zero":
        return [0]
    return [seeded_offset(length, frames, stride, seed, path)]


def check_length(length: int, protocol: Protocol, side: str) -> None:
    """Raise `TooShort` for a video of fewer than frames x stride frames.

    A window spans fewer than that, but this is the rule of both code bases.
    """
    frames, stride = protocol.frames, side_stride(protocol, side)
    if length < frames * stride:
        raise TooShort(length, frames, stride)


def takes_any(protocol: Protocol, side: str) -> bool:
    """Whether clips are drawn out of every window of every video."""
    return protocol.windows == "any" and side == "real"


def highest_offset(length: int, frames: int, stride: int) -> int:
    """The highest first frame that a window may have to stay within the video."""
    return length - frames * stride + stride - 1


def seeded_offset(length: int, frames: int, stride: int, seed: int, path: str) -> int:
    """An offset in 0..`highest_offset`, both included, that belongs to this video under this seed."""
    random = numpy_generator("window offset", seed, path)
    return int(random.integers(0, highest_offset(length, frames, stride), endpoint=True))


def frame_indices(start: int, frames: int, stride: int) -> range:
    """Indices of the frames of a window."""
    return range(start, start + frames * stride, stride)
