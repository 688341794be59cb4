"""Numbers: what must hold of every distance, score and interval, for features of every size, scale and offset.

    python tests/siege/distances.py --trials 2000 --seed 0

Each trial is one property with examples that hypothesis draws; of a property that fails the smallest example is shown.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import hypothesis
import numpy as np
from hypothesis import strategies as st

from latte_eval.metrics.frechet import frechet_distance, frechet_distance_from_features
from latte_eval.metrics.inception_scores import inception_score
from latte_eval.metrics.kernel import kernel_distance
from latte_eval.metrics.moments import Moments
from latte_eval.metrics.uncertainty import frechet_uncertainty, kernel_uncertainty
from siege.siege import Siege, Wrong, main

HELD = "held"
EXAMPLES = 4

# Offsets up to 1e9 with spreads from 1e-3: the mean is up to 12 digits larger than what is measured.
OFFSETS = st.sampled_from((0.0, 1.0, -37.5, 1e3, 1e6, 1e9))
SCALES = st.sampled_from((1e-3, 1.0, 1e3))
SEEDS = st.integers(0, 2**32 - 1)

# Digits of a float64 are lost where an offset is large beside the spread: features themselves hold only so many.
ROUNDING = 1e-6


@st.composite
def two_sides(draw: Any, rows: int = 40, most: int = 12) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Two sets of features with one offset, and that offset and scale. # -> [N, D], [M, D] float64"""
    dimensions = draw(st.integers(1, most))
    random = np.random.default_rng(draw(SEEDS))
    offset, scale = draw(OFFSETS), draw(SCALES)
    sides = []
    for _ in range(2):
        count, rank = draw(st.integers(2, rows)), draw(st.integers(1, dimensions))
        mixed = random.normal(size=(count, rank)) @ random.normal(size=(rank, dimensions))
        sides.append(offset + scale * (mixed + draw(st.sampled_from((0.0, 0.3, 3.0)))))
    return sides[0], sides[1], offset, scale


def near(one: float, two: float, features: tuple[np.ndarray, np.ndarray], offset: float, power: int = 2) -> bool:
    """Whether two values are equal as far as the digits of the features go."""
    spread = max(float(np.abs(side - offset).max()) for side in features)
    digits = np.finfo(np.float64).eps * abs(offset) * spread * 100 + ROUNDING * spread**2
    return abs(one - two) <= digits + ROUNDING * abs(one)


def of_moments(real: np.ndarray, fake: np.ndarray) -> float:
    return frechet_distance(Moments.from_features(real), Moments.from_features(fake))


def both_forms_agree(sides: Any) -> None:
    real, fake, offset, _ = sides
    one, two = of_moments(real, fake), frechet_distance_from_features(real, fake)
    assert near(one, two, (real, fake), offset), (one, two)


def the_distance_is_symmetric(sides: Any) -> None:
    real, fake, offset, _ = sides
    for distance in (of_moments, frechet_distance_from_features):
        one, two = distance(real, fake), distance(fake, real)
        assert one >= 0 and near(one, two, (real, fake), offset), (one, two)
    one, two = kernel_distance(real - offset, fake - offset), kernel_distance(fake - offset, real - offset)
    assert abs(one - two) <= 1e-9 * (1 + abs(one)), (one, two)


def a_set_is_at_distance_0_of_itself(sides: Any) -> None:
    real, _, offset, _ = sides
    for distance in (of_moments, frechet_distance_from_features):
        assert near(0, distance(real, real), (real, real), offset), distance(real, real)


def order_does_not_matter(sides: Any) -> None:
    real, fake, offset, _ = sides
    turned = np.random.default_rng(len(real)).permutation(real)
    for distance in (of_moments, frechet_distance_from_features):
        one, two = distance(real, fake), distance(turned, fake)
        assert near(one, two, (real, fake), offset), (one, two)


def shards_add_up(sides: Any) -> None:
    """However rows are dealt into shards, and in whatever order these are added; and taken away again."""
    real, fake, offset, _ = sides
    random = np.random.default_rng(len(real) + 1)
    bounds = sorted(random.integers(0, len(real) + 1, 3).tolist())
    parts = [Moments.from_features(part) for part in np.split(real, bounds)]
    parts = [parts[i] for i in random.permutation(len(parts))]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    one, two = of_moments(real, fake), frechet_distance(total, Moments.from_features(fake))
    assert total.n == len(real) and near(one, two, (real, fake), offset), (one, two)
    extra = Moments.from_features(fake)
    back = frechet_distance(total + extra - extra, Moments.from_features(fake))
    assert near(one, back, (real, fake), offset), (one, back)


def an_offset_does_not_matter(sides: Any) -> None:
    real, fake, offset, _ = sides
    for distance in (of_moments, frechet_distance_from_features):
        one, two = distance(real, fake), distance(real - offset, fake - offset)
        assert near(one, two, (real, fake), offset), (one, two)


