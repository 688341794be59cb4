"""What cannot be measured is known before the first clip is sampled; one metric that fails loses no other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_lossless

from latte_eval.compare.comparable import decisive, differences
from latte_eval.compare.results import read_results
from latte_eval.core.clips import Clips
from latte_eval.core.errors import ClipError, LatteEvalError, MetricFailed, NotEnoughClips, StoreError, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.evaluation import pipeline
from latte_eval.evaluation.pipeline import compute_stats, evaluate
from latte_eval.evaluation.request import Request
from latte_eval.metrics.detectors import Detector
from latte_eval.report.reproduce import reproduce_arguments
from latte_eval.sampler import SampledSource


def pooled(pixels: torch.Tensor) -> dict[str, torch.Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 3] float32, [N, 2] float32
    """Features that are sound, and probabilities that are none."""
    return {"features": pixels.float().mean(dim=(2, 3, 4)), "probabilities": torch.full((len(pixels), 2), -1.0)}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """One detector, under every name."""
    detector = Detector("mean", pooled, weights=None, sha256="0" * 64)
    monkeypatch.setattr(pipeline, "open_detector", lambda *_, **__: detector)


@pytest.fixture
def unsampled(monkeypatch: pytest.MonkeyPatch) -> None:
    def clips(self: SampledSource, indices: list[int]) -> Clips:
        raise AssertionError("clips were sampled")

    monkeypatch.setattr(SampledSource, "clips", clips)


ASKED = Request(ckpt="demo", steps=2, clips=12, interval=False)
EARLY: dict[str, tuple[dict[str, object], type[LatteEvalError], str]] = {
    "too few for a score": ({"metrics": ("fvd", "is"), "clips": 6}, NotEnoughClips,
                            "is takes at least 10 clips, the fake side has 6: give more, or leave is out"),
    "too short for a detector": ({"params": ("frames=4",)}, ClipError,
                                 "i3d-seeded takes clips of at least 9 frames, the protocol compares 4: give .*=9"),
}  # fmt: skip


@pytest.mark.usefixtures("unsampled")
@pytest.mark.parametrize("case", EARLY)
def test_it_is_known_before_anything_is_sampled(case: str, tmp_path: Path) -> None:
    choices, error, said = EARLY[case]
    with pytest.raises(error, match=said):
        evaluate(dataclasses.replace(ASKED, **choices, out=tmp_path))  # type: ignore[arg-type]


def test_frames_count_where_a_detector_looks_at_frames(tmp_path: Path) -> None:
    """Two clips of 16 frames are enough for ten splits of frames."""
    asked = dataclasses.replace(ASKED, metrics=("is",), clips=2, detectors=("inception-seeded",), out=tmp_path)
    (result,) = evaluate(asked)
    assert result.fake == 2


def test_a_score_over_fewer_splits_takes_fewer_clips(tmp_path: Path) -> None:
    asked = dataclasses.replace(ASKED, metrics=("is",), clips=3, splits=2, out=tmp_path)
    (result,) = evaluate(asked)
    assert result.details["splits"] == 2 and reproduce_arguments([result])[-2:] == ["--splits", "2"]
    other = dataclasses.replace(result, details={**result.details, "splits": 10})
    assert [each.sentence() for each in decisive(differences(result, other))] == ["metric splits is 2, not 10"]
    with pytest.raises(UsageError, match="--splits 2 takes a number from 1, and one of the metrics is"):
        dataclasses.replace(ASKED, splits=2)


@pytest.mark.usefixtures("stand_in")
def test_a_metric_that_fails_loses_no_other(tmp_path: Path) -> None:
    asked = dataclasses.replace(ASKED, metrics=("is", "fvd", "kvd"), out=tmp_path)
    with pytest.raises(
        MetricFailed, match=r"^is: .*probabilities.*The other metrics are in .*results\.jsonl"
    ) as caught:
        evaluate(asked)
    assert [result.metric for result in caught.value.results] == ["fvd", "kvd"]
    assert [result.metric for result in read_results(tmp_path / "results.jsonl")] == ["fvd", "kvd"]


@pytest.mark.usefixtures("stand_in")
def test_the_command_line_shows_what_was_measured_before_the_error(tmp_path: Path) -> None:
    done = latte_eval("evaluate", "--metrics", "fvd,is", "--ckpt", "demo", "--clips", "12", "--steps", "2",
                      "--no-interval", "--json", "--quiet", "--out", tmp_path)  # fmt: skip
    assert done.returncode != 0 and '"metric": "fvd"' in done.stdout
    assert done.stderr.startswith("Error: is: ")


@pytest.mark.usefixtures("stand_in")
def test_statistics_that_cannot_be_written_are_known_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lossless(tmp_path / "real" / "0.mkv", moving_frames(20))
    monkeypatch.setattr(pipeline, "open_real", lambda *_: pytest.fail("the real side was read"))
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x.safetensors", tmp_path / "real"):
        with pytest.raises(StoreError, match=f"cannot write {path}: "):
            compute_stats(Request(real=tmp_path / "real", out=tmp_path / "run"), path, Reporter())


def test_weights_that_ask_for_a_decision_are_opened_before_others_are_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(pipeline, "open_detector", lambda name, *_, **options: opened.append(name))
    metrics = ("fvd", "cd-fvd", "jedi", "kvd")
    request = Request(metrics=metrics, ckpt="x.pt")
    pipeline.open_detectors(request, {metric: request.detector_for(metric) for metric in metrics})
    assert opened == ["vjepa", "i3d", "videomae"]
