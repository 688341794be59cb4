"""Every field of the protocol on every kind of side: it changes what is measured, or it is refused in one line."""

from __future__ import annotations

import dataclasses
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dataset_makers import make_skytimelapse
from media_makers import moving_frames, write_frames, write_lossless

from latte_eval.core.errors import LatteEvalError, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import MEASURE_FIELDS, Protocol
from latte_eval.evaluation import pipeline
from latte_eval.evaluation.pipeline import compute_stats, prepare
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.metrics.detectors import Detector
from latte_eval.sampler import text_to_video
from latte_eval.sampler.latte import Latte, LatteConfig

# A value of every field that is not the usual one.
VALUES = {
    "stem": "other", "benchmark": "ucf101", "frames": "8", "size": "24", "real_stride": "2", "fake_stride": "2",
    "real_split": "test", "real_selection": "sorted", "real_clips": "2", "fake_clips": "2", "windows": "all",
    "real_offset": "zero", "crop": "none", "resample": "bilinear", "real_storage": "h264-crf5",
    "fake_storage": "h264-crf5",
    "labels": "balanced", "covariance": "n-1", "fid_resize": "clean", "frame_rule": "mean",
    "fake_offset": "seeded", "skip_frames": "2", "rounding": "floor-shifted", "decoder": "decord", "i3d_eps": "1e-5",
    "counted": "generated",
}  # fmt: skip
# Shapes have usual values of their own.
SHAPES_VALUES = VALUES | {"real_split": "train", "real_offset": "seeded", "crop": "crop-resize"}

FOLDER = {"frames", "size", "real_stride", "real_selection", "real_clips", "windows", "real_offset", "crop", "resample",
          "real_storage", "skip_frames", "rounding"}  # fmt: skip
FAKE_FOLDER = {"frames", "size", "fake_stride", "real_selection", "fake_clips", "windows", "crop", "resample",
               "fake_storage", "fake_offset", "skip_frames"}  # fmt: skip

# What changes the clips of the real side. A drawn benchmark takes clips as they are, so its fields are few.
REAL = {
    "videos": FOLDER | {"decoder"},
    "zip": FOLDER | {"decoder"},
    "frames": FOLDER,
    "dataset": FOLDER | {"real_split"},
    "shapes": {"frames", "real_stride", "real_split", "real_clips", "real_storage", "skip_frames"},
    "stats": set(),  # its file says what was done, and another request is refused
}
# What changes the clips of the fake side.
FAKE = {
    "videos": FAKE_FOLDER | {"decoder"},
    "zip": FAKE_FOLDER | {"decoder"},
    "frames": FAKE_FOLDER,
    "checkpoint": {"frames", "fake_clips", "fake_storage", "skip_frames"},
    "checkpoint of classes": {"frames", "fake_clips", "fake_storage", "skip_frames", "labels"},
    "generator": {"frames", "size", "fake_clips", "fake_storage", "skip_frames"},
    "pipeline": {"frames", "size", "fake_clips", "fake_storage", "skip_frames"},
}
GENERATOR = """
import numpy as np
class Model:
    fingerprint = "1"
    def __init__(self, frames=16, size=16): self.shape = frames, size, size, 3
    def __len__(self): return 64
    def generate(self, indices, seeds): return np.zeros((len(seeds), *self.shape), np.uint8)
"""


class Pipeline:
    """A stand-in for a text-to-video pipeline."""

    scheduler = SimpleNamespace(config={})

    def to(self, device: str) -> Pipeline:
        return self

    def __call__(self, prompt: str, num_frames: int = 16, height: int = 16, width: int = 16) -> None:
        raise AssertionError("nothing is sampled here")


