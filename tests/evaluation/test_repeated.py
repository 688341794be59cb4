"""Several samples of every clip: made together, told apart by noise alone, and how different they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from quick_detectors import quick_detectors
from small_vdt import small_vdt

from latte_eval.core.clips import Clips
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.pipeline import evaluate, prepare
from latte_eval.evaluation.repeated import MOST_HELD, RepeatedSource
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.shares import Share, compute_share
from latte_eval.evaluation.store_features import store_spans
from latte_eval.evaluation.stored import StoredSource
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.paired import frame_psnr, mask_to_positions
from latte_eval.sampler.masked_source import MaskedSource
from latte_eval.sampler.vdt import VDTConfig


@dataclass
class Noise:
    """Clips of noise of a seed; counts what it was asked for."""

    seed: int
    asked: list[int] = field(default_factory=list)
    clips_that_fit: int | None = None
    name, rejected = "noise", ()

    @property
    def fingerprint(self) -> str:
        return f"{self.seed:064d}"

    def __len__(self) -> int:
        return 6

    def clips(self, indices: Sequence[int]) -> Clips:
        self.asked += indices
        made = [np.random.default_rng([self.seed, index]).integers(0, 256, (4, 3, 16, 16)) for index in indices]
        return Clips(torch.from_numpy(np.stack(made)).to(torch.uint8), tuple(indices))

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [str(index) for index in indices]


def repeated(samples: int = 3, steps: tuple[str, ...] = ("jpeg75",)) -> RepeatedSource:
    others = tuple(StoredSource(Noise(seed), steps) for seed in range(1, samples))
    return RepeatedSource(Noise(0), steps, others=others)


def seen(clips: Clips) -> dict[str, torch.Tensor]:
    return {"features": torch.stack([each.float().mean((1, 2, 3, 4)) for each in (clips.pixels, *clips.others)], dim=1)}


class Seeing(Detector):
    def on_clips(self, clips: Clips) -> dict[str, torch.Tensor]:
        return seen(clips)


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_come_together_after_the_same_lossy_steps(tmp_path: Path, workers: int) -> None:
    source, run = repeated(), RunFolder(tmp_path).make()
    list(
        store_spans(source, [Seeing("seeing", seen, None, "0" * 64)], run, [(0, 3), (3, 6)], 2, lambda n: None, workers)
    )
    (files,) = (sorted(path.iterdir()) for path in (tmp_path / "features").iterdir())
    assert len(files) == 2 and [each.source.asked for each in (source, *source.others)] == [[0, 1, 2, 3, 4, 5]] * 3
    for index, each in enumerate((source.once, *source.others)):
        whole = source.clips([1, 4])
        shown = (whole.pixels, *whole.others)[index]
        assert torch.equal(shown, each.clips([1, 4]).pixels), "a sample is what its own source gives, after its steps"
    assert source.fingerprint == source.once.fingerprint and source.samples == 3


def test_a_batch_holds_no_more_samples_than_fit() -> None:
    many = repeated(MOST_HELD // 4)
    assert many.clips_that_fit == 4 and repeated(2 * MOST_HELD).clips_that_fit == 1
    many.source.clips_that_fit = 3
    assert many.clips_that_fit == 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VDT of nine frames of 16 pixels, and five real videos."""
    root = tmp_path_factory.mktemp("files")
    for video in range(5):
        write_frames(root / "real" / str(video), moving_frames(9, 16, 32)[:, :, video : video + 16])
    nine = VDTConfig(input_size=16, patch=8, channels=3, width=32, depth=1, heads=4, frames=9)
    torch.save({"ema": small_vdt(nine).state_dict(), "args": {"num_heads": 4}}, root / "vdt.pt")
    return root


def asked(files: Path, out: Path, **options: Any) -> Request:
    usual = {"metrics": ("psnr",), "samples": 3, "task": "one-frame", "steps": 2, "params": ("fake_storage=jpeg75",)}
    return Request(ckpt=str(files / "vdt.pt"), real=files / "real", detectors=("seeded",), out=out, **(usual | options))


def test_diversity_is_the_mean_over_pairs_of_samples(files: Path, tmp_path: Path) -> None:
    """By hand from the clips, at generated positions; one file or shares, one batch or several: the same numbers."""
    request = asked(files, tmp_path / "one")
    (found,) = evaluate(request)
    clips = prepare(asked(files, tmp_path / "by hand"), Reporter()).fake
    made = clips.source.clips(range(5))
    shown, where = (made.pixels, *made.others), mask_to_positions(clips.pairing.conditions.mask(range(5)), 1)
    apart = [frame_psnr(shown[i], shown[j], where).nanmean(1) for i, j in ((0, 1), (0, 2), (1, 2))]
    diversity = found.details["diversity"]
    assert diversity["value"] == pytest.approx(float(torch.stack(apart).mean()), rel=1e-6)
    low, high = diversity["interval"]
    assert low < diversity["value"] < high and (diversity["pairs"], diversity["positions"]) == (3, "generated")
    assert diversity["more_diverse"] == "lower" and found.detector["samples"] == 3
    for number in (2, 1):
        compute_share(asked(files, tmp_path / "shares"), Share(number, 2), Reporter())
    from latte_eval.evaluation.merge import merge

    (merged,) = merge(RunFolder(tmp_path / "shares"), None, Reporter())
    (alone,) = evaluate(asked(files, tmp_path / "alone", batch_size=1))
    assert merged.details == alone.details == found.details and merged.value == found.value
    (other,) = evaluate(asked(files, tmp_path / "one", samples=2))
    assert other.details["diversity"]["value"] == pytest.approx(float(apart[0].mean()), rel=1e-6)
    assert "diversity" not in evaluate(asked(files, tmp_path / "one", samples=1))[0].details


def test_what_is_stored_is_not_sampled_again(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FVD after the samples are measured makes the first sample alone."""
    quick_detectors(monkeypatch)
    made = list[int]()
    sample = MaskedSource.latents
    monkeypatch.setattr(MaskedSource, "latents", lambda self, indices: made.append(self.settings.seed) or sample(
        self, indices))  # fmt: skip
    evaluate(asked(files, tmp_path))
    assert sorted(made) == [0, 1, 2]
    made.clear()
    both = evaluate(asked(files, tmp_path, metrics=("fvd", "psnr")))
    assert made == [0] and both[1].details["diversity"]
    made.clear()
    evaluate(asked(files, tmp_path / "new", metrics=("fvd", "psnr")))
    assert sorted(made) == [0, 1, 2], "one pass serves all"


def test_the_terminal_and_the_report_say_how_different_samples_are(files: Path, tmp_path: Path) -> None:
    typed = ("evaluate", "--metrics", "ssim", "--ckpt", files / "vdt.pt", "--real", files / "real", "--task", "predict",
             "--detector", "seeded", "--device", "cpu", "--steps", "2", "--out", tmp_path / "run")  # fmt: skip
    done = latte_eval(*typed, "--samples", "2")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.jsonl").read_text())["details"]["diversity"]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("diversity ")]
    assert line.endswith("between 2 samples of a clip; lower is more diverse")
    assert float(line.split()[1]) == pytest.approx(found["value"], abs=0.006) and "95 % interval" in line
    assert "clips x 2 samples x 2 steps" in done.stderr
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "pages").returncode == 0
    page = (tmp_path / "pages" / "index.html").read_text()
    assert "Diversity: SSIM between 2 samples of a clip is" in page and "lower is more diverse" in page
    assert "Best of 2" in page and "copy nearest given frame" in page and "--samples 2" in page
