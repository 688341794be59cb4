"""The metrics, one row each, and how each is measured and contrasted.

Nothing here imports torch or numpy until a metric is measured, so that commands can list the rows quickly.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from latte_eval.core.registry import Registry
from latte_eval.metrics.metric import SPLITS, Measurement, Metric

if TYPE_CHECKING:
    import numpy as np

    from latte_eval.core.features import Features
    from latte_eval.metrics.contrast import Contrast, MakeStatistic
    from latte_eval.metrics.metric import Progress


def measure_frechet(
    fake: Features, real: Features | None, interval: bool, progress: Progress, ddof: int = 0
) -> Measurement:
    """Fréchet distance, covariances divided by N - ddof."""
    from latte_eval.metrics import frechet_distance_between, frechet_uncertainty

    sides = both_sides(fake, real)
    if not interval:
        return Measurement(frechet_distance_between(sides.real, sides.fake, ddof))
    found = frechet_uncertainty(*sides, progress=progress, ddof=ddof)
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


def measure_jedi(fake: Features, real: Features | None, interval: bool, progress: Progress) -> Measurement:
    """JEDi's distance of all clips: 100 times a biased squared MMD of degree 2."""
    from latte_eval.metrics.kernel import jedi_distance, jedi_kernel
    from latte_eval.metrics.uncertainty import kernel_uncertainty

    sides = both_sides(fake, real)
    if not interval:
        return Measurement(jedi_distance(sides.real, sides.fake))
    kernel = jedi_kernel(sides.real.shape[1])
    return from_uncertainty(kernel_uncertainty(*sides, progress=progress, kernel=kernel, with_self=True).to_dict())


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


def measure_paired(
    fake: Features, real: Features | None, interval: bool, progress: Progress, metric: str
) -> Measurement:
    """A paired metric over generated positions, mean over clips."""
    from latte_eval.metrics.paired import values_to_measurement

    return values_to_measurement(metric, fake, interval, METRICS[metric].better == "higher")


def paired_row(name: str, title: str, better: str, family: str, sees: str, golden: str) -> Metric:
    """A metric that compares each clip with the real clip that it was given a part of."""
    return Metric(
        name, title, better, (family,), name, False, partial(measure_paired, metric=name), about_counts=PAIRED_COUNTS,
        sees=f"{sees}, against the real clip that a part was given of", golden=golden, paired=True,
    )  # fmt: skip


def contrast_frechet(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None, ddof: int = 0
) -> Contrast:
    from latte_eval.metrics.deletion import frechet_statistic

    return contrast_distances(new, accepted, real, allowance, progress, partial(frechet_statistic, ddof=ddof))


def contrast_kernel(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None
) -> Contrast:
    from latte_eval.metrics.kernel import KernelSums

    return contrast_distances(new, accepted, real, allowance, progress, KernelSums)


def contrast_jedi(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None
) -> Contrast:
    from latte_eval.metrics.kernel import KernelSums, jedi_kernel

    kernel = jedi_kernel(new.outputs["features"].shape[-1])
    statistic = partial(KernelSums, kernel=kernel, with_self=True)
    return contrast_distances(new, accepted, real, allowance, progress, statistic)


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


def measure_share(fake: Features, real: Features | None, interval: bool, progress: Progress, share: str) -> Measurement:
    from latte_eval.metrics import share_rows

    return share_rows.measure_share(fake, real, interval, progress, share)


def contrast_share(
    new: Features, accepted: Features, real: Features | None, allowance: float, progress: Progress | None, share: str
) -> Contrast:
    from latte_eval.metrics import share_rows

    return share_rows.contrast_share(new, accepted, real, allowance, progress, share)


def share_row(name: str, title: str, sees: str) -> Metric:
    """One of precision, recall, density and coverage; any detector that gives features serves it."""
    return Metric(
        name, title, "higher", FEATURE_FAMILIES, "features", True, partial(measure_share, share=name),
        partial(contrast_share, share=name), SHARE_COUNTS, fewest_clips=12, sees=sees, golden="prdc 0.2",
    )  # fmt: skip


# Names that stand for several metrics.
TOGETHER = {"prdc": ("precision", "recall", "density", "coverage")}


def each_metric(names: Iterable[str]) -> tuple[str, ...]:
    """Names of single metrics, each once: `prdc` stands for four."""
    return tuple(dict.fromkeys(each for name in names for each in TOGETHER.get(name, (name,))))


