"""clean-fid's resize against clean-fid itself, and Inception behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol
from latte_eval.metrics.detectors import clean_fid, clean_resize, open_detector
from latte_eval.metrics.detectors.inception_network import resize_tf1
from latte_eval.metrics.detectors.network import probe_clips, relative_difference
from latte_eval.metrics.detectors.own import of_protocol

SIZES = ["square256", "small", "large"]
TOLERANCE = 1e-3  # grey levels


def image(golden: Callable, seeded: Any, name: str) -> Tensor:
    meta = golden("clean_prdc").meta
    return torch.from_numpy(seeded.seeded_clip(name, meta["inputs"][name][1], meta["seed"]))[None, :, 0]


def off(golden: Callable, name: str, resized: Tensor) -> float:
    """Largest difference to the stored rows, in grey levels."""
    stored = golden("clean_prdc")
    rows = resized[0].permute(1, 2, 0).numpy()[stored.meta["rows"]]
    return float(np.abs(rows - stored[f"{name}_clean_rows"]).max())


@pytest.mark.parametrize("name", SIZES)
def test_resize_is_that_of_clean_fid(golden: Callable, seeded: Any, name: str) -> None:
    resized = clean_resize(image(golden, seeded, name))
    assert resized.shape == (1, 3, 299, 299) and resized.dtype == torch.float32
    assert off(golden, name, resized) < TOLERANCE
    mean, std = golden("clean_prdc")[f"{name}_clean_mean_std"]
    assert (float(resized.double().mean()), float(resized.double().std(correction=0))) == pytest.approx((mean, std))


def bilinear(images: Tensor) -> Tensor:
    return F.interpolate(images.float(), (299, 299), mode="bilinear", align_corners=False)


def without_antialiasing(images: Tensor) -> Tensor:
    return F.interpolate(images.float(), (299, 299), mode="bicubic", align_corners=False)


def rounded(images: Tensor) -> Tensor:
    return clean_resize(images).round().clamp(0, 255)


@pytest.mark.parametrize("twin", [bilinear, without_antialiasing, rounded, resize_tf1])
def test_known_mistakes_are_seen(golden: Callable, seeded: Any, twin: Callable[[Tensor], Tensor]) -> None:
    assert off(golden, "large", twin(image(golden, seeded, "large"))) > 100 * TOLERANCE


def test_a_wrong_layout_is_refused() -> None:
    for bad in (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ClipError, match="uint8"):
            clean_resize(bad)


def test_inception_sees_frames_that_are_resized_so() -> None:
    clips = torch.randint(0, 256, (2, 3, 2, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    clean, plain = (open_detector(name) for name in ("inception-clean-seeded", "inception-seeded"))
    assert clean.name == "inception-clean-seeded" and clean.sha256 == plain.sha256 and not clean.comparable
    found = clean(clips)["features"]
    assert found.shape == (2, 2, 2048)
    assert relative_difference(found, plain(clips)["features"]) > 1e-2
    same = clean(clips[1:])["features"]
    assert torch.equal(found[1:], same)
    resized = clean_resize(clips[:1, :, 1])
    assert torch.equal(resize_tf1(resized), resized)
    assert relative_difference(plain.forward(resized[:, :, None])["features"][:, 0], found[:1, 1]) < 1e-6


def test_names_follow_the_resize() -> None:
    assert of_protocol("inception", Protocol(fid_resize="clean")) == "inception-clean"
    assert of_protocol("inception-clean-seeded", Protocol(fid_resize="tf1")) == "inception-seeded"
    assert of_protocol("i3d", Protocol(fid_resize="clean")) == "i3d"


def test_published_and_own_weights_are_behind_the_same_resize(monkeypatch: pytest.MonkeyPatch) -> None:
    """With seeded weights in place of files."""
    for name in ("open_inception", "inception_from_state"):
        monkeypatch.setattr(clean_fid, name, lambda *_, **options: open_detector("inception-seeded"))
    clips = probe_clips(1, 40, 48)
    want = open_detector("inception-clean-seeded")(clips)["features"]
    for found in (open_detector("inception-clean"), clean_fid.inception_clean_from_state(Path("own.pth"), "cpu")):
        assert found.name == "inception-clean" and torch.equal(found(clips)["features"], want)
