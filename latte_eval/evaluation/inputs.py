"""What a caller of Python may hand over as one side of an evaluation: paths, arrays, iterables, generators."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latte_eval.benchmarks.readers.arrays import blocks, check_range, to_videos, values_of
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.opening import Chosen, open_paths
from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import (
    ClipError,
    GeneratorError,
    LatteEvalError,
    NotEnoughClips,
    UsageError,
    kind_and_first_line,
)
from latte_eval.core.layouts import SAY_WHICH, shape_to_layout, values_to_complaint
from latte_eval.core.progress import Reporter
from latte_eval.files.spool import Spool

if TYPE_CHECKING:
    from latte_eval.sampler.generators import GeneratorSource

ACCEPTED = (
    "a path, a list of paths, a uint8 array or tensor [N, T, H, W, 3] or [N, T, 3, H, W], an iterable of clips or "
    "batches, a DataLoader, or a generator as docs/generators.md has it"
)
ENDLESS = "clips=N takes the first N clips of an iterable that does not end"


@dataclass(frozen=True)
class Reading:
    """How arrays become clips.

    Attributes:
        normalize: they are floats in 0..1, and `(x * 255).round()` is meant.
        layout: a name in `LAYOUTS`; None tells it by the shape.
    """

    normalize: bool = False
    layout: str | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """An object that gives clips by index or one after the other: a `ClipSource`, or one of docs/generators.md."""

    maker: Any

    def __str__(self) -> str:
        from latte_eval.sampler.generators import object_name

        return object_name(self.maker)

    @property
    def spec(self) -> str:
        """Its class, as `--generator` takes one that can be made without arguments."""
        kind = type(self.maker)
        return f"{kind.__module__}:{kind.__qualname__}"

    def open(self, seed: int, clips: int | None, frames: int | None, size: int | None) -> GeneratorSource:
        """Raises as `open_generator`."""
        from latte_eval.sampler.generators import open_made

        return open_made(self.maker, seed=seed, clips=clips, frames=frames, size=size)


@dataclass(frozen=True, eq=False)
class Unread:
    """An iterable of clips or of batches of clips that nobody has asked for one yet."""

    clips: Iterable[Any]
    reading: Reading

    def __str__(self) -> str:
        return type(self.clips).__name__

    def read(self, side: str, wanted: int | None, reporter: Reporter) -> HeldVideos:
        """Go through it once, into a temporary file: so its clips can be counted, checked and told from others.

        Raises:
            ClipError: an item that is no clip.
            GeneratorError: it died.
            NotEnoughClips: it ended before `wanted` clips.
            MachineFault: the disk is full.
        """
        spool, shapes = Spool(ENDLESS), list[tuple[int, ...]]()
        with reporter.bar(f"read {side}", wanted) as advance:
            for video in islice(self.videos(side), wanted):
                spool.add(video)
                shapes.append(video.shape)
                advance(1)
        if wanted is not None and len(shapes) < wanted:
            raise NotEnoughClips(
                f"{side} ended after {len(shapes)} clips, {wanted} were asked for: clips={len(shapes)}"
            )
        return held(spool.arrays(shapes), side, "clips")

    def videos(self, side: str) -> Iterator[np.ndarray]:  # -> [T, H, W, 3] uint8 each
        """Its clips one by one. The first whose layout is clear tells that of the others."""
        reading, count = self.reading, 0
        items = iter(self.clips)
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            except LatteEvalError:
                raise
            except Exception as error:
                raise GeneratorError(f"{side} died at clip {count}: {kind_and_first_line(error)}") from error
            array = only_array(item, f"{side} at clip {count}")
            videos = array_to_videos(array, reading, f"{side} at clip {count}")
            reading = dataclasses.replace(reading, layout=reading.layout or shape_to_layout(np.shape(array)))
            yield from videos
            count += len(videos)


def to_input(given: Any, side: str, reading: Reading) -> Path | HeldVideos | Chosen | Unread | Made | None:
    """What was handed over as `fake` or `real`, in one of the forms of `Request`. Nothing long is done.

    Raises `UsageError` for what is none of the accepted forms, `ClipError` for an array that is no clips.
    """
    if given is None or isinstance(given, Path | HeldVideos | Chosen | Unread | Made):
        return given
    if isinstance(given, str | os.PathLike):
        return Path(os.fspath(given)).expanduser()
    if is_array_like(given):
        return held(list(array_to_videos(given, reading, side)), side)
    if isinstance(given, list | tuple):
        return list_to_input(given, side, reading)
    if is_maker(given):
        return Made(given)
    if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes):
        return Unread(given, reading)
    raise UsageError(f"{side} is {type(given).__name__}; give {ACCEPTED}")


def list_to_input(given: Sequence[Any], side: str, reading: Reading) -> HeldVideos | Chosen:
    """A list of paths, or of arrays that are clips or batches. Raises `UsageError` for a mixture, and for nothing."""
    if given and all(isinstance(each, str | os.PathLike) for each in given):
        return open_paths([Path(each).expanduser() for each in given])
    if given and all(is_array_like(each) for each in given):
        where = (f"{side}[{number}]" for number in range(len(given)))
        parts = [array_to_videos(each, reading, name) for each, name in zip(given, where, strict=True)]
        return held([video for part in parts for video in part], side)
    kinds = sorted({type(each).__name__ for each in given})
    what = f"a list of {' and '.join(kinds)}" if given else "an empty list"
    raise UsageError(f"{side} is {what}; a list holds paths, or arrays that are clips or batches of clips")


def held(videos: list[np.ndarray], side: str, kind: str = "array") -> HeldVideos:
    """Arrays as a place, all of their values looked at. Raises `ClipError`."""
    if not videos:
        raise NotEnoughClips(f"{side} holds no clips; a distance needs at least 2")
    check_range(videos, f"{side}: ")
    return HeldVideos(videos, kind)


def is_array_like(given: Any) -> bool:
    """Whether it is an array or a tensor."""
    return hasattr(given, "__array__") and hasattr(given, "shape") and hasattr(given, "dtype")


def is_maker(given: Any) -> bool:
    """Whether it is a generator of docs/generators.md that gives clips by number, or says which clips it gives."""
    return isinstance(given, ClipSource) or (
        (hasattr(given, "generate") and hasattr(given, "__len__"))
        or (hasattr(given, "__iter__") and isinstance(getattr(given, "fingerprint", None), str))
    )


def only_array(item: Any, where: str) -> Any:
    """The one array of clips in what a loader gave: the item itself, or a member of a tuple or dict beside labels.

    Raises `ClipError` where there is none, or several.
    """
    if is_array_like(item):
        return item
    members: Mapping[Any, Any] = {}
    if isinstance(item, Mapping):
        members = item
    elif isinstance(item, list | tuple):
        members = dict(enumerate(item))
    found = {name: each for name, each in members.items() if is_array_like(each) and len(each.shape) in (4, 5)}
    if len(found) == 1:
        return next(iter(found.values()))
    inside = ", ".join(f"{name!r} {tuple(each.shape) if is_array_like(each) else type(each).__name__}"
                       for name, each in (found or members).items())  # fmt: skip
    many = "several arrays of 4 or 5 dimensions" if found else "no array of 4 or 5 dimensions"
    raise ClipError(f"{where}: {type(item).__name__} with {many} ({inside}): give an iterable of the clips alone, "
                    "such as (batch[0] for batch in loader)")  # fmt: skip


def array_to_videos(given: Any, reading: Reading, where: str) -> np.ndarray:  # -> [N, T, H, W, 3] uint8
    """An array or tensor as clips, a view of its memory where that has uint8. Raises `ClipError`."""
    array, is_tensor = as_numpy(given)
    try:
        if array.ndim in (4, 5):
            shape_to_layout(array.shape, reading.layout)  # says what is wrong before all values are looked at
        return to_videos(to_uint8(array, reading.normalize, is_tensor), reading.layout, SAY_WHICH)
    except ClipError as error:
        raise ClipError(f"{where}: {error}") from error


def as_numpy(given: Any) -> tuple[np.ndarray, bool]:
    """An array, and whether it was a tensor of torch."""
    if not hasattr(given, "detach"):
        return np.asarray(given), False
    tensor = given.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy(), True


def to_uint8(array: np.ndarray, normalize: bool, is_tensor: bool = False) -> np.ndarray:
    """Values as uint8: as they are, or `(x * 255).round()` of floats in 0..1 if a person says so.

    Raises `ClipError` for others, with the expression that makes them right.
    """
    if array.dtype == np.uint8:
        if normalize:
            raise ClipError("normalize=True takes floats in 0..1, and this is uint8 already: leave it out")
        return array
    found = values_of(array)
    fits = array.dtype.kind == "f" and not found.unusable and found.low >= 0 and found.high <= 1
    if not fits or not normalize:
        name = f"torch.{found.dtype}" if is_tensor else found.dtype
        said = values_to_complaint(name, found.low, found.high, found.unusable, is_tensor)
        if fits:
            said += ", or give normalize=True"
        elif normalize and not found.unusable:
            said = f"normalize=True takes floats in 0..1; {said} and leave out normalize"
        raise ClipError(said)
    made, position = np.empty(array.shape, np.uint8), 0
    for block in blocks(array) if array.size else ():
        made.reshape(-1)[position : position + block.size] = np.rint(block.astype(np.float32) * 255).reshape(-1)
        position += block.size
    return made
