"""What is kept of clips: ranges that are told once they are whole, labels, and what could not be read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.stages import Stage
from latte_eval.evaluation.beside import run_stages
from latte_eval.evaluation.store_features import store_spans
from latte_eval.files.run_folder import FEATURES, PREVIEWS, RunFolder, feature_key, preview_key
from latte_eval.metrics.detectors import Detector


def means(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 3] float32
    return {"features": clips.float().mean((2, 3, 4))}


MEANS = Detector("means", means, None, "0" * 64)
OTHER = Detector("other", means, None, "1" * 64)


@dataclass
class Videos:
    """Clips of one grey each; a candidate that is damaged gives none."""

    damaged: tuple[int, ...] = ()
    labelled: bool = False
    name: str = "videos"
    fingerprint: str = "f" * 64
    rejected: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return 100

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [str(index) for index in indices]

    def clips(self, indices: Sequence[int]) -> Clips:
        good = [index for index in indices if index not in self.damaged]
        self.rejected += [Rejected(str(index), "damaged") for index in indices if index in self.damaged]
        pixels = torch.tensor(good, dtype=torch.uint8).reshape(-1, 1, 1, 1, 1).expand(-1, 4, 3, 8, 8)
        return Clips(pixels, tuple(good), tuple(index % 3 for index in good) if self.labelled else None)


def store(source: Videos, run: RunFolder, *spans: tuple[int, int], detectors: Any = (MEANS,)) -> list[tuple[int, int]]:
    return list(store_spans(source, detectors, run, spans, 2, lambda count: None))


def read(run: RunFolder, detector: Detector, count: int) -> Any:
    features = run.read_features(feature_key("f" * 64, detector.record()), count)
    assert features is not None
    return features


def test_a_range_with_gaps_is_told_once_when_all_of_it_is_stored(tmp_path: Path) -> None:
    run, keys = RunFolder(tmp_path), [feature_key("f" * 64, each.record()) for each in (MEANS, OTHER)]
    store(Videos(), run, (2, 4))
    store(Videos(), run, (5, 6), detectors=(OTHER,))
    told = []
    for span in store_spans(Videos(), (MEANS, OTHER), run, [(0, 8), (8, 10)], 2, lambda count: None):
        told.append(span)
        assert [run.lacking(FEATURES, key, span) for key in keys] == [[], []]
    assert told == [(0, 8), (8, 10)]
    assert [read(run, each, 10).indices for each in (MEANS, OTHER)] == [list(range(10))] * 2
    assert read(run, OTHER, 10).outputs["features"][:, 0].tolist() == list(range(10))


@pytest.mark.parametrize("labelled", [True, False])
def test_labels_and_what_was_damaged_are_kept_beside_features(tmp_path: Path, labelled: bool) -> None:
    run = RunFolder(tmp_path)
    assert store(Videos((1, 4, 5), labelled), run, (0, 4), (4, 8)) == [(0, 4), (4, 8)]
    found = read(run, MEANS, 8)
    assert found.indices == [0, 2, 3, 6, 7] and found.groups == ["0", "2", "3", "6", "7"]
    assert found.labels == ([0, 2, 0, 0, 1] if labelled else None)
    assert found.rejected == [Rejected(str(index), "damaged") for index in (1, 4, 5)]


def test_a_range_of_damaged_videos_is_stored_too(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert store(Videos((0, 1, 2, 3)), run, (0, 4), (4, 6)) == [(0, 4), (4, 6)]
    assert read(run, MEANS, 6).indices == [4, 5]


def test_previews_are_made_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    store(Videos(), run, (0, 4))
    [path] = (tmp_path / PREVIEWS / preview_key("f" * 64)).iterdir()
    before = path.stat().st_mtime_ns, path.stat().st_ino
    store(Videos(), run, (0, 4), detectors=(OTHER,))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@dataclass(frozen=True)
class Want:
    indices: list[int]


def test_nothing_more_is_asked_for_once_a_batch_has_failed(tmp_path: Path) -> None:
    """A range that is asked for is claimed: others would wait for it."""
    asked: list[int] = []

    def errands() -> Iterator[Want]:
        for index in range(8):
            asked.append(index)
            yield Want([index])

    def examine(indices: Sequence[int], given: Any, workers: Any) -> Any:
        if indices[0] == 2:
            raise ValueError("the third is none")
        return indices[0]

    def slow(indices: Sequence[int], given: Any, workers: Any) -> Any:
        time.sleep(0.1)
        return given

    stages, found = (Stage(examine, beside=False), Stage(slow, at_once=3)), []
    with pytest.raises(ValueError, match="the third is none"):
        for _, batch in run_stages(stages, errands(), 1):
            found.append(batch)
    assert found == [0, 1] and asked == [0, 1, 2]
