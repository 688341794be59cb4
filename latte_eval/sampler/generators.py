"""Clips of any other model without files in between: `--generator package.module:make_generator`.

`make_generator` is called with those of the keyword arguments seed, clips, frames, size and device that it names, and
returns one of

- an object with `__len__` and `generate(indices, seeds)`, which gives uint8 clips [N, T, H, W, 3] or [N, T, 3, H, W];
- an iterator of clips, one [T, H, W, 3] or [T, 3, H, W] at a time, or batches of them;
- a full `latte_eval.core.clips.ClipSource`.

Packages register theirs under a short name as an entry point of the group `latte_eval.generators`.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.choices import check_name
from latte_eval.core.clips import Clips, ClipSource, Rejected
from latte_eval.core.errors import GeneratorError, LatteEvalError, NotEnoughClips, UsageError, kind_and_first_line
from latte_eval.core.processes import run_token
from latte_eval.core.protocol import PUBLISHED_CLIPS
from latte_eval.core.seeding import identity_to_seed

GROUP = "latte_eval.generators"

NO_REUSE = (
    "{} has no fingerprint, so nothing tells whether its weights changed: its features are computed anew in every run, "
    "also after one that was stopped; give it a fingerprint to reuse them"
)
KEPT = "what was finished before is kept, run the same command again to continue"

# Numbers of the objects that were handed over in this run; all processes of it hand over the same in the same order.
CALLS = itertools.count()

Feed = Callable[[Sequence[int]], Any]  # indices -> clips in any accepted form


@runtime_checkable
class ClipGenerator(Protocol):
    """The small protocol of a generator. It may also have `name`, `fingerprint`, `frames` and `size`.

    Clip i should be a function of seeds[i] alone, so that batches, resuming and many GPUs change nothing.
    """

    def __len__(self) -> int:
        """How many clips it can give."""

    def generate(self, indices: Sequence[int], seeds: Sequence[int]) -> Any:
        """uint8 clips [N, T, H, W, 3] or [N, T, 3, H, W], an array or a tensor."""


def clip_seed(seed: int, index: int) -> int:
    """The seed of clip `index`, of 32 bits: every library takes it."""
    return identity_to_seed("generator", seed, index) % 2**32


def open_generator(
    spec: str,
    *,
    seed: int = 0,
    clips: int | None = None,
    frames: int | None = None,
    size: int | None = None,
    device: str = "cpu",
) -> GeneratorSource:
    """A generator as a clip source, checked batch by batch.

    Without a `fingerprint` nothing tells whether its clips are those of another run: its source then has a fingerprint
    of this run alone, the same in all processes of it, and `no_reuse` says so.

    Args:
        spec: `package.module:callable`, or the name of an entry point.
        seed: clip i is made from `clip_seed(seed, i)`.
        clips: how many are wanted; None takes what the generator has.
        frames: of a clip; None takes the generator's own.
        size: of a clip, unless the generator has a `size` of its own.

    Raises:
        UsageError: no such module, attribute or name.
        GeneratorError: it cannot be made, or is none of the accepted forms.
        NotEnoughClips: it has fewer clips than are wanted.
    """
    factory = find_factory(spec)
    given = {"seed": seed, "clips": clips, "frames": frames, "size": size, "device": device}
    arguments = accepted_arguments(factory, given)

    def make() -> Any:
        try:
            return factory(**arguments)
        except Exception as error:
            raise GeneratorError(f"{spec} could not be made: {kind_and_first_line(error)}") from error

    return made_source(spec, make, seed, clips, frames, size, source_digest(factory))


def open_made(
    made: Any, *, seed: int = 0, clips: int | None = None, frames: int | None = None, size: int | None = None
) -> GeneratorSource:
    """A generator that a caller has made, as `open_generator`: any of the accepted forms.

    Without a `fingerprint` its features are never found again, also not in this process: each call may give another
    object, or the same one with other weights.

    Raises what `open_generator` raises of a generator that is made.
    """
    return made_source(object_name(made), lambda: made, seed, clips, frames, size, str(next(CALLS)))


def object_name(made: Any) -> str:
    """What an object is called where nobody typed a name for it."""
    return str(getattr(made, "name", type(made).__name__))


def made_source(
    spec: str, make: Callable[[], Any], seed: int, clips: int | None, frames: int | None, size: int | None, mark: str
) -> GeneratorSource:
    """What `make` gives, as a clip source; `mark` tells it from others of this run if it has no fingerprint."""
    made = make()
    own = getattr(made, "fingerprint", None)
    identity = own or digest(run_token(), mark)
    length = checked_length(spec, made, clips)
    feed = choose_feed(spec, made, make, seed)
    return GeneratorSource(
        name=str(getattr(made, "name", spec)),
        fingerprint=digest("generator", spec, seed, frames, size, identity),
        length=length,
        feed=feed,
        frames=checked_frames(spec, made, frames),
        size=getattr(made, "size", None) or size,
        inner=made if isinstance(made, ClipSource) else None,
        no_reuse="" if own else NO_REUSE.format(spec),
    )


def find_factory(spec: str) -> Callable[..., Any]:
    """Import `package.module:callable`, also from the current folder, or an entry point of that name."""
    if ":" not in spec:
        registered = {point.name: point for point in entry_points(group=GROUP)}
        check_name("generator", spec, [*registered, "package.module:make_generator"])
        spec = registered[spec].value
    module_name, _, attribute = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UsageError(f"--generator {spec}: cannot import {module_name}: {kind_and_first_line(error)}") from error
    factory: Any = getattr(module, attribute, None)
    if not callable(factory):
        callables = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        check_name(f"callable in {module_name}:", attribute, callables)
    return factory


def accepted_arguments(factory: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Of the arguments on offer, those that the factory names; None is not handed on."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return {}
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    return {key: value for key, value in given.items() if value is not None and (open_ended or key in named)}


def checked_frames(spec: str, made: Any, frames: int | None) -> int | None:
    """Frames of its clips, where they are known. Raises `GeneratorError` for another length than is needed."""
    own = getattr(made, "frames", None)
    if frames is not None and own not in (None, frames):
        raise GeneratorError(
            f"{spec} makes clips of {own} frames, {frames} are needed; --param frames={own} changes the protocol"
        )
    return frames or own


def checked_length(spec: str, made: Any, clips: int | None) -> int:
    """How many clips it will be asked for. Raises `NotEnoughClips` where it says that it has fewer than are wanted."""
    if not hasattr(made, "__len__"):
        return clips or PUBLISHED_CLIPS
    length = len(made)
    if clips is not None and length < clips:
        raise NotEnoughClips(f"{spec} has {length} clips, {clips} were asked for. Use --clips {length}")
    return length


def choose_feed(spec: str, made: Any, make: Callable[[], Any], seed: int) -> Feed:
    """The way clips are asked for, by the form of the generator."""
    if isinstance(made, ClipSource):
        return made.clips
    if isinstance(made, ClipGenerator):
        return lambda indices: made.generate(list(indices), [clip_seed(seed, index) for index in indices])
    if hasattr(made, "__iter__"):
        return Stream(made, make).take
    raise GeneratorError(
        f"{spec} returned {type(made).__name__}; it must have __len__ and generate(indices, seeds), or yield clips"
    )


class Stream:
    """Clips by index from an iterator, which only yields them in order: skips forward, and starts again to go back."""

    def __init__(self, made: Any, make: Callable[[], Any]):
        self.made, self.make, self.position = made, make, 0
        self.iterator = single_clips(made)

    def take(self, indices: Sequence[int]) -> Tensor:
        """The clips of ascending indices. # -> [N, ...]"""
        return torch.stack([self.clip(index) for index in indices])

    def clip(self, index: int) -> Tensor:
        if index < self.position:
            made = self.make()
            if iter(made) is made and made is self.made:
                raise GeneratorError(
                    f"the generator gave {self.position} clips and cannot go back to clip {index}: it can be gone "
                    "through once; give an object whose __iter__ starts anew"
                )
            self.made, self.iterator, self.position = made, single_clips(made), 0
        while True:
            try:
                clip = next(self.iterator)
            except StopIteration:
                raise NotEnoughClips(
                    f"the generator ended after {self.position} clips, clip {index} was asked for. "
                    f"Use --clips {self.position}"
                ) from None
            self.position += 1
            if self.position == index + 1:
                return clip