FEATURE_FAMILIES = ("i3d", "videomae", "vjepa", "inception", "dinov2")
KERNEL_COUNTS = "Frames of one clip are alike, and pairs of them lift the distance where clips are few."
SHARE_COUNTS = "Balls shrink as clips are added: compare values of equal numbers of clips only."
FRECHET_COUNTS = "A Fréchet distance of few clips is too high: compare values of equal numbers of clips only."
FRECHET = partial(Metric, better="lower", output="features", needs_real=True, measure=measure_frechet,
                  contrast=contrast_frechet, about_counts=FRECHET_COUNTS, frechet=True)  # fmt: skip
KERNEL = partial(Metric, better="lower", output="features", needs_real=True, contrast=contrast_kernel)

PAIRED_COUNTS = "A mean over clips: more of them bring less scatter, not another value."

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        row.name: row
        for row in (
            FRECHET(
                "fvd", "Fréchet video distance", families=("i3d",),
                sees="mostly how frames look, and little of how they move; nothing of diversity by itself",
                golden="universome/stylegan-v@3fecd69; the I3D: hassony2/kinetics_i3d_pytorch@786fbae",
            ),
            FRECHET(
                "fid", "Fréchet Inception distance", families=("inception",),
                sees="how single frames look; nothing of motion",
                golden="toshas/torch-fidelity@5e211a9; with fid_resize=clean and covariance=n-1: clean-fid 0.1.35",
            ),
            Metric(
                "is", "Inception Score", "higher", ("c3d", "inception"), "probabilities", False,
                measure_inception_score, contrast_inception_scores,
                "An Inception Score of few clips is off by more than its spread: compare values of equal numbers only.",
                splits=SPLITS,
                fewest_clips=40,
                sees="whether clips look like one class each, and classes come equally often; no real clips",
                golden="universome/stylegan-v@3fecd69; the C3D: pfnet-research/tgan2@f892bc4",
            ),
            KERNEL(
                "kvd", "Kernel video distance", families=("i3d",), measure=measure_kernel,
                about_counts="A kernel distance of unrelated clips has no bias: more of them bring less scatter, not a "
                "lower value.",
                sees="what FVD sees, without its bias at few clips",
                golden="SongweiGe/TATS@1aa93e1",
            ),
            KERNEL(
                "kid", "Kernel Inception distance", families=("inception",), measure=measure_kernel_subsets,
                about_counts=KERNEL_COUNTS, measure_part=part_of_kernel_subsets,
                sees="what FID sees, with less bias at few clips",
                golden="toshas/torch-fidelity@5e211a9",
            ),
            FRECHET(
                "cd-fvd", "Content-debiased Fréchet video distance", families=("videomae",),
                sees="how clips move more than FVD does: its network was trained to tell actions apart",
                golden="cd-fvd 0.1.1, features and distance, under seeded weights",
            ),
            FRECHET(
                "fd-dinov2", "Fréchet distance of DINOv2 features", families=("dinov2",),
                sees="how single frames look, without ImageNet's classes; nothing of motion",
                golden="the distance as fid; positions: the torch hub's rule as a formula",
            ),
            KERNEL(
                "kd-dinov2", "Kernel distance of DINOv2 features", families=("dinov2",),
                measure=measure_kernel_subsets, about_counts=KERNEL_COUNTS, measure_part=part_of_kernel_subsets,
                sees="what FD-DINOv2 sees, with less bias at few clips",
                golden="the distance as kid; positions: the torch hub's rule as a formula",
            ),
            KERNEL(
                "jedi", "JEDi, kernel distance of V-JEPA features", families=("vjepa",), measure=measure_jedi,
                contrast=contrast_jedi,
                about_counts="JEDi of few clips is too high: compare values of equal numbers of clips only.",
                sees="how clips look and move, with fewer clips than FVD takes",
                golden="the distance: oooolga/JEDi@c03d178; the network: facebookresearch/jepa@51c59d5, seeded weights",
            ),
            share_row("precision", "Precision: fake clips that look real", "fidelity: fake clips within the real set"),
            share_row("recall", "Recall: real clips that the model can make", "diversity: real clips within the fakes"),
            share_row("density", "Density: how many real clips lie around a fake one", "fidelity, less by outliers"),
            share_row("coverage", "Coverage: real clips with a fake one beside them", "diversity, less by outliers"),
            paired_row(
                "psnr", "Peak signal-to-noise ratio", "higher", "paired", "each pixel", "scikit-image 0.26"
            ),
            paired_row(
                "ssim", "Structural similarity", "higher", "paired", "local patterns", "scikit-image 0.26"
            ),
            paired_row(
                "lpips", "Learned perceptual image patch similarity", "lower", "lpips", "how differently frames look",
                "lpips 0.1.4, seeded weights",
            ),
        )
    },
)  # fmt: skip
