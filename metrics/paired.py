"""Paired metrics: a generated clip beside the clip that it should have become, frame by frame. PSNR, SSIM and LPIPS.

Where part of a clip was given, two numbers are of use: over the generated positions, and over whole frames, which count
what was given as if it had been generated. They are named apart everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latte_eval.core.arithmetic import to_float64
from latte_eval.core.errors import ClipError, FeatureError, UsageError
from latte_eval.metrics.jackknife import delete_one
from latte_eval.metrics.parts import check_names, deal_rows

if TYPE_CHECKING:
    from latte_eval.core.features import Features
    from latte_eval.metrics.detectors.base import Detector
    from latte_eval.metrics.metric import Measurement

DATA_RANGE, GREY = 255.0, 128.0
# Frames that are equal have an infinite PSNR: with one value of a 256x256 frame off by one it is 101.
MOST_PSNR = 100.0
# Wang et al. 2004.
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03

# What exactly is computed, for a result.
VARIANTS = {
    "psnr": "data range 255, the three channels together, at most 100 dB, mean over frames",
    "ssim": "Wang et al. 2004: Gaussian window of 11, sigma 1.5, K 0.01 and 0.03, data range 255, variances by N, "
    "windows inside the frame, mean of the three channels, mean over frames",
    "lpips": "Zhang et al. 2018: LPIPS 0.1, AlexNet, a layer's cells by their share of what counts, mean over frames",
}

# What stands in for the model, to compare it with; and the positions that count.
ANCHORS = ("copy nearest given frame", "codec round trip of the truth")
SCOPES = ("generated", "whole")
COLUMNS = tuple((shown, scope) for shown in ("model", *ANCHORS) for scope in SCOPES)

# Name of the detector, and of its family.
PAIRED = "paired"

# Pairs of samples of a clip that are compared: all of 10 samples.
MOST_PAIRS = 45

# Parts of the jackknife, and the source videos that an interval needs at least.
PARTS, LEAST_GROUPS = 32, 4


def frame_psnr(fake: Tensor, real: Tensor, where: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of every frame in dB, at most `MOST_PSNR`.

    # [N, T, 3, H, W] uint8 twice, [N, T, H, W] bool -> [N, T] float64

    Args:
        where: positions that count; None for all. A frame without any is NaN.

    Raises:
        ClipError: shapes that differ.
    """
    where = checked_where(fake, real, where)
    squares = (to_float64(fake) - to_float64(real)).square().mean(2)
    error = masked_mean(squares, where)
    return (10 * torch.log10(DATA_RANGE**2 / error)).clamp(max=MOST_PSNR)


def frame_ssim(fake: Tensor, real: Tensor, where: Tensor | None = None) -> Tensor:
    """Structural similarity of every frame.

    # [N, T, 3, H, W] uint8 twice, [N, T, H, W] bool -> [N, T] float64

    Args:
        where: positions whose windows count, by their centre; None for all. A frame without any is NaN.

    Raises:
        ClipError: shapes that differ, or frames smaller than the window.
    """
    where, edge = checked_where(fake, real, where), WINDOW // 2
    if min(fake.shape[-2:]) < WINDOW:
        raise ClipError(f"SSIM has a window of {WINDOW} pixels, these frames are {fake.shape[-2]}x{fake.shape[-1]}")
    # One clip at a time: the maps of a window's moments are 64 bits a value.
    maps = torch.stack([ssim_map(one, other) for one, other in zip(fake, real, strict=True)])
    return masked_mean(maps, where[..., edge:-edge, edge:-edge])