def single_clips(iterable: Any) -> Iterator[Tensor]:
    """One clip at a time from an iterable of clips or of batches of clips."""
    for item in iterable:
        tensor = as_tensor(item)
        yield from tensor if tensor.ndim == 5 else (tensor,)


class GeneratorSource:
    """A generator as a `ClipSource`: what it gives is checked, and every failure is told in one sentence.

    `no_reuse` says why another run will not find its features; empty where it will.
    """

    def __init__(
        self,
        name: str,
        fingerprint: str,
        length: int,
        feed: Feed,
        frames: int | None = None,
        size: int | None = None,
        inner: ClipSource | None = None,
        no_reuse: str = "",
    ):
        self.name, self.fingerprint, self.length, self.feed = name, fingerprint, length, feed
        self.frames, self.size, self.inner, self.no_reuse = frames, size, inner, no_reuse

    @property
    def rejected(self) -> Sequence[Rejected]:
        return self.inner.rejected if self.inner else ()

    def __len__(self) -> int:
        return self.length

    def groups(self, indices: Sequence[int]) -> list[str]:
        return self.inner.groups(indices) if self.inner else [f"{self.name}/{index}" for index in indices]

    def identities(self, indices: Sequence[int]) -> list[str] | None:
        """Those of a full `ClipSource` that has some; else None: the index tells."""
        identities = getattr(self.inner, "identities", None)
        return identities(indices) if identities else None

    def clips(self, indices: Sequence[int]) -> Clips:
        """Clips of these indices.

        Raises:
            GeneratorError: the generator died, or gave what is not a clip.
            NotEnoughClips: it ended before these clips.
        """
        indices = list(indices)
        try:
            given = self.feed(indices)
        except LatteEvalError:
            raise
        except Exception as error:
            raise GeneratorError(
                f"{self.name} died at {clip_range(indices)}: {kind_and_first_line(error)}; {self.what_is_kept}"
            ) from error
        if isinstance(given, Clips):
            self.check_shape(given.pixels, indices)
            return given
        pixels = self.checked_pixels(as_tensor(given), indices)
        return Clips(pixels, tuple(indices))

    @property
    def what_is_kept(self) -> str:
        """What becomes of the clips before the one at which the generator died."""
        return f"with a fingerprint {KEPT}; this one has none and starts anew" if self.no_reuse else KEPT

    def checked_pixels(self, given: Tensor, indices: list[int]) -> Tensor:
        """# anything -> [N, T, 3, H, W] uint8. Raises `GeneratorError`."""
        where = f"{self.name} at {clip_range(indices)}"
        if given.is_floating_point():
            raise GeneratorError(f"{where} {float_complaint(given)}")
        if given.dtype != torch.uint8:
            raise GeneratorError(f"{where} yielded {given.dtype}; a clip is uint8 RGB, 0 to 255")
        if given.ndim != 5 or 3 not in (given.shape[2], given.shape[4]):
            raise GeneratorError(
                f"{where} yielded {tuple(given.shape)}; clips are (N, T, H, W, 3) or (N, T, 3, H, W), RGB"
            )
        pixels = given if given.shape[2] == 3 else given.permute(0, 1, 4, 2, 3)
        if len(pixels) != len(indices):
            raise GeneratorError(f"{where} yielded {len(pixels)} clips, {len(indices)} were asked for")
        self.check_shape(pixels, indices)
        return pixels.contiguous()

    def check_shape(self, pixels: Tensor, indices: list[int]) -> None:
        """Raise `GeneratorError` for clips of another length or size; the first batch sets what is not set."""
        frames, height, width = pixels.shape[1], *pixels.shape[3:]
        self.frames, self.size = self.frames or frames, self.size or height
        where = f"{self.name} at {clip_range(indices)}"
        if frames != self.frames:
            raise GeneratorError(
                f"{where} yielded clips of {frames} frames, {self.frames} are needed; --param frames={frames} "
                "changes the protocol"
            )
        if (height, width) != (self.size, self.size):
            raise GeneratorError(
                f"{where} yielded {width}x{height} pixels, {self.size}x{self.size} are needed; --param size=N "
                "changes the protocol"
            )


