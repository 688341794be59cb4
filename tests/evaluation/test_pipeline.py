"""The road from clips to a result: shards, resume, batch size, what a result says."""

from __future__ import annotations

import dataclasses
import errno
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from media_makers import moving_frames, write_frames
from torch import Tensor

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.shapes.sources import NoiseSource, ShapesSource
from latte_eval.compare.results import read_results
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import ClipError, NotEnoughClips, StoreError
from latte_eval.core.notices import Notice
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.demo import evaluate_demo
from latte_eval.evaluation.extract import extract
from latte_eval.evaluation.pipeline import evaluate
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.stored import StoredSource
from latte_eval.files.run_folder import SHARD_CLIPS, RunFolder, shard_ranges
from latte_eval.metrics.detectors import Detector


def pooled(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 48] float32
    return {"features": torch.nn.functional.adaptive_avg_pool3d(clips.float(), (1, 4, 4)).flatten(1)}


POOLED = Detector(name="pooled", forward=pooled, weights=None, sha256="0" * 64)


@dataclasses.dataclass
class Recorded:
    """A source that counts what it is asked for, and fails or rejects on request."""

    inner: ShapesSource
    asked: list[int] = dataclasses.field(default_factory=list)
    rejected: list[Rejected] = dataclasses.field(default_factory=list)
    dies_at: int | None = None
    unreadable: tuple[int, ...] = ()
    name: str = "recorded"

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    def __len__(self) -> int:
        return len(self.inner)

    def clips(self, indices: Sequence[int]) -> Clips:
        if self.dies_at in indices:
            raise KeyboardInterrupt
        self.asked += indices
        bad = [i for i in indices if i in self.unreadable]
        self.rejected += [Rejected(f"clip{i}", "unreadable") for i in bad]
        good = [i for i in indices if i not in bad]
        if not good:
            return Clips(torch.zeros(0, 16, 3, 16, 16, dtype=torch.uint8), ())
        return self.inner.clips(good)

    def groups(self, indices: Sequence[int]) -> list[str]:
        return self.inner.groups(indices)


def test_ranges_cover_every_clip_once() -> None:
    for count in (1, SHARD_CLIPS, SHARD_CLIPS + 1, 100):
        covered = [i for start, stop in shard_ranges((0, count)) for i in range(start, stop)]
        assert covered == list(range(count))


def test_a_killed_run_continues_and_gives_the_same_features(tmp_path: Path) -> None:
    (whole,) = extract(ShapesSource(80), [POOLED], RunFolder(tmp_path / "whole"))
    source = Recorded(ShapesSource(80), dies_at=70)
    with pytest.raises(KeyboardInterrupt):
        extract(source, [POOLED], RunFolder(tmp_path / "killed"))
    source.dies_at, first = None, list(source.asked)
    (resumed,) = extract(source, [POOLED], RunFolder(tmp_path / "killed"))
    assert np.array_equal(resumed.outputs["features"], whole.outputs["features"])
    again = source.asked[len(first) :]
    assert min(again) == 2 * SHARD_CLIPS and resumed.groups == whole.groups
    assert not list((tmp_path / "killed").rglob("*.partial"))


def test_a_further_detector_needs_only_its_own_features(tmp_path: Path) -> None:
    run, source = RunFolder(tmp_path), Recorded(ShapesSource(10))
    other = dataclasses.replace(POOLED, name="other", sha256="1" * 64)
    extract(source, [POOLED], run)
    source.asked.clear()
    extract(source, [POOLED], run)
    assert source.asked == []
    extract(source, [POOLED, other], run)
    assert source.asked == list(range(10))


def test_unreadable_candidates_are_replaced_by_the_next_ones(tmp_path: Path) -> None:
    source = Recorded(ShapesSource(60), unreadable=(3, 7))
    (features,) = extract(source, [POOLED], RunFolder(tmp_path), wanted=40)
    assert len(features) == 40 and features.indices == [i for i in range(42) if i not in (3, 7)]
    assert {each.path for each in features.rejected} == {"clip3", "clip7"}
    (again,) = extract(Recorded(ShapesSource(60)), [POOLED], RunFolder(tmp_path), wanted=40)
    assert again.indices == features.indices and len(again.rejected) == 2


def test_a_batch_without_a_readable_clip_is_no_error(tmp_path: Path) -> None:
    source = Recorded(ShapesSource(40), unreadable=tuple(range(32)))
    (features,) = extract(source, [POOLED], RunFolder(tmp_path))
    assert features.indices == list(range(32, 40))