def pooled(pixels: torch.Tensor) -> dict[str, torch.Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 3] float32
    return {"features": pixels.float().mean(dim=(2, 3, 4)), "probabilities": torch.ones(len(pixels), 1)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything that a side can be: long videos, so that a stride and windows tell."""
    root = tmp_path_factory.mktemp("sides")
    for i in range(4):
        frames = moving_frames(40, 24, 32) // (i + 1)
        write_lossless(root / "videos" / f"{i}.mkv", frames)
        write_frames(root / "frames" / str(i), frames)
    with zipfile.ZipFile(root / "zip.zip", "w") as archive:
        for path in sorted((root / "videos").iterdir()):
            archive.write(path, path.name)
    for split in ("sky_train", "sky_test"):
        make_skytimelapse(root / "dataset", split, side=24)
    config = LatteConfig(input_size=16, patch=8, channels=3, width=32, depth=2, heads=4, frames=16)
    for name, classes in (("plain", None), ("classes", 3)):
        model = Latte(dataclasses.replace(config, classes=classes))
        torch.save({"ema": model.state_dict(), "args": {"num_heads": 4}}, root / f"{name}.pt")
    (root / "model_of_fields.py").write_text(GENERATOR)
    (root / "pipeline").mkdir()
    (root / "pipeline" / "model_index.json").write_text("{}")
    (root / "prompts.txt").write_text("".join(f"a dog {i}\n" for i in range(64)))
    return root


@pytest.fixture(autouse=True)
def stand_ins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Under a name that gives a row per frame: then a few clips are enough for a score.
    detector = Detector("inception-seeded", pooled, weights=None, sha256="0" * 64)
    monkeypatch.setattr(pipeline, "open_detector", lambda *_, **__: detector)
    monkeypatch.setattr(text_to_video, "pipeline_folder", Path)
    monkeypatch.setattr(text_to_video, "load_pipeline", lambda folder, dtype: Pipeline())
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])


def real_choices(root: Path, kind: str) -> dict[str, Any]:
    """A request that has this real side and a generator, which takes every size."""
    fixed = {"generator": "model_of_fields:Model", "params": ("fake_clips=3", "size=16")}
    if kind == "shapes":
        return {**fixed, "benchmark": "shapes", "params": ("fake_clips=3",)}
    if kind == "dataset":
        return {**fixed, "benchmark": "skytimelapse", "real": root / "dataset"}
    if kind == "stats":
        path = root / "stats.safetensors"
        if not path.exists():
            asked = Request(real=root / "videos", params=("size=16",), detectors=("seeded",), out=root / "run")
            compute_stats(asked, path, Reporter())
        return {**fixed, "real": path}
    return {**fixed, "real": root / (kind if kind != "zip" else "zip.zip")}


def fake_choices(root: Path, kind: str) -> dict[str, Any]:
    """A request that has this fake side and no real one."""
    made = {
        "checkpoint": {"ckpt": str(root / "plain.pt")},
        "checkpoint of classes": {"ckpt": str(root / "classes.pt")},
        "generator": {"generator": "model_of_fields:Model"},
        "pipeline": {"ckpt": str(root / "pipeline"), "prompts": root / "prompts.txt"},
        "zip": {"fake": root / "zip.zip"},
    }
    return {"metrics": ("is",), "params": (), **made.get(kind, {"fake": root / kind})}


def opened(root: Path, choices: dict[str, Any], side: str, *params: str) -> tuple[Any, ...]:
    """What tells one side from another: the fingerprint and how many clips are taken."""
    params = (*choices.get("params", ()), *params)
    asked = Request(**{**choices, "params": params}, detectors=("seeded",), steps=2, vae="identity", out=root / "run")
    found: Side = getattr(prepare(asked, Reporter()), side)
    return found.source.fingerprint, found.expected


def changed(root: Path, choices: dict[str, Any], side: str) -> set[str]:
    """Fields that change the side; every other one is refused in one line, which names the field or its value."""
    usual, found = opened(root, choices, side), set[str]()
    for field, value in (SHAPES_VALUES if choices.get("benchmark") == "shapes" else VALUES).items():
        try:
            other = opened(root, choices, side, f"{field}={value}")
        except LatteEvalError as error:
            assert "\n" not in str(error) and (field in str(error) or value in str(error)), (field, error)
        else:
            silent = field in MEASURE_FIELDS or (side == "real" and field.startswith("fake_"))
            assert other != usual or silent, f"{field} changes nothing"
            found |= {field} if other != usual else set()
    return found


def test_every_field_has_another_value() -> None:
    assert list(VALUES) == [field.name for field in dataclasses.fields(Protocol)]


@pytest.mark.parametrize("kind", REAL)
def test_fields_of_the_real_side(root: Path, kind: str) -> None:
    assert changed(root, real_choices(root, kind), "real") == REAL[kind]


@pytest.mark.parametrize("kind", FAKE)
def test_fields_of_the_fake_side(root: Path, kind: str) -> None:
    assert changed(root, fake_choices(root, kind), "fake") == FAKE[kind]


def test_shorter_clips_of_shapes_are_the_start_of_longer_ones(root: Path) -> None:
    asked = Request(**real_choices(root, "shapes"), detectors=("seeded",), out=root / "run")
    whole = prepare(asked, Reporter()).real
    short = prepare(dataclasses.replace(asked, params=("frames=8", "fake_clips=3")), Reporter()).real
    assert whole is not None and short is not None
    first = [side.source.clips([0, 5]).pixels.numpy() for side in (whole, short)]
    assert np.array_equal(first[0][:, :8], first[1])


@pytest.mark.parametrize(
    ("metrics", "field", "taken"),
    [
        (("fvd",), "covariance=n-1", True),
        (("kvd",), "covariance=n-1", False),
        (("kid",), "fid_resize=clean", True),
        (("is",), "fid_resize=clean", False),
        (("fvd",), "fid_resize=clean", False),
        (("kid",), "frame_rule=mean", True),
        (("cd-fvd",), "frame_rule=mean", False),
    ],
)
def test_a_field_of_measuring_has_a_metric_that_it_changes(
    root: Path, metrics: tuple[str, ...], field: str, taken: bool
) -> None:
    sides = {"fake": root / "videos", "real": None if metrics == ("is",) else root / "frames"}
    detectors = ("inception-seeded",) if metrics == ("is",) else ("seeded",)
    asked = Request(metrics=metrics, params=(field, "size=16"), detectors=detectors, out=root / "run", **sides)
    if taken:
        prepare(asked, Reporter())
    else:
        with pytest.raises(UsageError, match=f"{field} changes no clip.*it counts for"):
            prepare(asked, Reporter())


def test_the_resize_chooses_the_detector(root: Path) -> None:
    request = Request(("fid", "kid", "fvd"), params=("fid_resize=clean",), detectors=("seeded",))
    assert request.detector_names() == ["inception-clean-seeded", "i3d-seeded"]
    assert Request(("fid",), params=("fid_resize=clean",)).detector_names() == ["inception-clean"]
    score = Request(("is", "fid"), params=("fid_resize=clean",), detectors=("inception",))
    assert [score.detector_for(each) for each in ("is", "fid")] == ["inception", "inception-clean"]
    typed = Request(("fid",), fake=root / "videos", real=root / "frames", detectors=("inception-clean",))
    with pytest.raises(UsageError, match="goes with --param fid_resize=clean"):
        prepare(typed, Reporter())


def test_a_field_that_repeats_the_protocol_is_no_field(root: Path) -> None:
    """Scripts name every choice: one that is as it would be anyway is taken."""
    prepare(
        Request(ckpt="demo", params=("labels=uniform", "size=none", "real_split=test"), out=root / "run"), Reporter()
    )


def test_statistics_take_no_field_of_the_fake_side(root: Path) -> None:
    asked = Request(real=root / "videos", params=("fake_stride=2",), out=root / "run")
    with pytest.raises(UsageError, match="fake_stride=2 changes no clip"):
        compute_stats(asked, root / "never.safetensors", Reporter())


@pytest.mark.parametrize(("classes", "size"), [(None, 32), (101, 16)])
def test_a_checkpoint_of_other_frames_is_not_measured_under_a_published_protocol(
    root: Path, classes: int | None, size: int
) -> None:
    config = LatteConfig(input_size=size, patch=8, channels=3, width=32, depth=2, heads=4, frames=16, classes=classes)
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": 4}}, root / "small.pt")
    benchmark = "ucf101" if classes else "skytimelapse"
    asked = Request(ckpt=str(root / "small.pt"), benchmark=benchmark, real=root / "dataset", vae="identity", out=root)
    said = f"frames of {size}x{size} pixels, {benchmark} compares 256x256; --param size={size} changes the protocol"
    with pytest.raises(UsageError, match=said):
        prepare(asked, Reporter())
