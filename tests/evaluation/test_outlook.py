"""What a value will stand beside is said before anything is sampled; a remnant of a benchmark is refused by default."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from dataset_makers import make_faceforensics

from latte_eval.core.errors import NotComparable, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.evaluation import pipeline
from latte_eval.evaluation.pipeline import prepare
from latte_eval.evaluation.request import Request
from latte_eval.metrics.detectors import Detector
from latte_eval.sampler.latte import Latte, LatteConfig


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    @property
    def published(self) -> list[str]:
        return [line for line in self.lines if line.startswith("published ")]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A checkpoint of the right size on three of the 704 videos of FaceForensics."""
    config = LatteConfig(input_size=32, patch=16, channels=4, width=32, depth=2, heads=4, frames=16)
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": 4}}, tmp_path / "x.pt")
    make_faceforensics(tmp_path / "ffs")
    monkeypatch.setattr(pipeline, "open_detector", lambda *_, **__: Detector("i3d", pooled, None, "0" * 64))
    return Request(ckpt=str(tmp_path / "x.pt"), benchmark="faceforensics", real=tmp_path / "ffs", vae="vae-seeded",
                   out=tmp_path / "run")  # fmt: skip


def pooled(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    raise AssertionError("nothing is measured here")


def test_a_remnant_is_refused_with_both_numbers(asked: Request) -> None:
    with pytest.raises(NotComparable, match=r"3 of the 704 real clips of FaceForensics .* give --allow-partial"):
        prepare(asked, Reporter())


@pytest.mark.parametrize("choice", [{"allow_partial": True}, {"clips": 3}, {"detectors": ("seeded",)}])
def test_who_knows_goes_on_and_is_told(asked: Request, choice: dict[str, object]) -> None:
    reporter = Said()
    prepare(dataclasses.replace(asked, **choice), reporter)  # type: ignore[arg-type]
    (line,) = reporter.published
    assert line.startswith("published not comparable; ") and "codec is vae-seeded, not the published VAE" in line
    assert ("3 real clips, not 704" in line) == ("clips" not in choice)


def test_a_benchmark_without_published_numbers_says_nothing(tmp_path: Path) -> None:
    reporter = Said()
    prepare(Request(ckpt="demo", out=tmp_path), reporter)
    assert reporter.published == []


def test_generated_videos_are_not_enlarged_to_the_size_of_a_benchmark(asked: Request, tmp_path: Path) -> None:
    from media_makers import moving_frames, write_lossless

    for i in range(2):
        write_lossless(tmp_path / "fakes" / f"{i}.mkv", moving_frames(16, 64, 96))
    folder = dataclasses.replace(asked, ckpt=None, fake=tmp_path / "fakes", clips=2)
    said = "have frames of 96x64 pixels, faceforensics compares 256x256; --param size=64 changes the protocol"
    with pytest.raises(UsageError, match=said):
        prepare(folder, Reporter())
    prepare(dataclasses.replace(folder, params=("size=64",)), Reporter())
