"""Drawing the clips of the `shapes` benchmark from signed distances, one anti-aliased shape per clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from latte_eval.core.seeding import numpy_generator

CLASSES = ("disc", "square", "triangle", "ring")
SIZE, FRAMES = 16, 16
BACKGROUND = np.array([20, 20, 28.0])
COLOURS = np.array([[250, 150, 50], [70, 150, 250], [80, 220, 110], [220, 110, 240.0]])

Path = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # column, row, angle, radius; each [T]
CENTRE = SIZE / 2


def bounce(start: float, speed: float, low: float, high: float, time: np.ndarray) -> np.ndarray:  # -> [T]
    """Positions of a point that moves by `speed` per frame and is reflected at `low` and `high`."""
    span = high - low
    folded = np.mod(start - low + speed * time, 2 * span)
    return low + np.where(folded > span, 2 * span - folded, folded)


def held(value: float, time: np.ndarray) -> np.ndarray:  # -> [T] float64
    """The same value at every time."""
    return np.full(len(time), value, np.float64)


def disc_path(random: np.random.Generator, time: np.ndarray) -> Path:
    """Falls and rises between floor and ceiling, in a random column."""
    radius = 3.2
    start, speed = random.uniform(radius, SIZE - radius), float(random.choice([-1.0, 1.0]))
    row = bounce(start, speed, radius, SIZE - radius, time)
    return held(random.uniform(radius, SIZE - radius), time), row, held(0, time), held(radius, time)


def square_path(random: np.random.Generator, time: np.ndarray) -> Path:
    """Spins in the centre, either way round, from a random angle."""
    angle = random.uniform(0, np.pi / 2) + random.choice([-1.0, 1.0]) * 0.12 * time
    return held(CENTRE, time), held(CENTRE, time), angle, held(4.0, time)


def triangle_path(random: np.random.Generator, time: np.ndarray) -> Path:
    """Circles the centre once, either way round, from a random phase."""
    phase = random.uniform(0, 2 * np.pi) + random.choice([-1.0, 1.0]) * 2 * np.pi / FRAMES * time
    return CENTRE + 3.2 * np.cos(phase), CENTRE + 3.2 * np.sin(phase), held(0, time), held(4.4, time)


def ring_path(random: np.random.Generator, time: np.ndarray) -> Path:
    """Widens and narrows once in the centre, from a random phase."""
    radius = 4.0 + 1.8 * np.sin(random.uniform(0, 2 * np.pi) + 2 * np.pi / FRAMES * time)
    return held(CENTRE, time), held(CENTRE, time), held(0, time), radius


# Signed distance in pixels of a point (x, y) to a shape of radius r at the origin; negative inside.
def disc_distance(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - r


def square_distance(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - r


def triangle_distance(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    sides = [x * np.sin(a) - y * np.cos(a) for a in (np.pi, np.pi / 3 * 5, np.pi / 3)]
    return np.max(sides, axis=0) - r / 2


def ring_distance(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(x, y) - r) - 1.0


PathMaker = Callable[[np.random.Generator, np.ndarray], Path]
PATHS: tuple[PathMaker, ...] = (disc_path, square_path, triangle_path, ring_path)
DISTANCES = (disc_distance, square_distance, triangle_distance, ring_distance)


def draw_clip(
    label: int, random: np.random.Generator, interval: int = 1, frames: int = FRAMES
) -> np.ndarray:  # -> [T, 3, 16, 16] uint8
    """One clip of class `label`: random phase, heading and brightness, then the motion of that class.

    `interval` is the distance between its frames, in steps of the motion. A clip of fewer frames is the start of a
    longer one.
    """
    time = interval * np.arange(frames, dtype=np.float64)
    column, row, angle, radius = (value[:, None, None] for value in PATHS[label](random, time))
    brightness = random.uniform(0.85, 1.0)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    dx, dy = x - column, y - row
    rotated = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    cover = np.clip(0.5 - DISTANCES[label](*rotated, radius), 0, 1)[:, None]
    colour = (brightness * COLOURS[label])[None, :, None, None]
    return np.rint(BACKGROUND[None, :, None, None] * (1 - cover) + colour * cover).astype(np.uint8)


def draw_clips(
    seed: int, indices: Iterable[int], split: str = "train", interval: int = 1, frames: int = FRAMES
) -> tuple[np.ndarray, np.ndarray]:
    """Clips and labels of the given indices; the class is drawn with the clip.

    Returns:
        [N, T, 3, 16, 16] uint8 and [N] int64.
    """
    clips, labels = [], []
    for index in indices:
        random = numpy_generator("shapes", split, seed, index)
        label = int(random.integers(len(CLASSES)))
        clips.append(draw_clip(label, random, interval, frames))
        labels.append(label)
    return np.stack(clips), np.array(labels)
