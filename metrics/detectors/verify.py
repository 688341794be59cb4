"""Published golden numbers, computed with whatever real weights are installed: `latte-eval doctor --verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import WeightsError
from latte_eval.files.weights import (
    C3D_ARCHIVE,
    I3D_ARCHIVE,
    I3D_STATE,
    INCEPTION_ARCHIVE,
    Weights,
    find_weights,
    weights_state,
)
from latte_eval.metrics.detectors.archive import AGREEMENT, load_tensors, open_archive
from latte_eval.metrics.detectors.base import open_detector
from latte_eval.metrics.detectors.i3d import I3D, Forward, preprocess
from latte_eval.metrics.frechet import frechet_distance
from latte_eval.metrics.moments import Moments

# Squared distance of the logits of black and white clips, by frames; common_metrics_on_video_quality, README, with
# StyleGAN-V's archive. The authors saw it vary by about 1 between versions of torch.
ZEROS_ONES = {10: 569.2296, 15: 133.7031, 16: 152.9175, 30: 151.2565}
# FVD, covariance divided by N - 1, of 128 clips of numpy noise: RandomState(1) against RandomState(2); fvd-comparison
# by the author of StyleGAN-V.
RANDOM_PAIR, RANDOM_CLIPS = 10.138084766713924, 128


@dataclass(frozen=True)
class Check:
    """One golden number.

    Attributes:
        name: what was measured, and with which file.
        expected: the published value.
        got: the value here; None where it could not be measured.
        tolerance: how far apart the two may be.
        note: why it could not be measured, or where the published value is from.
    """

    name: str
    expected: float
    got: float | None
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether they agree; None where it could not be measured."""
        return None if self.got is None else abs(self.got - self.expected) <= self.tolerance


def verify(device: str = "cpu", clips: int = RANDOM_CLIPS) -> Iterator[Check]:
    """Every check, one after the other; those of files that are not installed say so.

    The state dict of the I3D is only checked where it is installed, since the archive is what counts. The last check of
    an I3D takes minutes on a CPU. `clips` is for tests: other counts give other values.
    """
    yield from i3d_checks(I3D_ARCHIVE, archive_logits(device), device, clips)
    if logits := state_logits(device):
        yield from i3d_checks(I3D_STATE, logits, device, clips)
    for name, record in (("i3d", I3D_ARCHIVE), ("inception", INCEPTION_ARCHIVE), ("c3d", C3D_ARCHIVE)):
        yield agreement_check(name, record, device)


def i3d_checks(record: Weights, logits: Forward | None, device: str, clips: int) -> Iterator[Check]:
    """The published distances; `logits` maps [N, 3, T, 224, 224] in [-1, 1] to [N, 400] and is None without weights."""
    measures: list[tuple[str, float, float, Callable[[Forward], float]]] = [
        (f"black against white, {frames} frames", value, 1.0, partial(zeros_ones, frames=frames, device=device))
        for frames, value in ZEROS_ONES.items()
    ]
    pair = partial(random_pair, clips=clips, device=device)
    measures.append((f"random pair, 2 x {clips} clips", RANDOM_PAIR, 1e-3, pair))
    for name, expected, tolerance, measure in measures:
        if logits is None:
            yield Check(f"{record.filename}: {name}", expected, None, tolerance, not_installed(record))
        else:
            yield Check(f"{record.filename}: {name}", expected, measure(logits), tolerance)


def not_installed(record: Weights) -> str:
    return f"could not check: {record.filename} is {weights_state(record).replace('missing', 'not installed')}"


def zeros_ones(logits: Forward, frames: int, device: str) -> float:
    """Frechet distance between black and white clips of 64x64 pixels; it is |m1 - m2|^2, since neither side varies."""
    black = torch.zeros(1, 3, frames, 64, 64, dtype=torch.uint8, device=device)
    with exact_float32():
        real, fake = (logits(preprocess(clip)).cpu().double() for clip in (black, black + 255))
    return float((real - fake).square().sum())


def random_pair(logits: Forward, clips: int, device: str) -> float:
    """FVD, with N - 1, of uniform noise in [0, 1] that goes into the network without preprocessing."""
    real, fake = (Moments.from_features(random_features(logits, seed, clips, device)) for seed in (2, 1))
    return frechet_distance(real, fake, ddof=1)


def random_features(logits: Forward, seed: int, clips: int, device: str) -> Tensor:  # -> [clips, 400] float32
    """Logits of `RandomState(seed).rand(clips, 16, 224, 224, 3)`, drawn clip by clip."""
    random, rows = np.random.RandomState(seed), []
    for _ in range(clips):
        clip = torch.from_numpy(random.rand(1, 16, 224, 224, 3).astype(np.float32)).permute(0, 4, 1, 2, 3)
        with exact_float32():
            rows.append(logits(clip.contiguous().to(device)).cpu())
    return torch.cat(rows)


def archive_logits(device: str) -> Forward | None:
    """The archive's own network without its preprocessing, where the archive is installed."""
    path = find_weights(I3D_ARCHIVE)
    if path is None:
        return None
    module = open_archive(path, I3D_ARCHIVE.sha256)[0].to(device)
    return lambda clips: module(clips.contiguous(), rescale=False, resize=False, return_features=True)


def state_logits(device: str) -> Forward | None:
    """The native network with the weights of the state dict, where that is installed."""
    path = find_weights(I3D_STATE)
    return I3D.from_state_dict(load_tensors(path)).to(device).logits if path else None


def agreement_check(name: str, record: Weights, device: str) -> Check:
    """The relative difference on the probe between the native network and the archive it was made from."""
    title = f"{record.filename}: native network against archive"
    if not find_weights(record):
        return Check(title, 0.0, None, AGREEMENT, not_installed(record))
    try:
        detector = open_detector(name, device, offline=True)
    except WeightsError as error:
        return Check(title, 0.0, None, AGREEMENT, f"could not check: {error}")
    return Check(title, 0.0, detector.agreement, AGREEMENT, detector.note)
