"""The metrics, one row each: what a metric reads, in which direction it is better, how it is measured and contrasted.

Nothing here imports torch or numpy until a metric is measured, so that commands can list the rows quickly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from latte_eval.core.registry import Registry

Progress = Callable[[int, int], None]  # done, total

SPLITS = 10  # of an Inception Score; each takes a row at least

if TYPE_CHECKING:
    import numpy as np

    from latte_eval.core.features import Features
    from latte_eval.metrics.contrast import Contrast, MakeStatistic

    # (fake, real or None, with_interval, progress), and `splits` where the metric has some.
    Measure = Callable[..., "Measurement"]
    MeasureContrast = Callable[[Features, Features, Features | None, float, Progress | None], Contrast]


@dataclass(frozen=True)
class Measurement:
    """A value and how sure it is, as far as its metric knows, in the JSON types of `Result`."""

    value: float
    interval: list[float] | None = None
    standard_error: float | None = None
    corrected: dict[str, Any] | None = None
    floor: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """All that the rest of the package must know of a metric.

    Attributes:
        name, title: such as `fvd`, `Fréchet video distance`.
        better: `lower` or `higher`.
        families: families of the detectors that can serve it, the default first.
        output: which output of the detector it reads.
        needs_real: whether it compares with real clips.
        measure: (fake, real or None, with_interval, progress) -> Measurement.
        contrast: (new, accepted, real or None, allowance, progress) -> Contrast, by which a gate compares two
            checkpoints clip against clip; None where only their numbers can be compared.
        about_counts: what the number of clips does to the value, in a sentence for the report.
        frechet: whether it is a Fréchet distance; of these the report shows the parts, and `explain --measure` the
            effect of every choice.
        splits: into how many parts the rows are split, over which the value is the mean; None where they are not.
        fewest_clips: a part of a set with fewer clips is not measured.
        measure_part: (fake, real or None) -> value of a part of a set, where `measure` would take too long.
    """

    name: str
    title: str
    better: str
    families: tuple[str, ...]
    output: str
    needs_real: bool
    measure: Measure
    contrast: MeasureContrast | None = None
    about_counts: str = "Compare values of equal numbers of clips only."
    frechet: bool = False
    splits: int | None = None
    fewest_clips: int = 4
    measure_part: Callable[[Features, Features | None], float] | None = None

    @property
    def least_rows(self) -> int:
        """With fewer rows of features it cannot be computed: every split takes one, a distance two."""
        return self.splits or 2

    def split_into(self, splits: int | None) -> Metric:
        """The same metric over so many splits; itself for None, and where it has none."""
        if splits is None or self.splits is None:
            return self
        measure = partial(self.measure, splits=splits)
        return dataclasses.replace(self, splits=splits, measure=measure)

    def value_of_part(self, fake: Features, real: Features | None) -> float:
        """The value of some of the clips, without its interval."""
        if self.measure_part:
            return self.measure_part(fake, real)
        return self.measure(fake, real, False, lambda done, total: None).value


def measure_frechet(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """Fréchet distance, covariances divided by N."""
    from latte_eval.metrics import frechet_distance_between, frechet_uncertainty

    sides = both_sides(fake, real)
    if not interval:
        return Measurement(frechet_distance_between(sides.real, sides.fake))
    found = frechet_uncertainty(*sides, progress=progress)
    return from_uncertainty(found.to_dict())


def measure_kernel(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """Unbiased squared maximum mean discrepancy of all clips (KVD), degree 3."""
    from latte_eval.metrics import kernel_distance, kernel_uncertainty

    sides = both_sides(fake, real)
    if not interval:
        return Measurement(kernel_distance(sides.real, sides.fake))
    found = kernel_uncertainty(*sides, progress=progress)
    return from_uncertainty(found.to_dict())


def measure_kernel_subsets(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """KID as torch-fidelity defines it: mean over 100 subsets of at most 1,000 frames, seed 2020."""
    from latte_eval.metrics import kernel_distance_subsets, kernel_uncertainty

    sides = both_sides(fake, real)
    if not interval:
        mean, std = kernel_distance_subsets(sides.real, sides.fake)
        return Measurement(mean, details={"subsets": 100, "std": std})
    found = kernel_uncertainty(*sides, progress=progress, subsets=100)
    return from_uncertainty({**found.to_dict(), "subsets": 100})


def part_of_kernel_subsets(fake: Features, real: Features | None) -> float:
    """KID of a part of the clips, the mean over 5 subsets."""
    from latte_eval.metrics import kernel_distance_subsets

    sides = both_sides(fake, real)
    return kernel_distance_subsets(sides.real, sides.fake, subsets=5)[0]


class BothSides(NamedTuple):
    """Rows of both sides, and the source video of each row."""

    real: np.ndarray  # [N1, D]
    fake: np.ndarray  # [N2, D]
    real_groups: list[str]
    fake_groups: list[str]


def both_sides(fake: Features, real: Features | None) -> BothSides:
    from latte_eval.core.features import feature_rows

    assert real is not None  # `needs_real` is true
    (real_rows, real_groups), (fake_rows, fake_groups) = feature_rows(real), feature_rows(fake)
    return BothSides(real_rows, fake_rows, real_groups, fake_groups)


def from_uncertainty(found: dict[str, Any]) -> Measurement:
    """A measurement from the dictionary of an `Uncertainty`; what `Result` has no field for goes to the details."""
    known = {name: found.pop(name) for name in ("interval", "standard_error", "corrected", "floor")}
    return Measurement(found.pop("value"), **known, details=found)


def measure_inception_score(
    fake: Features, real: Features | None, interval: bool, progress: Progress, splits: int = SPLITS
) -> Measurement:
    """Inception Score over 10 splits, shuffled with seed 42 where a row is a clip (StyleGAN-V's isv2048_ucf).

    The details hold the value of one split, as TGANv2 computes it; it has less bias at a few thousand clips.
    """
    from latte_eval.metrics.inception_scores import SHUFFLE_SEED, inception_score

    rows = fake.outputs["probabilities"]
    shuffle = SHUFFLE_SEED if rows.ndim == 2 else None
    rows = rows.reshape(-1, rows.shape[-1])
    mean, std = inception_score(rows, splits, shuffle)
    return Measurement(mean, details={"splits": splits, "std": std, "one_split": inception_score(rows, splits=1)[0]})


def measure_psnr(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """PSNR over generated positions, mean over clips."""
    from latte_eval.metrics.paired import values_to_measurement

    return values_to_measurement("psnr", fake, interval)


def measure_ssim(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """SSIM over generated positions, mean over clips."""
    from latte_eval.metrics.paired import values_to_measurement

    return values_to_measurement("ssim", fake, interval)


def contrast_frechet(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None
) -> Contrast:
    from latte_eval.metrics.deletion import frechet_statistic

    return contrast_distances(new, accepted, real, allowance, progress, frechet_statistic)


def contrast_kernel(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None
) -> Contrast:
    from latte_eval.metrics.kernel import KernelSums

    return contrast_distances(new, accepted, real, allowance, progress, KernelSums)


def contrast_distances(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None,
    statistic: MakeStatistic,
) -> Contrast:  # fmt: skip
    """How much farther the new clips are from the real ones than the accepted clips, beyond the allowance."""
    from latte_eval.core.features import feature_rows
    from latte_eval.metrics.contrast import contrast_uncertainty

    sides, (old_rows, old_groups) = both_sides(new, real), feature_rows(accepted)
    return contrast_uncertainty(
        sides.real, sides.fake, old_rows, sides.real_groups, sides.fake_groups, old_groups, allowance, progress,
        statistic,
    )  # fmt: skip


def contrast_inception_scores(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None
) -> Contrast:
    """How much lower the new score is than the accepted one, beyond the allowance."""
    from latte_eval.metrics.contrast import contrast_scores

    table, old_table = new.outputs["probabilities"], accepted.outputs["probabilities"]
    return contrast_scores(table, old_table, new.groups, accepted.groups, allowance, progress)


FRECHET_COUNTS = "A Fréchet distance of few clips is too high: compare values of equal numbers of clips only."

PAIRED_COUNTS = "A mean over clips: more of them bring less scatter, not another value."

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        row.name: row
        for row in (
            Metric(
                "fvd", "Fréchet video distance", "lower", ("i3d",), "features", True, measure_frechet,
                contrast_frechet, FRECHET_COUNTS, frechet=True,
            ),
            Metric(
                "fid", "Fréchet Inception distance", "lower", ("inception",), "features", True, measure_frechet,
                contrast_frechet, FRECHET_COUNTS, frechet=True,
            ),
            Metric(
                "is", "Inception Score", "higher", ("c3d", "inception"), "probabilities", False,
                measure_inception_score, contrast_inception_scores,
                "An Inception Score of few clips is off by more than its spread: compare values of equal numbers only.",
                splits=SPLITS,
                fewest_clips=40,
            ),
            Metric(
                "kvd", "Kernel video distance", "lower", ("i3d",), "features", True, measure_kernel, contrast_kernel,
                "A kernel distance of unrelated clips has no bias: more of them bring less scatter, not a lower value.",
            ),
            Metric(
                "kid", "Kernel Inception distance", "lower", ("inception",), "features", True, measure_kernel_subsets,
                contrast_kernel, "Frames of one clip are alike, and pairs of them lift KID where clips are few.",
                measure_part=part_of_kernel_subsets,
            ),
            Metric(
                "psnr", "Peak signal-to-noise ratio", "higher", ("paired",), "psnr", False, measure_psnr,
                about_counts=PAIRED_COUNTS,
            ),
            Metric(
                "ssim", "Structural similarity", "higher", ("paired",), "ssim", False, measure_ssim,
                about_counts=PAIRED_COUNTS,
            ),
        )
    },
)  # fmt: skip