def as_tensor(given: Any) -> Tensor:
    """An array, a tensor or nested lists of them as a tensor on the CPU. Raises `GeneratorError`."""
    try:
        # A copy: arrays may be read-only, or views with negative strides.
        return given.detach().cpu() if isinstance(given, Tensor) else torch.from_numpy(np.array(given, order="C"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise GeneratorError(
            f"the generator yielded {type(given).__name__}, not an array of clips: {kind_and_first_line(error)}"
        ) from error


def float_complaint(given: Tensor) -> str:
    """What is wrong with clips of floating-point numbers, and how to make them right."""
    if not torch.isfinite(given).all():
        return f"yielded {int((~torch.isfinite(given)).sum())} values that are NaN or infinite"
    low, high = float(given.min()), float(given.max())
    offset = "x * 255" if low >= 0 else "(x + 1) * 127.5"
    return (
        f"yielded {given.dtype} from {low:.3g} to {high:.3g}; a clip is uint8 RGB, 0 to 255: "
        f"({offset}).round().clip(0, 255) and a cast to uint8"
    )


def clip_range(indices: Sequence[int]) -> str:
    return f"clip {indices[0]}" if len(indices) == 1 else f"clips {indices[0]} to {indices[-1]}"


def source_digest(factory: Callable[..., Any]) -> str:
    """The file that a generator is written in: within one process, another file is another generator."""
    try:
        return digest(Path(inspect.getfile(factory)).read_bytes())
    except (OSError, TypeError):
        return digest(repr(factory))


def digest(*parts: object) -> str:
    """sha256 (hex) of parts."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()
