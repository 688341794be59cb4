"""Opening the two sides: labels of the real videos, sizes, counts, the pace of long work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.cli.work import AT_ONCE_SECONDS, LONG_SECONDS, Pace
from latte_eval.core.clips import Clips
from latte_eval.core.errors import UsageError
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.opened_model import open_model
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.evaluation.sides import open_sides
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig


class Labelled:
    """A real side of three classes: two clips of the first, one of the last."""

    name, fingerprint, rejected = "labelled", "0", ()  # type: Sequence[Rejected]
    labels: tuple[int, ...] | None = (0, 2, 0)

    def __len__(self) -> int:
        return 3

    def clips(self, indices: Sequence[int]) -> Clips:
        raise AssertionError

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [str(i) for i in indices]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    config = LatteConfig(input_size=8, patch=4, channels=3, width=32, depth=2, heads=4, frames=16, classes=3)
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": config.heads}}, tmp_path / "tiny.pt")
    return tmp_path / "tiny.pt"


def test_dataset_labels_are_drawn_as_often_as_the_real_side_has_them(checkpoint: Path) -> None:
    opened = open_model(Request(ckpt=str(checkpoint), real=checkpoint), "dataset").with_labels_of(Side(Labelled()))
    assert opened.settings.label_frequencies == (2.0, 0.0, 1.0)
    source = opened.source(300, "cpu", Reporter())
    labels = [source.label(i, 3) for i in range(300)]
    assert labels.count(1) == 0 and 160 < labels.count(0) < 240


def test_dataset_labels_without_classes_say_what_to_type(checkpoint: Path) -> None:
    unlabelled = Labelled()
    unlabelled.labels = None
    opened = open_model(Request(ckpt=str(checkpoint), real=checkpoint), "dataset")
    with pytest.raises(UsageError, match="--param labels=uniform"):
        opened.with_labels_of(Side(unlabelled))


def test_the_pace_is_told_once_after_the_first_batch_that_took_time() -> None:
    pace = Pace(started=0.0)
    assert pace.first_estimate(32, AT_ONCE_SECONDS / 2, 100) is None
    whole = pace.first_estimate(4, LONG_SECONDS, 100)
    assert whole == pytest.approx((LONG_SECONDS - AT_ONCE_SECONDS / 2) / 4 * (100 - 32))
    assert pace.first_estimate(4, 2 * LONG_SECONDS, 100) is None


def test_the_first_item_of_many_does_not_tell_the_pace() -> None:
    """As `data check` has it: the first video waits for libraries, and the others are there when it is."""
    pace, told = Pace(started=0.0), []
    for video in range(13_320):
        told.append(pace.first_estimate(1, 3.0 + video * 0.0015, 13_320))
    assert not any(told)


def test_a_slow_pace_is_told_from_the_first_seconds() -> None:
    pace = Pace(started=0.0)
    told = [whole for video in range(100) if (whole := pace.first_estimate(1, 3.0 + video, 13_320))]
    assert told == [pytest.approx(5.0 / 3 * 13_320)]


def test_short_work_is_not_announced() -> None:
    assert Pace(started=0.0).first_estimate(50, 1.0, 100) is None


def test_no_more_videos_are_examined_than_are_needed(tmp_path: Path) -> None:
    for video in range(100):
        (tmp_path / f"{video:03d}").mkdir()
        for frame in range(2):
            Image.new("RGB", (8, 8), (video, 0, frame)).save(tmp_path / f"{video:03d}/{frame}.png")
    params = ("frames=2", "size=8")
    few, everything = (
        open_sides(Request(fake=tmp_path, real=tmp_path, clips=clips, params=params), Reporter()) for clips in (4, None)
    )
    for side in (1, 2):
        some, whole = few[side], everything[side]
        assert some and whole
        folders = [opened.source.source for opened in (some, whole)]  # type: ignore[attr-defined]
        assert [folder.examined for folder in folders] == [64, 100]
        assert all(isinstance(folder, FolderSource) for folder in folders)
        assert torch.equal(some.source.clips([0, 1, 2, 3]).pixels, whole.source.clips([0, 1, 2, 3]).pixels)
        assert some.expected == 4 and some.source.fingerprint == whole.source.fingerprint


def test_choices_that_were_typed_are_recorded(checkpoint: Path) -> None:
    typed = Request(ckpt=str(checkpoint), benchmark="shapes", vae="identity", heads=8, temporal_position="rotary")
    record = open_model(typed).checkpoint_record()
    assert {"heads": 8, "temporal_position": "rotary"}.items() <= record.items() and "variant" not in record
    plain = open_model(Request(ckpt=str(checkpoint), benchmark="shapes", vae="identity")).checkpoint_record()
    assert not {"heads", "variant", "temporal_position"} & set(plain)