def test_too_few_clips_names_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughClips, match=r"gives 10 clips, 12 were asked for.*--clips 10"):
        extract(ShapesSource(10), [POOLED], RunFolder(tmp_path), wanted=12)
    with pytest.raises(NotEnoughClips, match=r"9 clips \(1 could not be used\), 10"):
        extract(Recorded(ShapesSource(10), unreadable=(1,)), [POOLED], RunFolder(tmp_path), wanted=10)
    with pytest.raises(NotEnoughClips, match="at least 2"):
        extract(ShapesSource(1), [POOLED], RunFolder(tmp_path))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 64
    path.write_bytes(data)


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    run, source = RunFolder(tmp_path), Recorded(ShapesSource(80))
    (whole,) = extract(source, [POOLED], run)
    source.asked.clear()
    flip(next(tmp_path.glob("features/*/000032-000064.safetensors")))
    with pytest.warns(Notice, match="000032-000064.safetensors is damaged.*: it is made again"):
        (again,) = extract(source, [POOLED], run)
    assert source.asked == list(range(32, 64)) and not list(tmp_path.rglob("*.partial"))
    assert np.array_equal(whole.outputs["features"], again.outputs["features"])
    flip(next(tmp_path.glob("features/*/000032-000064.safetensors")))
    with pytest.warns(Notice, match="is damaged"):  # a run of fewer clips has other shards: the damaged one goes too
        (fewer,) = extract(source, [POOLED], run, wanted=40)
    assert np.array_equal(whole.outputs["features"][:40], fewer.outputs["features"])


def test_a_shard_that_cannot_be_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract(ShapesSource(4), [POOLED], RunFolder(tmp_path))
    flip(next(tmp_path.glob("features/*/*.safetensors")))

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="000000-000004.safetensors cannot be used, nor deleted"):
        extract(ShapesSource(4), [POOLED], RunFolder(tmp_path))


@dataclasses.dataclass
class Named(Recorded):
    """A source whose candidates have names: those of `files`, without the ones that are away."""

    away: tuple[int, ...] = ()

    @property
    def files(self) -> list[int]:
        return [number for number in range(len(self.inner)) if number not in self.away]

    def __len__(self) -> int:
        return len(self.files)

    def clips(self, indices: Sequence[int]) -> Clips:
        found = super().clips([self.files[index] for index in indices])
        return dataclasses.replace(found, indices=tuple(indices))

    def identities(self, indices: Sequence[int]) -> list[str]:
        return [f"file {self.files[index]}" if index < len(self.files) else "" for index in indices]


def test_features_of_other_clips_are_made_again(tmp_path: Path) -> None:
    (right,) = extract(Named(ShapesSource(40)), [POOLED], RunFolder(tmp_path / "right"))
    run = RunFolder(tmp_path / "run")
    extract(Named(ShapesSource(40), away=(33, 34, 35)), [POOLED], run)
    source = Named(ShapesSource(40))
    with pytest.warns(Notice, match=r"000032-000037.* holds other clips: 4 of 5, such as file 36 for file 33"):
        (found,) = extract(source, [POOLED], run)
    assert min(source.asked) == 32  # the first shard holds the same clips
    assert np.array_equal(found.outputs["features"], right.outputs["features"])


def test_features_that_do_not_say_which_clips_they_are_of_are_made_again(tmp_path: Path) -> None:
    extract(Recorded(ShapesSource(8)), [POOLED], RunFolder(tmp_path))
    source = Named(ShapesSource(8))
    with pytest.warns(Notice, match="does not say which clips it holds"):
        extract(source, [POOLED], RunFolder(tmp_path))
    assert source.asked == list(range(8))
    extract(source, [POOLED], RunFolder(tmp_path))
    assert source.asked == list(range(8))