def a_scale_is_squared(sides: Any) -> None:
    real, fake, offset, _ = sides
    real, fake = real - offset, fake - offset
    for distance in (of_moments, frechet_distance_from_features):
        one, two = distance(8 * real, 8 * fake), 64 * distance(real, fake)
        assert near(one, two, (8 * real, 8 * fake), 0), (one, two)


def the_kernel_sum_is_the_plain_one(sides: Any) -> None:
    """Against the definition, written out."""
    real, fake, offset, scale = sides
    real, fake = (real - offset) / scale, (fake - offset) / scale

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(real), len(fake)
    own = sum(kernel(real, real)[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    own += sum(kernel(fake, fake)[i, j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    wanted = own - 2 * kernel(real, fake).mean()
    found = kernel_distance(real, fake)
    size = np.abs(kernel(np.vstack([real, fake]), np.vstack([real, fake]))).max()
    assert abs(found - wanted) <= 1e-10 * (1 + size), (found, wanted)


def groups_of(rows: int, videos: int) -> list[str]:
    return [f"video {row % videos}" for row in range(rows)]


def an_interval_holds_its_value(sides: Any) -> None:
    """It is wider where more confidence is asked for, and shares of the variance add up to 1."""
    real, fake, offset, scale = sides
    real, fake = (real - offset) / scale, (fake - offset) / scale
    groups = groups_of(len(real), 9), groups_of(len(fake), 9)
    for measure in (frechet_uncertainty, kernel_uncertainty):
        less, more = (measure(real, fake, *groups, confidence=level) for level in (0.5, 0.99))
        assert less.value == more.value
        if less.interval is None:
            assert min(less.videos.values()) < 4
            continue
        assert more.interval[0] <= less.interval[0] <= less.value <= less.interval[1] <= more.interval[1]
        assert abs(sum(less.variance_share.values()) - 1) < 1e-9
        assert less.standard_error >= 0


def more_clips_make_narrower_intervals(seed: int) -> None:
    """16 times as many clips of one population: intervals are less than half as wide; a quarter is to be expected.

    Summed over four draws: of 32 clips, one interval in a thousand is half as wide as it should be, by chance.
    """
    random = np.random.default_rng(seed)
    widths = []
    for count in (32, 512):
        width = 0.0
        for _ in range(4):
            real, fake = random.normal(size=(count, 3)), random.normal(1, 1, size=(count, 3))
            found = frechet_uncertainty(real, fake, groups_of(count, count), groups_of(count, count))
            width += found.interval[1] - found.interval[0]
        widths.append(width)
    assert widths[1] < widths[0] / 2, widths


def the_score_has_bounds(seed: int) -> None:
    """From 1 to the number of classes; order within one split and classes that never occur change nothing."""
    random = np.random.default_rng(seed)
    rows, classes = int(random.integers(1, 60)), int(random.integers(1, 30))
    table = random.dirichlet(np.full(classes, float(random.choice([0.01, 0.1, 1, 100]))), size=rows)
    table = np.nan_to_num(table) + 1e-300
    table /= table.sum(axis=1, keepdims=True)
    value = inception_score(table, 1)[0]
    assert 1 - 1e-9 <= value <= min(classes, rows) * (1 + 1e-9), value
    assert abs(value - inception_score(random.permutation(table), 1)[0]) <= 1e-9 * value
    assert abs(value - inception_score(np.hstack([table, np.zeros((rows, 3))]), 1)[0]) <= 1e-9 * value
    assert abs(inception_score(np.eye(classes), 1)[0] - classes) <= 1e-9 * classes
    assert abs(inception_score(table[:1].repeat(5, 0), 1)[0] - 1) <= 1e-9


PROPERTIES: dict[Callable[..., None], Any] = {
    **dict.fromkeys((both_forms_agree, the_distance_is_symmetric, a_set_is_at_distance_0_of_itself,
                     order_does_not_matter, shards_add_up, an_offset_does_not_matter, a_scale_is_squared), two_sides()),
    the_kernel_sum_is_the_plain_one: two_sides(rows=12),
    an_interval_holds_its_value: two_sides(most=4),
    more_clips_make_narrower_intervals: SEEDS,
    the_score_has_bounds: SEEDS,
}  # fmt: skip


def trial(material: None, chance: random.Random, folder: Path) -> str:
    """One property, with some examples of its own."""
    return held(chance.choice(list(PROPERTIES)), chance.randrange(2**32))


def held(check: Callable[..., None], seed: int, phases: Sequence[hypothesis.Phase] = tuple(hypothesis.Phase)) -> str:
    """Whether a property holds for the examples of a seed. Raises `Wrong` with the smallest for which it does not."""
    quiet = hypothesis.settings(
        max_examples=EXAMPLES, database=None, deadline=None, print_blob=False, phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip

    @hypothesis.seed(seed)
    @quiet
    @hypothesis.given(PROPERTIES[check])
    def drawn(example: Any) -> None:
        check(example)

    try:
        drawn()
    except AssertionError as error:
        raise Wrong(f"{check.__name__}: {error}") from error
    return HELD


SIEGE = Siege("numbers", trial, (HELD,), trials=2000, seconds=120)

if __name__ == "__main__":
    main(SIEGE)
