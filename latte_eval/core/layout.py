"""Arrays of clips from Python: the shape tells where their colours are, the dtype what their numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from latte_eval.core.errors import ClipError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# N clips, T frames, C colours, H rows and W columns of pixels, in the order of the axes.
LAYOUTS = {"NTHWC": "[N, T, H, W, 3]", "NTCHW": "[N, T, 3, H, W]", "NCTHW": "[N, 3, T, H, W]"}
ONE_OF_THEM = ", ".join(LAYOUTS.values())
NAME_IT = f"say which with layout=, one of {', '.join(LAYOUTS)}"


def layout_of_shape(shape: Sequence[int], advice: str = NAME_IT) -> str:
    """The layout of clips of this shape, one of `LAYOUTS`: the only one whose colours have 3 values.

    Args:
        advice: what to do where the shape fits more than one; it ends the error.

    Raises:
        ClipError: there are not 5 axes, or the shape fits none of the layouts or more than one.
    """
    shape = tuple(shape)
    fitting = [name for name in LAYOUTS if len(shape) == 5 and shape[name.index("C")] == 3]
    if not fitting:
        raise ClipError(f"clips of shape {shape} are none of {ONE_OF_THEM}{one_clip(shape)}")
    if len(fitting) > 1:
        may_be = " or ".join(LAYOUTS[name] for name in fitting)
        raise ClipError(f"clips of shape {shape} may be {may_be}: {advice}")
    return fitting[0]


def one_clip(shape: tuple[int, ...]) -> str:
    """What to type where the axis of clips may be missing."""
    return "; a single clip is x[None]" if len(shape) == 4 and 3 in shape else ""


def check_layout(shape: Sequence[int], layout: str) -> None:
    """Raise `ClipError` unless clips of this shape can have this layout."""
    shape = tuple(shape)
    if layout not in LAYOUTS:
        raise ClipError(f"layout cannot be {layout!r}; one of {', '.join(LAYOUTS)}")
    if len(shape) != 5 or shape[layout.index("C")] != 3:
        raise ClipError(f"clips of shape {shape} are not {layout}, {LAYOUTS[layout]}")


def clips_to_channels_last(clips: Any, layout: str | None = None) -> Any:
    """A view of the same clips with the colours last, numpy or torch as they came. # -> [N, T, H, W, 3]

    Raises `ClipError` where the layout is None and cannot be told by the shape, or is not that of the shape.
    """
    return move_colours(clips, layout, 4)


def clips_to_channels_first(clips: Any, layout: str | None = None) -> Any:
    """The same with the colours of each frame first. # -> [N, T, 3, H, W]"""
    return move_colours(clips, layout, 2)


def move_colours(clips: Any, layout: str | None, axis: int) -> Any:
    """A view of the clips with the colours on this axis, the others in their order."""
    if layout is None:
        layout = layout_of_shape(clips.shape)
    check_layout(clips.shape, layout)
    moved = layout.index("C")
    if hasattr(clips, "movedim"):
        return clips.movedim(moved, axis)
    import numpy as np

    return np.moveaxis(clips, moved, axis)


def array_to_pixels(clips: np.ndarray | Tensor, normalize: bool = False, layout: str | None = None) -> Tensor:
    """Clips of an array or tensor as the rest of latte-eval takes them. # -> [N, T, 3, H, W] uint8, on their device

    Args:
        clips: uint8 0..255, in one of `LAYOUTS`; with `normalize` floats 0..1, which are rounded to k / 255.
        layout: one of `LAYOUTS`; None where the shape tells it.

    Raises:
        ClipError: another layout, dtype or range; floats without `normalize`, or uint8 with it.
    """
    pixels = array_to_tensor(clips)
    check_dtype(pixels, normalize)
    pixels = clips_to_channels_first(pixels, layout)
    return floats_to_uint8(pixels) if normalize else pixels


def array_to_tensor(clips: Any) -> Tensor:
    """The same numbers as a tensor. A read-only array, or one that runs backwards, is copied: torch takes neither."""
    import torch

    if isinstance(clips, torch.Tensor):
        return clips.detach()
    import numpy as np

    array = np.asarray(clips)
    if array.dtype.kind not in "buif":
        raise ClipError(f"clips are {type(clips).__name__} of {array.dtype}, not an array or tensor of numbers")
    backwards = any(stride < 0 for stride in array.strides)
    return torch.from_numpy(array if array.flags.writeable and not backwards else array.copy())


def check_dtype(pixels: Tensor, normalize: bool) -> None:
    """Raise `ClipError` where numbers are not of the kind that `normalize` says, and say what to type."""
    if pixels.dtype.is_floating_point and not normalize:
        raise ClipError(
            f"clips are {pixels.dtype}{range_to_text(pixels)}, they must be torch.uint8 0..255; "
            f"for floats 0..1 say normalize=True, for floats -1..1 give ((x + 1) / 2).clamp(0, 1) besides"
        )
    if normalize and not pixels.dtype.is_floating_point:
        raise ClipError(f"clips are {pixels.dtype}; normalize=True is for floats 0..1")
    if not normalize and str(pixels.dtype) != "torch.uint8":
        raise ClipError(f"clips are {pixels.dtype}{range_to_text(pixels)}, they must be torch.uint8 0..255")


def range_to_text(pixels: Tensor) -> str:
    """` from 0 to 1`, or nothing where there are no numbers."""
    return f" from {pixels.min().item():.4g} to {pixels.max().item():.4g}" if pixels.numel() else ""


def floats_to_uint8(pixels: Tensor) -> Tensor:
    """Floats 0..1 as uint8 0..255, to the nearest. Raises `ClipError` for a number outside, or none."""
    inside = (pixels >= 0) & (pixels <= 1)  # false for NaN
    if not inside.all():
        outside = int((~inside).sum())
        raise ClipError(
            f"{outside:,} of {pixels.numel():,} numbers are not within 0..1 (all are{range_to_text(pixels)}); "
            f"for clips in -1..1 give ((x + 1) / 2).clamp(0, 1)"
        )
    import torch

    return (pixels.float() * 255).round().to(torch.uint8)