def ssim_map(fake: Tensor, real: Tensor) -> Tensor:  # [T, 3, H, W] uint8 twice -> [T, H - 10, W - 10] float64
    """The similarity of every window inside the frame, as the mean of the channels."""
    x, y = to_float64(fake), to_float64(real)
    mean_x, mean_y, xx, yy, xy = (windowed(each) for each in (x, y, x * x, y * y, x * y))
    var_x, var_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = (K1 * DATA_RANGE) ** 2, (K2 * DATA_RANGE) ** 2
    alike = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (alike / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean(1)


def windowed(x: Tensor) -> Tensor:  # [T, 3, H, W] float64 -> [T, 3, H - 10, W - 10]
    """The Gaussian mean of every window inside the frame."""
    offsets = torch.arange(WINDOW, dtype=torch.float64, device=x.device) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    row = (weights / weights.sum()).reshape(1, 1, 1, WINDOW)
    flat = x.flatten(0, 1)[:, None]
    return F.conv2d(F.conv2d(flat, row), row.transpose(2, 3))[:, 0].unflatten(0, x.shape[:2])


def checked_where(fake: Tensor, real: Tensor, where: Tensor | None) -> Tensor:
    """The positions that count. Raises `ClipError` for shapes that do not go together."""
    if fake.ndim != 5 or fake.shape != real.shape:
        raise ClipError(
            f"clips are compared in pairs: the fake ones are {tuple(fake.shape)}, the real {tuple(real.shape)}"
        )
    n, t, _, h, w = fake.shape
    where = torch.ones(n, t, h, w, dtype=torch.bool, device=fake.device) if where is None else where
    if where.shape != (n, t, h, w):
        raise ClipError(f"positions are {tuple(where.shape)}, these clips need {(n, t, h, w)}")
    return where


def masked_mean(values: Tensor, where: Tensor) -> Tensor:  # [N, T, H, W] twice -> [N, T], NaN where nothing counts
    where = where.to(values.device)
    return torch.where(where, values, 0.0).sum((-2, -1)) / where.sum((-2, -1))


def mean_over_frames(values: Tensor) -> Tensor:  # [N, T] -> [N]
    """The mean over the frames that have a value. Raises `FeatureError` for a clip with none."""
    empty = values.isnan().all(1)
    if empty.any():
        raise FeatureError(f"clip {int(empty.nonzero()[0])} of the batch has no generated position: nothing to measure")
    return values.nanmean(1)


# (fake, real, positions that count or None) -> values of frames; # [N, T, 3, H, W] uint8 twice, [N, T, H, W] -> [N, T]
FrameMeasure = Callable[[Tensor, Tensor, Tensor | None], Tensor]

# What needs no weights, by metric.
FRAME_MEASURES: dict[str, FrameMeasure] = {"psnr": frame_psnr, "ssim": frame_ssim}


def clip_values(measure: FrameMeasure, fake: Tensor, real: Tensor, generated: Tensor) -> Tensor:
    """A metric of each clip over its generated positions and over whole frames. # -> [N, 2], as `SCOPES`"""
    return torch.stack([mean_over_frames(measure(fake, real, where)) for where in (generated, None)], dim=1)


def between_samples(metric: str) -> str:
    """The output of a detector that holds a metric of pairs of samples."""
    return f"{metric} between samples"


def sample_pairs(samples: int) -> list[tuple[int, int]]:
    """Which of K samples are compared with each other: all pairs of up to 10, of more a balanced part of them.

    Samples lie on a ring, and each is compared with the next one, with the next but one, and so on, as long as there
    are at most `MOST_PAIRS` pairs, or one for every sample. So every sample is in as many pairs as the others.
    """
    pairs = list[tuple[int, int]]()
    for away in range(1, samples // 2 + 1):
        ring = sorted({(min(one, (one + away) % samples), max(one, (one + away) % samples)) for one in range(samples)})
        if pairs and len(pairs) + len(ring) > MOST_PAIRS:
            break
        pairs += ring
    return pairs


def samples_apart(measure: FrameMeasure, made: Sequence[Tensor], generated: Tensor) -> Tensor:
    """A metric of pairs of samples of each clip over its generated positions. # K of [N, T, 3, H, W] -> [N, P]"""
    pairs = sample_pairs(len(made))
    return torch.stack([mean_over_frames(measure(made[one], made[other], generated)) for one, other in pairs], dim=1)


def mask_to_positions(mask: Tensor, factor: int) -> Tensor:  # [N, T, h, w] -> [N, T, h * factor, w * factor] bool
    """Pixels whose latents are generated: every latent stands for a square of pixels."""
    return mask.bool().repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def copy_nearest_given(real: Tensor, generated: Tensor) -> Tensor:
    """The anchor 'copy nearest given frame': what can be had without a model. # [N, T, 3, H, W], [N, T, H, W] bool

    Every generated position takes the value that was given there in the frame nearest in time, the earlier of two. A
    position that is given in no frame takes the mean colour of all that is given of its clip, and a clip of which
    nothing is given is grey.
    """
    times = torch.arange(real.shape[1], device=real.device)
    # Twice the distance, and one more for a later frame: # [N, T, T', H, W]
    away = 2 * (times[:, None] - times).abs() + (times > times[:, None])
    away = away[None, :, :, None, None].masked_fill(generated[:, None], 4 * len(times))
    nearest = away.argmin(2).unsqueeze(2).expand_as(real)
    copied = real.gather(1, nearest)
    never = generated.all(1)[:, None, None]
    return torch.where(never, mean_given(real, generated), copied)


def mean_given(real: Tensor, generated: Tensor) -> Tensor:  # -> [N, 1, 3, 1, 1] like real
    """The mean colour of the given part of each clip."""
    given = (~generated).unsqueeze(2)
    values = to_float64(real)
    given = given.to(values.device)
    total, count = (x.sum((1, 3, 4), keepdim=True) for x in (torch.where(given, values, 0.0), given))
    return torch.where(count > 0, total / count, GREY).round().to(real.device, real.dtype)


@dataclass(frozen=True)
class PairedScore:
    """A paired metric over N clips with K samples each.

    Attributes:
        mean: over all samples.
        best: over clips, of the best of the K samples, which looks at the truth: it rises with K.
        mean_interval, best_interval: (low, high) over clips; None for fewer than four source videos.
        clips, samples: N and K.
    """

    mean: float
    best: float
    mean_interval: tuple[float, float] | None
    best_interval: tuple[float, float] | None
    clips: int
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """In JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


def samples_to_score(
    values: np.ndarray, groups: Sequence[str], higher_is_better: bool = True, confidence: float = 0.95
) -> PairedScore:
    """Mean and best of K samples of every clip, with intervals over clips. # [N, K] -> PairedScore

    Args:
        groups: the source video of each clip; clips of one are not independent and stay together.

    Raises:
        FeatureError: no values, values that are not finite, or not one group name per clip.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise FeatureError(f"values of a paired metric must be finite, one row per clip: they are {values.shape}")
    check_names(len(values), groups, "paired")
    means, best = values.mean(1), values.max(1) if higher_is_better else values.min(1)
    intervals = [clip_interval(each, groups, confidence) for each in (means, best)]
    return PairedScore(float(means.mean()), float(best.mean()), intervals[0], intervals[1], *values.shape)


def values_to_measurement(metric: str, fake: Features, interval: bool, higher_is_better: bool = True) -> Measurement:
    """The mean over generated positions; in the details whole frames, anchors, the best of K samples, their diversity.

    Args:
        fake: with an output of the metric's name, [N, 6, K] or, of one sample, [N, 6]; columns as `COLUMNS`. Of several
            samples also [N, P], by the name of `between_samples`.
    """
    from latte_eval.metrics.metric import Measurement

    values = fake.outputs[metric]
    values = values if values.ndim == 3 else values[:, :, None]
    scores = [samples_to_score(values[:, i], fake.groups, higher_is_better) for i in range(len(COLUMNS))]
    table = [score_to_row(*column, score, interval) for column, score in zip(COLUMNS, scores, strict=True)]
    details = {"variant": VARIANTS[metric], "samples": values.shape[2], "paired": table}
    if (apart := fake.outputs.get(between_samples(metric))) is not None:
        details["diversity"] = apart_to_row(apart, fake.groups, interval, higher_is_better)
    return Measurement(scores[0].mean, table[0]["interval"], details=details)


def score_to_row(shown: str, positions: str, score: PairedScore, interval: bool) -> dict[str, Any]:
    """A row of the table in the details, in JSON types; anchors are the same in all samples."""
    mean, best = (list(each) if each and interval else None for each in (score.mean_interval, score.best_interval))
    row = {"shown": shown, "positions": positions, "value": score.mean, "interval": mean}
    several = shown not in ANCHORS and score.samples > 1
    return row | ({"best": score.best, "best_interval": best} if several else {})


def apart_to_row(apart: np.ndarray, groups: Sequence[str], interval: bool, alike_is_higher: bool) -> dict[str, Any]:
    """How different the samples of a clip are: the mean over pairs and clips, in JSON types. # [N, P]

    The interval is over clips, as that of the metric itself.
    """
    score = samples_to_score(apart, groups)
    bounds = list(score.mean_interval) if score.mean_interval and interval else None
    more = "lower" if alike_is_higher else "higher"
    return {"value": score.mean, "interval": bounds, "pairs": score.samples, "positions": SCOPES[0],
            "more_diverse": more}  # fmt: skip


def open_paired(device: str, *, trust: bool, offline: bool | None) -> Detector:
    """What the table of detectors names; the detector itself comes with the conditions of the clips."""
    raise UsageError("paired metrics compare clips with the real clips that they were given parts of: these have none")


def clip_interval(values: np.ndarray, groups: Sequence[str], confidence: float) -> tuple[float, float] | None:
    """The interval of a mean over clips, from leaving out source videos. # [N] -> (low, high)"""
    parts = min(PARTS, len(set(groups)))
    if parts < LEAST_GROUPS:
        return None
    part = deal_rows(groups, parts, "paired")
    jackknife = delete_one(lambda out: float(values[~np.isin(part, out)].mean()), parts)
    return jackknife.interval(jackknife.value, confidence)