def test_a_folder_of_which_files_were_away_gives_what_it_gives_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run of an earlier version left it: it rejected files that could not be read for a moment."""
    for i in range(6):
        write_frames(tmp_path / "data" / str(i), moving_frames(4, 16, 16) // (i + 1))
    protocol = Protocol(frames=4, size=16, real_selection="sorted")

    def folder() -> FolderSource:
        return FolderSource.open(tmp_path / "data", protocol, 0, "real")

    (right,) = extract(folder(), [POOLED], RunFolder(tmp_path / "right"))
    windows_of = FolderSource.windows_of
    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "windows_of", lambda source, entry: (
            ClipError("cannot be read") if entry.path in "14" else windows_of(source, entry)))  # fmt: skip
        (fewer,) = extract(folder(), [POOLED], RunFolder(tmp_path / "run"))
    assert len(fewer) == 4 and folder().fingerprint
    with pytest.warns(Notice, match=r"holds other clips: 3 of 4, such as 2 0-3/1 \w{16} for 1 0-3/1 \w{16}"):
        (found,) = extract(folder(), [POOLED], RunFolder(tmp_path / "run"))
    assert np.array_equal(found.outputs["features"], right.outputs["features"]) and found.groups == right.groups
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract(StoredSource(folder(), ()), [POOLED], RunFolder(tmp_path / "run"))


def test_features_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    parts = [extract(ShapesSource(9), [POOLED], RunFolder(tmp_path / str(b)), batch_size=b)[0] for b in (1, 4, 9)]
    for other in parts[1:]:
        assert np.array_equal(parts[0].outputs["features"], other.outputs["features"])


def demo_request(folder: Path, **changes: object) -> Request:
    return dataclasses.replace(Request(ckpt="demo", clips=4, steps=3, out=folder, interval=False), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A small evaluation of the demo checkpoint."""
    return evaluate(demo_request(tmp_path_factory.mktemp("run")))[0]


def test_the_value_does_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    (small,) = evaluate(demo_request(tmp_path / "a", batch_size=3))
    (large,) = evaluate(demo_request(tmp_path / "b", batch_size=4))
    assert large.value == pytest.approx(small.value, rel=1e-6)


def test_a_result_says_what_it_is_and_is_appended(tmp_path: Path) -> None:
    (result,) = evaluate(demo_request(tmp_path))
    assert read_results(tmp_path / "results.jsonl") == [result]
    assert result.protocol.startswith("demo-shapes-16f") and result.protocol_sha256[:8] in result.protocol
    assert result.checkpoint and len(result.checkpoint["sha256"]) == 64
    assert result.seeds == [0, 3] and result.fake == result.real == 4
    assert not result.detector["comparable"] and "not comparable" in str(result.note)
    assert result.sampler and result.sampler["steps"] == 3
    for key in ("version", "commit", "dirty"):
        assert key in result.code
    for key in ("torch", "cuda", "gpu", "world"):
        assert key in result.env
    arithmetic = result.env["arithmetic"]
    assert (arithmetic["tf32"], arithmetic["autocast"], arithmetic["detectors"]) == (False, [], "float32")
    assert arithmetic["matmul_precision"] == "highest" and arithmetic["attention"]
    assert arithmetic["deterministic_algorithms"] is False and "tf32" in arithmetic["process"]


class Told(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_the_demo_keeps_one_result_however_often_it_is_run(tmp_path: Path) -> None:
    """That of the checkpoint; the other rows of its table are in its details."""
    reporter = Told()
    first, again = (evaluate_demo(demo_request(tmp_path), reporter)[0] for _ in range(2))
    assert read_results(tmp_path / "results.jsonl") == [first] and first.value == again.value
    assert [row["row"] for row in first.details["table"]][1] == "trained checkpoint"
    said = f"fvd: {tmp_path}/results.jsonl holds this result already; nothing was added"
    assert [text for text in reporter.said if "holds this" in text] == [said]


def test_another_seed_gives_another_value(result: Result, tmp_path: Path) -> None:
    assert evaluate(demo_request(tmp_path, seed=1))[0].value != result.value


def test_noise_is_a_function_of_seed_and_index() -> None:
    first, second = NoiseSource(4).clips([0, 1, 2, 3]), NoiseSource(4).clips([2])
    assert torch.equal(first.pixels[2], second.pixels[0])


def test_results_refuse_what_they_cannot_understand(result: Result) -> None:
    line = result.to_json()
    record = json.loads(line)
    for bad, words in (
        (line[:100], "cut or edited"),
        (json.dumps({**record, "schema": 99}), "newer"),
        (json.dumps({**record, "value": "12"}), "not a number"),
        (json.dumps({**record, "extra": 1}), "unknown"),
        ("[]", "no schema"),
    ):
        with pytest.raises(StoreError, match=words):
            Result.from_json(bad)
    with pytest.raises(StoreError, match="never written"):
        dataclasses.replace(result, value=float("nan"))
