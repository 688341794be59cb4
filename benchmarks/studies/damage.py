"""How far each metric moves when clips are damaged in a way that everybody can see.

    python -m latte_eval.benchmarks.studies.damage --detector seeded --write docs/metrics.md
    python -m latte_eval.benchmarks.studies.damage --videos /data/UCF-101 --clips 512
    python -m latte_eval.benchmarks.studies.damage --videos FEW --windows all --detector seeded --write docs/metrics.md

Half of the clips are the real side, the other half the fake one: once as they are, and once for every damage. A cell
says how much worse the metric calls the damaged clips, in standard errors of its value for the undamaged ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.benchmarks.studies.ablations import put_between
from latte_eval.core.clips import Clips, ClipSource
from latte_eval.core.features import Features
from latte_eval.core.protocol import Protocol
from latte_eval.core.seeding import numpy_generator
from latte_eval.evaluation.request import Request
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.metric import Measurement
from latte_eval.metrics.rows import METRICS, each_metric

# Marks of the two tables of a page: of drawn shapes, and of real videos.
MARKS = {material: (f"<!-- begin damage of {material} -->", f"<!-- end damage of {material} -->")
         for material in ("shapes", "videos")}  # fmt: skip
METRIC_NAMES = "fvd,kvd,cd-fvd,jedi,fid,fd-dinov2,kd-dinov2,prdc"
BATCH = 4


@dataclass(frozen=True)
class Side:
    """Clips in memory, with their classes and source videos."""

    pixels: Tensor  # [N, T, 3, H, W] uint8
    labels: list[int]
    groups: list[str]

    def take(self, rows: Sequence[int]) -> Side:
        """Some clips, by row; one that is taken twice keeps its source video."""
        return Side(self.pixels[list(rows)], [self.labels[i] for i in rows], [self.groups[i] for i in rows])

    def painted(self, pixels: Tensor) -> Side:
        """The same clips with other pixels."""
        return Side(pixels, self.labels, self.groups)


def frozen(fake: Side, real: Side) -> Side:
    """Every frame is the first."""
    return fake.painted(fake.pixels[:, :1].expand_as(fake.pixels).contiguous())


def shuffled(fake: Side, real: Side) -> Side:
    """The frames of each clip in another order."""
    frames = fake.pixels.shape[1]
    orders = [numpy_generator("shuffle", i).permutation(frames) for i in range(len(fake.groups))]
    return fake.painted(torch.stack([clip[order] for clip, order in zip(fake.pixels, orders, strict=True)]))


def blurred(fake: Side, real: Side) -> Side:
    """Each frame through a Gaussian whose width is a sixteenth of the frame."""
    sigma = fake.pixels.shape[-1] / 16
    widths, radius = (0, 0, 0, sigma, sigma), (0, 0, 0, round(2 * sigma), round(2 * sigma))
    parts = [gaussian_filter(part.numpy().astype(np.float32), widths, mode="mirror", radius=radius).round()
             for part in fake.pixels.split(BATCH)]  # fmt: skip
    return fake.painted(torch.from_numpy(np.concatenate(parts).astype(np.uint8)))


def without_classes(fake: Side, real: Side) -> Side:
    """Clips of half of the classes, repeated to the same number; without classes, of half of the source videos."""
    kinds = list(map(str, fake.labels)) if len(set(fake.labels)) > 1 else fake.groups
    known = list(dict.fromkeys(sorted(kinds)))
    kept = set(known[: max(1, len(known) // 2)])
    rows = [i for i, kind in enumerate(kinds) if kind in kept]
    return fake.take(np.resize(np.array(rows), len(fake.labels)).tolist())


def copied(fake: Side, real: Side) -> Side:
    """The real clips themselves, as a model that knows its training clips by heart gives them."""
    return real.take(np.resize(np.arange(len(real.groups)), len(fake.groups)).tolist())


DAMAGES: dict[str, Callable[[Side, Side], Side]] = {
    "frozen": frozen, "shuffled": shuffled, "blurred": blurred, "half the classes": without_classes, "copied": copied,
}  # fmt: skip


def video_clips(videos: Path, windows: str) -> FolderSource:
    """Real videos as clips of 256x256, in an order that does not follow the videos."""
    return FolderSource.open(videos, Protocol(windows=windows), 0, "real")


def read_clips(source: ClipSource, most: int) -> Side:
    """The first clips of a source, at most so many."""
    count = min(most, len(source))
    parts: list[Clips] = [source.clips(range(i, min(count, i + BATCH))) for i in range(0, count, BATCH)]
    indices = [index for part in parts for index in part.indices]
    labels = [label for part in parts for label in part.labels or [0] * len(part)]
    return Side(torch.cat([part.pixels for part in parts]), labels, source.groups(indices))


def features_of(side: Side, detector: Detector) -> Features:
    """What a detector says about the clips of a side."""
    found = [detector(batch.transpose(1, 2).contiguous())["features"] for batch in side.pixels.split(BATCH)]
    return Features({"features": torch.cat(found).numpy()}, list(range(len(side.groups))), side.groups, [])


def moved(damaged: Measurement, clean: Measurement, better: str) -> float | None:
    """How much worse, in standard errors of the undamaged value; None where that is not known."""
    if not clean.standard_error:
        return None
    change = (damaged.value - clean.value) / clean.standard_error
    return change if better == "lower" else -change


@dataclass(frozen=True)
class Row:
    """One metric: its value for undamaged clips, and how far each damage moves it."""

    metric: str
    detector: str
    value: float
    error: float | None
    moves: list[float | None]


def study(real: Side, fake: Side, metrics: Sequence[str], request: Request) -> Iterator[Row]:
    """One row a metric, computed detector by detector: features of every damage are needed once."""
    for detector_name in request.detector_names():
        detector = open_detector(detector_name, request.device)
        against, clean = features_of(real, detector), features_of(fake, detector)
        others = {name: features_of(damage(fake, real), detector) for name, damage in DAMAGES.items()}
        for metric in metrics:
            if request.detector_for(metric) == detector_name:
                yield measured(metric, detector_name, against, clean, others)


def measured(metric: str, detector: str, real: Features, clean: Features, others: dict[str, Features]) -> Row:
    """One metric on features of undamaged and of damaged clips."""
    measure, better = METRICS[metric].measure, METRICS[metric].better
    base = measure(clean, real, True, lambda done, total: None)
    found = [measure(features, real, False, lambda done, total: None) for features in others.values()]
    return Row(metric, detector, base.value, base.standard_error, [moved(each, base, better) for each in found])


def to_markdown(rows: Sequence[Row], about: str) -> str:
    """A Markdown table, a line a metric."""
    lines = [f"| metric | detector | undamaged | standard error | {' | '.join(DAMAGES)} |",
             f"| --- | --- | --: | --: |{' --: |' * len(DAMAGES)}"]  # fmt: skip
    for row in rows:
        error = "-" if row.error is None else f"{row.error:.3g}"
        moves = ["-" if move is None else f"{move:+.1f}" for move in row.moves]
        lines.append(f"| {row.metric} | {row.detector} | {row.value:.4g} | {error} | {' | '.join(moves)} |")
    return "\n".join([f"{about}.", "", *lines])


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--videos", type=click.Path(path_type=Path), help="Real videos.  [default: the drawn shapes]")
@click.option("--clips", default=64, help="Of both sides together.")
@click.option("--windows", type=click.Choice(["one", "all"]), default="one", help="Clips of a real video.")
@click.option("--metrics", default=METRIC_NAMES)
@click.option("--detector", "detectors", multiple=True, help="As for latte-eval; `seeded` for networks without files.")
@click.option("--device", default="cpu")
@click.option("--write", type=click.Path(path_type=Path), help="Page whose table is replaced.")
def main(
    videos: Path | None, clips: int, windows: str, metrics: str, detectors: tuple[str, ...], device: str,
    write: Path | None,
) -> None:  # fmt: skip
    """Damage clips, measure every metric, and print a Markdown table."""
    names = each_metric(metrics.split(","))
    request = Request(metrics=names, detectors=detectors, device=device)
    every = read_clips(ShapesSource(clips) if videos is None else video_clips(videos, windows), clips)
    half = len(every.groups) // 2
    real, fake = every.take(range(half)), every.take(range(half, 2 * half))
    material = "drawn shapes" if videos is None else f"{len(set(every.groups))} videos of {videos.name}"
    text = to_markdown(list(study(real, fake, names, request)), f"{half} + {half} clips of {material}")
    if write is not None:
        put_between(write, *MARKS["shapes" if videos is None else "videos"], text)
    click.echo(text)


if __name__ == "__main__":
    main()
