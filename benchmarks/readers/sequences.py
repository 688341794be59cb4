"""Which images of a folder are the frames of one video: one way of naming, one format, numbers that count up once."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from latte_eval.benchmarks.readers.entries import natural_key, number_key

NUMBER, DECIMAL = re.compile(r"[0-9]+"), re.compile(r"[0-9]+(?:\.[0-9]+)?")

# Suffixes of one format.
SAME_FORMAT = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}

# What pictures about a video are called, which people and tools put beside its frames.
ABOUT = re.compile(r"cover|thumb|poster|preview|folder|grid|sheet|montage|contact|storyboard|sprite|icon|banner")

# Numbers with a point are times, such as 0.04 and 0.08, where the longest step is at most so many of the shortest.
EVEN = 3.0

Shape = tuple[str, str]  # a name with # for every number, and its format


@dataclass(frozen=True)
class Frames:
    """The images of a folder.

    Attributes:
        names: the frames, in order.
        others: images that are no frames.
        problem: why the frames are not one video; empty where they are.
    """

    names: tuple[str, ...]
    others: tuple[str, ...] = ()
    problem: str = ""


def find_frames(names: Sequence[str]) -> Frames:
    """The frames among the images of one folder, by their names.

    An image is no frame where others have numbers and it has none, or is called a cover, thumbnail or the like.
    """
    groups = group_names(names)
    numbered = [shape for shape in groups if "#" in shape[0] and not ABOUT.search(shape[0])]
    chosen = numbered or list(groups)
    others = tuple(name for shape, group in groups.items() if shape not in chosen for name in group)
    if len(chosen) > 1:
        frames = (name for shape in chosen for name in groups[shape])
        return Frames(tuple(sorted(frames, key=natural_key)), others, kinds_problem([groups[each] for each in chosen]))
    ordered, problem = in_order(groups[chosen[0]])
    return Frames(ordered, others, problem)


def group_names(names: Sequence[str]) -> dict[Shape, list[str]]:
    """Names by their shape, the largest group first."""
    groups: dict[Shape, list[str]] = {}
    for name in sorted(names, key=natural_key):
        stem, suffix = posixpath.splitext(name.lower())
        groups.setdefault((DECIMAL.sub("#", stem), SAME_FORMAT.get(suffix, suffix)), []).append(name)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def in_order(names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Names of one shape in the order of their numbers, and why they are not one video, or nothing."""
    if timed := by_time(names):
        return timed, ""
    ordered = tuple(sorted(names, key=natural_key))
    numbers = [NUMBER.findall(stem_of(name)) for name in ordered]
    columns = list(zip(*numbers, strict=False))
    # One number that differs in every name counts the frames, whatever stands in the others.
    if len(names) == 1 or any(len(set(map(number_key, column))) == len(names) for column in columns):
        return ordered, ""
    starts: dict[tuple[str, ...], str] = {}
    for name, row in zip(ordered, numbers, strict=True):
        starts.setdefault(tuple(row[:-1]), name)
    return ordered, (
        f"the numbers of its {len(names):,} images begin {len(starts):,} times ({shown(list(starts.values()))}): these "
        f"are several videos; put the frames of each video into a folder of its own"
    )


def by_time(names: Sequence[str]) -> tuple[str, ...] | None:
    """Names in the order of the time that each holds, such as 0.5 and 10; None where they hold none."""
    stems = {stem_of(name): name for name in names}
    found = {stem: list(DECIMAL.finditer(stem)) for stem in stems}
    if not all(found.values()) or not any("." in numbers[-1][0] for numbers in found.values()):
        return None
    around = {(stem[: numbers[-1].start()], stem[numbers[-1].end() :]) for stem, numbers in found.items()}
    times = sorted((float(numbers[-1][0]), stems[stem]) for stem, numbers in found.items())
    steps = [later[0] - earlier[0] for earlier, later in zip(times, times[1:], strict=False)]
    even = len(around) == 1 and len(times) == len(names) > 2 and min(steps) > 0 and max(steps) <= EVEN * min(steps)
    return tuple(name for _, name in times) if even else None


def kinds_problem(groups: Sequence[Sequence[str]]) -> str:
    """What to say of images of several shapes, all of which could be frames."""
    found = [f"{len(group):,} like {group[0]}" for group in groups]
    return (
        f"images of {len(groups):,} kinds in one folder ({shown(found)}): the frames of a video have one way of naming "
        f"and one suffix; keep one kind there and put the others elsewhere"
    )


def shown(items: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def stem_of(name: str) -> str:
    return posixpath.splitext(name)[0]
