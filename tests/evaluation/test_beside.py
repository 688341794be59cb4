"""Batches beside each other give what one after the other gives; whatever fails comes out, and the threads end."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_makers import moving_frames, write_frames
from small_latte import small_latte
from torch import Tensor

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.core.clips import Clips
from latte_eval.core.errors import ClipError, MachineFault
from latte_eval.core.protocol import Protocol
from latte_eval.core.stages import Batch, Stage
from latte_eval.core.stops import check_stop
from latte_eval.evaluation.beside import run_stages
from latte_eval.evaluation.extract import extract
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.store_features import store_spans
from latte_eval.evaluation.stored import StoredSource, stages_of
from latte_eval.files.run_folder import RunFolder, shard_ranges
from latte_eval.metrics.detectors import Detector
from latte_eval.sampler import Checkpoint, IdentityCodec, SampledSource, SamplerSettings

WORKERS = (0, 1, 2, 4)


def pooled(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 48] float32
    return {"features": torch.nn.functional.adaptive_avg_pool3d(clips.float(), (1, 4, 4)).flatten(1)}


POOLED = Detector(name="pooled", forward=pooled, weights=None, sha256="0" * 64)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@dataclasses.dataclass
class Want:
    """An errand of a test."""

    indices: list[int]


@dataclasses.dataclass
class Staged:
    """A source of three stages with threads of their own; `at` is called in each with its name and the first index."""

    inner: ShapesSource
    at: Callable[[str, int], None] = lambda stage, index: None
    name: str = "staged"
    fingerprint: str = "f" * 64
    rejected: tuple[()] = ()

    def __len__(self) -> int:
        return len(self.inner)

    def groups(self, indices: Sequence[int]) -> list[str]:
        return self.inner.groups(indices)

    def clips(self, indices: Sequence[int]) -> Clips:
        return self.inner.clips(indices)

    def clip_stages(self) -> tuple[Stage, ...]:
        def stage(name: str, work: Callable[[Sequence[int], Any], Any], at_once: int = 1) -> Stage:
            def run(indices: Sequence[int], given: Any, workers: Any) -> Any:
                self.at(name, indices[0])
                return work(indices, given)

            return Stage(run, at_once=at_once)

        return (
            stage("sample", lambda indices, given: self.inner.clips(indices)),
            stage("decode", lambda indices, clips: clips, at_once=2),
            stage("store", lambda indices, clips: Batch(clips)),
        )


def folder_of_every_kind(root: Path) -> Path:
    """Ten videos: three are too short, one shows its damage in decoding."""
    for i in range(10):
        folder = root / "data" / f"{i}"
        write_frames(folder, moving_frames(4, 16, 16) // (i + 1))
        if i in (2, 3, 7):
            for picture in sorted(folder.iterdir())[1:]:
                picture.unlink()
        if i == 5:
            picture = sorted(folder.iterdir())[2]
            picture.write_bytes(picture.read_bytes()[:60])
    return root / "data"


def everything(source: Any, run: RunFolder, workers: int, batch_size: int) -> list[object]:
    """All that a run over a source leaves: features, what the source noted, and every file but its times."""
    said: list[int] = []
    (features,) = extract(source, [POOLED], run, batch_size=batch_size, workers=workers, on_clips=said.append)
    files = {str(path.relative_to(run.path)): path.read_bytes() for path in run.path.rglob("*.safetensors")}
    return [features.indices, features.groups, features.rejected, features.labels, list(source.rejected),
            features.outputs["features"].tobytes(), said, files]  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 3, 4, 32])
def test_a_folder_gives_the_same_with_any_number_of_workers(tmp_path: Path, batch_size: int) -> None:
    data = folder_of_every_kind(tmp_path)
    protocol = Protocol(frames=2, size=16, windows="all", real_selection="sorted", real_storage=("jpeg75",))
    found = []
    for workers in WORKERS:
        source = StoredSource(FolderSource.open(data, protocol, 0, "real"), protocol.real_storage)
        found.append(everything(source, RunFolder(tmp_path / str(workers)), workers, batch_size))
    assert len(found[0][0]) == 13 and len(found[0][4]) == 4  # type: ignore[arg-type]
    assert all(each == found[0] for each in found[1:])


def test_videos_that_are_examined_on_the_way_are_noted_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte_eval.benchmarks.readers.source.CHUNK", 2)
    data, protocol = folder_of_every_kind(tmp_path), Protocol(frames=4, size=16, real_selection="sorted")
    noted = []
    for workers in WORKERS:
        source = FolderSource.open(data, protocol, 0, "real", wanted=1)
        made = run_stages(stages_of(source), [Want([i]) for i in range(10)], workers)
        batches = [batch for _, batch in made if batch]
        noted.append(([batch.clips.indices for batch in batches], [batch.rejected for batch in batches],
                      list(source.rejected)))  # fmt: skip
    assert [each.path for each in noted[0][2]] == ["2", "3", "5", "7"]
    assert all(each == noted[0] for each in noted[1:])


@pytest.mark.parametrize("workers", WORKERS)
def test_a_fault_of_the_machine_keeps_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    for i in range(6):
        write_frames(tmp_path / "data" / f"{i}", moving_frames(2, 16, 16))
    protocol = Protocol(frames=2, size=16, real_selection="sorted")
    source, run = FolderSource.open(tmp_path / "data", protocol, 0, "real"), RunFolder(tmp_path / "run")
    read = FolderSource.read
    fault = MachineFault("no file handle is left")
    fault.add_note("raise ulimit -n")

    def failing(self: FolderSource, found: Any, pool: Any = None) -> Any:
        if 4 in found.known:
            raise fault
        return read(self, found, pool)

    monkeypatch.setattr(FolderSource, "read", failing)
    stored = []
    with pytest.raises(MachineFault) as caught:
        for span in store_spans(source, [POOLED], run, [(0, 2), (2, 4), (4, 6)], 2, lambda count: None, workers):
            stored.append(span)
    assert caught.value is fault and fault.__notes__ == ["raise ulimit -n"]
    assert stored == [(0, 2), (2, 4)] and len(list(run.path.rglob("features/*/*.safetensors"))) == 2


def sampled(beside: bool) -> Any:
    """A small checkpoint; with `beside` its stages have threads as on a GPU."""
    model = small_latte()
    settings, checkpoint = SamplerSettings("ddim", 3), Checkpoint("x.pt", Path("x.pt"), "a" * 64, 1, {}, "ema")
    source = SampledSource(checkpoint, model, IdentityCodec(), settings, 9)
    if beside:
        stages = tuple(dataclasses.replace(each, beside=True) for each in source.clip_stages())
        source.clip_stages = lambda: stages  # type: ignore[method-assign]
    return StoredSource(source, ("jpeg75",))


def test_sampling_in_its_own_thread_gives_the_same_bits(tmp_path: Path) -> None:
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = [
            everything(sampled(workers > 1), RunFolder(tmp_path / str(workers)), workers, 2) for workers in WORKERS
        ]
    assert all(each == found[0] for each in found[1:])


@pytest.mark.parametrize("stage", ["sample", "decode", "store", "detect"])
def test_whatever_fails_stops_the_rest_and_comes_out_as_it_is(tmp_path: Path, stage: str) -> None:
    """The sampler would take a minute for every batch after the one that fails."""
    error = ClipError(f"{stage} failed")
    failed = threading.Event()

    def at(where: str, index: int) -> None:
        if where == stage and index == 8:
            failed.set()
            raise error
        if where == "sample" and index > 8:
            for _ in range(6000):
                check_stop()
                time.sleep(0.01)

    def forward(clips: Tensor) -> dict[str, Tensor]:
        seen.append(len(clips))
        if len(seen) == 5:
            at("detect", 8)
        return pooled(clips)

    seen: list[int] = []
    detector, run = dataclasses.replace(POOLED, forward=forward), RunFolder(tmp_path)
    source, started = Staged(ShapesSource(40), at), time.perf_counter()
    spans = [(0, 4), (4, 8), (8, 40)]
    with pytest.raises(ClipError) as caught:
        list(store_spans(source, [detector], run, spans, 2, lambda count: None))
    assert caught.value is error and failed.is_set() and time.perf_counter() - started < 5
    assert len(list(tmp_path.rglob("features/*/*.safetensors"))) == 2


@pytest.mark.parametrize("where", ["waiting", "closed"])
def test_an_interrupt_and_an_early_end_leave_no_thread(tmp_path: Path, where: str) -> None:
    def at(stage: str, index: int) -> None:
        for _ in range(6000 if stage == "sample" and index else 0):
            check_stop()
            time.sleep(0.01)

    def interrupt(count: int) -> None:
        if where == "waiting":
            raise KeyboardInterrupt

    made = store_spans(Staged(ShapesSource(8), at), [POOLED], RunFolder(tmp_path), [(0, 2), (2, 8)], 2, interrupt)
    if where == "waiting":
        with pytest.raises(KeyboardInterrupt):
            next(made)
    else:
        assert next(made) == (0, 2)
        made.close()  # type: ignore[attr-defined]


def test_ranges_are_asked_for_when_they_are_about_to_be_sampled(tmp_path: Path) -> None:
    """No more than one range is waiting for the first stage, and batches on their way are bounded."""
    given: list[int] = []
    sampled: list[int] = []
    seen: list[int] = []
    ahead: list[tuple[int, int]] = []

    def spans() -> Iterator[tuple[int, int]]:
        for span in shard_ranges((0, 320)):
            ahead.append((len(given) - len(sampled), len(given) - len(seen)))
            given.append(span[0])
            yield span

    def at(stage: str, index: int) -> None:
        if stage == "sample":
            sampled.append(index)
        time.sleep(0.01)

    source = Staged(ShapesSource(320), at)
    for _ in store_spans(source, [POOLED], RunFolder(tmp_path), spans(), 32, lambda count: seen.append(count)):
        pass
    assert given == sampled and len(given) == 10
    assert max(waiting for waiting, _ in ahead) == 0 and 2 <= max(on_their_way for _, on_their_way in ahead) <= 5


def test_ranges_that_cannot_be_given_end_the_run_after_those_before(tmp_path: Path) -> None:
    def spans() -> Iterator[tuple[int, int]]:
        yield from [(0, 2), (2, 4)]
        raise MachineFault("the claim cannot be written")

    stored = []
    with pytest.raises(MachineFault, match="claim"):
        for span in store_spans(Staged(ShapesSource(8)), [POOLED], RunFolder(tmp_path), spans(), 2, lambda count: None):
            stored.append(span)
    assert stored == [(0, 2), (2, 4)]


def test_a_source_of_others_is_asked_by_one_thread_and_never_beside_a_detector(tmp_path: Path) -> None:
    """Detectors set switches of the process, such as TF32, under which a generator would make other clips."""
    threads, busy = set(), threading.Lock()

    @dataclasses.dataclass(frozen=True)
    class Plain(ShapesSource):
        def clips(self, indices: Sequence[int]) -> Clips:
            threads.add(threading.get_ident())
            with busy:
                time.sleep(0.002)
                return super().clips(indices)

    def forward(clips: Tensor) -> dict[str, Tensor]:
        assert busy.acquire(blocking=False)
        time.sleep(0.002)
        busy.release()
        return pooled(clips)

    detector, source = dataclasses.replace(POOLED, forward=forward), StoredSource(Plain(20), ("jpeg75",))
    extract(source, [detector], RunFolder(tmp_path), batch_size=2, workers=4)
    assert threads == {threading.get_ident()}


def test_what_is_stored_already_is_told_in_its_turn(tmp_path: Path) -> None:
    run, order = RunFolder(tmp_path), []
    list(store_spans(Staged(ShapesSource(12)), [POOLED], run, [(4, 8)], 2, lambda count: None))
    spans = [(0, 4), (4, 8), (8, 12)]
    for span in store_spans(Staged(ShapesSource(12)), [POOLED], run, spans, 2, order.append):
        order.append(span)
    assert order == [2, 2, (0, 4), 4, (4, 8), 2, 2, (8, 12)]
    features = run.read_features(next(iter(tmp_path.glob("features/*"))).name, 12, None)
    assert features is not None and np.array_equal(features.indices, range(12))


def test_workers_are_as_asked_or_as_many_as_there_are_cores_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cores in (1, 4, 64):
        monkeypatch.setattr("latte_eval.evaluation.request.cores_of_process", lambda cores=cores: cores)
        found.append([Request(ckpt="demo", device=device).worker_count for device in ("cpu", "cuda:1")])
    assert found == [[1, 1], [1, 3], [1, 8]]
    assert Request(ckpt="demo", device="cuda", workers=0).worker_count == 0


READING = """
import os, sys, threading
from types import SimpleNamespace

import torch
from latte_eval.benchmarks.readers import FolderSource
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.beside import run_stages
from latte_eval.evaluation.stored import StoredSource, stages_of

def threads_of_libraries():
    return set(map(int, os.listdir("/proc/self/task"))) - {each.native_id for each in threading.enumerate()}

torch.set_num_threads(2)
protocol = Protocol(frames=4, size=96, windows="all", real_selection="sorted")
source = StoredSource(FolderSource.open(sys.argv[1], protocol, 0, "real"), ("jpeg75",))
known = threads_of_libraries()
for errand, batch in run_stages(stages_of(source), [SimpleNamespace(indices=range(2))] * 3, workers=2):
    assert len(batch.clips) == 2
    print(len(threads_of_libraries() - known))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell the threads of a process")
def test_what_reads_clips_takes_no_threads_from_the_detector(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / name, moving_frames(4, 96, 96))
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"] * 3
