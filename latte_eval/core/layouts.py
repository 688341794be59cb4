"""Arrays of clips by shape and values: where the colours are, and what to type for those that are not uint8.

Nothing here imports numpy or torch: a shape is a tuple of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from latte_eval.core.choices import check_choice
from latte_eval.core.errors import ClipError, UsageError

# Name of a layout -> which axis of five holds the colours.
LAYOUTS = {"NTHWC": 4, "NTCHW": 2, "NCTHW": 1}
SHAPES = {"NTHWC": "[N, T, H, W, 3]", "NTCHW": "[N, T, 3, H, W]", "NCTHW": "[N, 3, T, H, W]"}

# What to do about an array whose layout is not clear: in Python, and for one in a file.
SAY_WHICH = "say which: layout={0!r}"
STORE_OTHERWISE = "store mp4 files, or [N, T, H, W, 3] without other 3s"


def shape_to_layout(shape: Sequence[int], layout: str | None = None, advice: str = SAY_WHICH) -> str:
    """The layout of clips, a name in `LAYOUTS`, by their shape alone.

    Args:
        shape: of 5 dimensions, or of 4 for a single clip.
        layout: what a person says that it is; None tells it where only one fits.
        advice: what to type where several fit; `{0!r}` stands for the first of them.

    Raises:
        ClipError: another number of dimensions, no axis of three colours, several of them, or not where `layout` says.
        UsageError: an unknown layout.
    """
    if len(shape) not in (4, 5):
        raise ClipError(f"shape {tuple(shape)} has {len(shape)} dimensions; clips have 5, a single one 4: "
                        f"{', '.join(SHAPES.values())}")  # fmt: skip
    if layout is not None:
        check_choice("layout", layout, LAYOUTS, UsageError)
    five = [*([1] if len(shape) == 4 else []), *shape]
    fitting = [name for name, axis in LAYOUTS.items() if five[axis] == 3 and layout in (None, name)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        wanted = [SHAPES[layout]] if layout else SHAPES.values()
        raise ClipError(f"shape {tuple(shape)} is none of {', '.join(wanted)}: clips are RGB, with an axis of 3")
    meanings = " or ".join(f"{SHAPES[name]} ({shape_to_text(five, name)})" for name in fitting)
    raise ClipError(f"shape {tuple(shape)} may be {meanings}; {advice.format(*fitting)}")


def shape_to_text(shape: Sequence[int], layout: str) -> str:
    """What five numbers mean in a layout: `2 clips of 3 frames of 8x8 pixels`."""
    sizes = [size for axis, size in enumerate(shape) if axis != LAYOUTS[layout]]
    return f"{sizes[0]:,} clips of {sizes[1]:,} frames of {sizes[3]}x{sizes[2]} pixels"


def values_to_complaint(dtype: str, low: float, high: float, unusable: int = 0, torch: bool = False) -> str:
    """What is wrong with clips that are not uint8, and the expression that makes them so.

    Args:
        dtype: such as `float32`.
        low, high: lowest and highest value that is a number.
        unusable: values that are NaN or infinite.
        torch: whether they are a tensor, whose methods have other names.
    """
    if unusable:
        return f"{dtype} with {unusable:,} values that are NaN or infinite: a clip is uint8 RGB, 0 to 255"
    return f"{dtype} from {low:.4g} to {high:.4g}: store uint8, such as {conversion(dtype, low, high, torch)}"


def conversion(dtype: str, low: float, high: float, torch: bool = False) -> str:
    """The expression that brings values of this range to 0..255 in uint8, as far as the range tells."""
    cast = ".to(torch.uint8)" if torch else ".astype('uint8')"
    if not dtype.rpartition(".")[2].startswith(("float", "bfloat")):
        fits = low >= 0 and high <= 255
        return f"x{cast}" if fits else f"x.clip(0, 255){cast} after a look at the values"
    if -1 <= low < 0 and high <= 1:
        return f"((x + 1) * 127.5).round(){cast}"
    if low >= 0 and high <= 1:
        return f"(x * 255).round(){cast}"
    return f"x.round().clip(0, 255){cast}" if low >= 0 and high <= 256 else f"x{cast} once it is in 0..255"
