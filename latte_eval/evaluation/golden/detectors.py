"""The native detectors against the reference networks, under seeded weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latte_eval.evaluation.golden.files import Golden, open_golden
from latte_eval.evaluation.golden.measure import Measure, float32_tolerance, relative_error
from latte_eval.evaluation.golden.seeded import seeded_clip, seeded_normal
from latte_eval.metrics.detectors import C3D, I3D, InceptionV3, clean_resize
from latte_eval.metrics.detectors.i3d import preprocess

I3D_SOURCE = "hassony2/kinetics_i3d_pytorch@786fbae under seeded weights"
INCEPTION_SOURCE = "toshas/torch-fidelity@5e211a9 under seeded weights"
CLEAN_FID_SOURCE = "clean-fid 0.1.35"
C3D_SOURCE = "pfnet-research/tgan2@f892bc4 under seeded weights"


def i3d_error(name: str, clip: str, device: str) -> float:
    """Logits of clips of 9 or 16 frames."""
    golden = open_golden(name)
    network = I3D.from_state_dict(golden.tensors()).to(device)
    logits = network.logits(preprocess(torch.from_numpy(golden.clip(clip)).to(device)))
    return relative_error(logits, golden[f"{clip}_logits"])


def inception_error(size: str, device: str, output: Callable[[InceptionV3, Tensor], Tensor], expected: str) -> float:
    """Features, or logits without the bias of the head, of images of one size."""
    golden = open_golden("inception_fid")
    network = InceptionV3.from_state_dict(golden.tensors()).to(device)
    features = network.outputs(torch.from_numpy(golden.clip(size)[:, :, 0]).to(device))["features"]
    return relative_error(output(network, features), golden[f"{size}_{expected}"])


def features_of(network: InceptionV3, features: Tensor) -> Tensor:
    return features


def logits_of(network: InceptionV3, features: Tensor) -> Tensor:
    return features @ network.head.T


def c3d_error(device: str) -> float:
    """Logits of the Inception Score's network, and the probabilities they make."""
    golden = open_golden("c3d_ucf101")
    network = C3D.from_state_dict(golden.state, mean=mean_clip(golden)).to(device)
    logits = network.logits(torch.from_numpy(golden.clip("clip")).to(device))
    return max(relative_error(logits, golden["a_fc8"]), relative_error(logits.softmax(1), golden["a_prob"]))


def mean_clip(golden: Golden) -> np.ndarray:  # -> [3, 16, 128, 171] float32
    """The seeded mean that the reference subtracted."""
    mean = golden.meta["mean"]
    return (100 + 10 * seeded_normal(mean["key"], mean["shape"], golden.meta["seed"])).astype(np.float32)


def clean_resize_error(size: str) -> float:
    """Grey levels between rows of a frame that went through clean-fid's resize, and ours."""
    golden = open_golden("clean_prdc")
    image = seeded_clip(size, golden.meta["inputs"][size][1], golden.meta["seed"])[:, 0]
    rows = clean_resize(torch.from_numpy(image)[None])[0].permute(1, 2, 0).numpy()[golden.meta["rows"]]
    return float(np.abs(rows - golden[f"{size}_clean_rows"]).max())


def detector_measures(device: str) -> Iterator[Measure]:
    """I3D, Inception, its other resize, and C3D in float32, the only type they are offered in."""
    tight, wide = (float32_tolerance(tolerance, device) for tolerance in (2e-5, 1e-4))
    for name, clip, what in (
        ("i3d_gamma_ones", "t9", "9 frames"),
        ("i3d_gamma_ones", "t16", "16 frames"),
        ("i3d_gamma_seeded", "t16", "norms with weights"),
    ):
        yield Measure(f"I3D logits, {what}", I3D_SOURCE, tight, partial(i3d_error, name, clip, device))
    for size in ("64x80", "256x256"):
        error = partial(inception_error, size, device, features_of, "2048")
        yield Measure(f"Inception features, {size}", INCEPTION_SOURCE, tight, error)
    error = partial(inception_error, "64x80", device, logits_of, "logits_unbiased")
    yield Measure("Inception logits", INCEPTION_SOURCE, tight, error)
    for size, what in (("small", "64x48"), ("large", "480x640")):
        name = f"resize of clean-fid, {what}, in grey levels"
        yield Measure(name, CLEAN_FID_SOURCE, 1e-3, partial(clean_resize_error, size))
    yield Measure("C3D logits and probabilities", C3D_SOURCE, wide, partial(c3d_error, device))
