"""Metric classes: whatever the order, the batches, the merges and the processes, the value of all clips."""

from __future__ import annotations

import copy
import gc
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import latte_eval
from repository import ROOT
from torch import Tensor
from toy_networks import FRAME_OUTPUTS, FRAMES, ROWS, SIDE, mixed, of_clips, of_frames

from latte_eval import FID, FVD, KVD, VideoInceptionScore, named_protocol
from latte_eval.core.errors import ClipError, FeatureError, LatteEvalError, NotEnoughClips, UsageError
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation import metric_classes
from latte_eval.evaluation.batches import CHOSEN_BEFORE, FIELDS
from latte_eval.evaluation.lone_metric import LoneMetric
from latte_eval.evaluation.metric_classes import name_detector
from latte_eval.evaluation.packed_moments import add_rows, merge_moments, no_moments, unpack_moments
from latte_eval.files.lossy import jpeg_round_trip
from latte_eval.metrics import Moments, frechet_distance_between, kernel_distance, video_inception_score
from latte_eval.metrics.detectors.base import DETECTORS


class SmallFID(FID):
    dimensions = FRAME_OUTPUTS


TOYS = {FVD: "toy-i3d", KVD: "toy-i3d", SmallFID: "toy-inception", VideoInceptionScore: "toy-c3d"}
NEAR = {"rel": 1e-9, "abs": 1e-12}


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, row in ROWS.items():
        monkeypatch.setitem(DETECTORS.entries, name, row)
    yield


def clips(count: int, seed: int) -> Tensor:  # -> [N, T, H, W, 3] uint8
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, FRAMES, SIDE, SIDE, 3), generator=generator)
    return (pixels * (0.7 + 0.05 * seed) % 256).to(torch.uint8)


REAL, FAKE = clips(13, 1), clips(17, 2)


def make(kind: Any, **options: Any) -> Any:
    return kind(detector=TOYS[kind], frames=FRAMES, size=SIDE, **options)


def features(batch: Tensor, network: Callable[[Tensor], dict[str, Tensor]] = of_clips) -> np.ndarray:
    return network(batch.permute(0, 4, 1, 2, 3))["features"].flatten(0, -2).numpy()


def expected(kind: Any) -> float:
    """The value by the functions of `latte_eval.metrics`."""
    if kind is SmallFID:
        return frechet_distance_between(features(REAL, of_frames), features(FAKE, of_frames))
    if kind is VideoInceptionScore:
        pixels = FAKE.permute(0, 4, 1, 2, 3).flatten(1)
        return video_inception_score((20 * mixed(pixels, 101)).softmax(1))[0]
    return {FVD: frechet_distance_between, KVD: kernel_distance}[kind](features(REAL), features(FAKE))


def give(metric: Any, real: Tensor = REAL, fake: Tensor = FAKE, sizes: int = 100) -> Any:
    """All clips in batches; a score takes the fake ones."""
    for side in metric.sides:
        for batch in {"real": real, "fake": fake}[side].split(sizes):
            metric.update(**{side: batch})
    return metric


@pytest.mark.parametrize("kind", TOYS)
def test_the_value_is_that_of_all_clips_whatever_the_batches(kind: Any) -> None:
    for sizes in (100, 5, 1):
        value = give(make(kind), sizes=sizes).compute()
        assert value.dtype == torch.float64 and value.ndim == 0
        assert value.item() == pytest.approx(expected(kind), **NEAR)


@pytest.mark.parametrize("kind", [FVD, KVD])
def test_the_order_of_updates_does_not_matter(kind: Any) -> None:
    metric, order = make(kind), torch.randperm(13, generator=torch.Generator().manual_seed(0))
    metric.update(fake=FAKE[9:])
    metric.update(real=REAL[order[:4]], fake=FAKE[:9])
    metric.update(real=REAL[order[4:]])
    assert metric.compute().item() == pytest.approx(expected(kind), **NEAR)


def test_beyond_the_rows_that_are_kept_the_moments_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    many = clips(450, 3), clips(500, 4)
    kept = give(make(FVD), *many, sizes=200)
    direct = frechet_distance_between(*map(features, many))
    assert kept.compute().item() == pytest.approx(direct, **NEAR) and kept.interval()
    monkeypatch.setattr(metric_classes, "KEPT_BYTES", 200 * 1600)
    metric = give(make(FVD), *many, sizes=200)
    assert not metric.real_rows and not metric.fake_rows
    assert metric.compute().item() == pytest.approx(direct, **NEAR)
    with pytest.raises(FeatureError, match="kept as moments only"):
        metric.interval()


def test_moments_about_other_origins_are_merged_and_not_added() -> None:
    rows = np.random.default_rng(0).normal(1000, 1, (40, 6)).astype(np.float32)
    parts = [add_rows(no_moments(6), rows[:30]), no_moments(6), add_rows(no_moments(6), rows[30:])]
    found, whole = unpack_moments(merge_moments(torch.stack(parts))), Moments.from_features(rows)
    assert found.n == 40 and np.allclose(found.mean, whole.mean, rtol=1e-15)
    assert np.allclose(found.cov, whole.cov, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", TOYS)
def test_merged_copied_stored_and_reset(kind: Any) -> None:
    whole = expected(kind)
    one, other = (make(kind) for _ in range(2))
    give(other, REAL[:6], FAKE[:5])
    give(one, REAL[6:], FAKE[5:])
    stored = pickle.loads(pickle.dumps(one))
    one.merge_state(other)
    assert one.compute().item() == pytest.approx(whole, **NEAR)
    assert stored.clone().merge_state(other) is None
    stored.merge_state(other)
    assert stored.compute().item() == pytest.approx(whole, **NEAR)
    assert one.state_dict() == {}
    one.persistent(True)
    again = make(kind)
    again.load_state_dict(copy.deepcopy(one.state_dict()))
    again.persistent(True)
    assert set(again.state_dict()) == set(one.metric_state)
    give(one, REAL[:2], FAKE[:2])
    if kind is not VideoInceptionScore:
        assert one.compute().item() != pytest.approx(whole, **NEAR)
    one.reset()
    assert give(one).compute().item() == pytest.approx(whole, **NEAR)


@pytest.mark.parametrize("kind", [FVD, KVD, SmallFID])
def test_a_value_of_before_does_not_stay_after_clips_of_others_came(kind: Any) -> None:
    one, other = give(make(kind), REAL[6:], FAKE[5:]), give(make(kind), REAL[:6], FAKE[:5])
    before = one.compute()
    one.merge_state(other)
    assert one.compute().item() == pytest.approx(expected(kind), **NEAR) != before
    other.persistent(True)
    again = give(make(kind), REAL[2:], FAKE[2:])
    again.compute()
    again.load_state_dict(copy.deepcopy(other.state_dict()))
    assert again.compute() == other.compute()


def test_metrics_of_another_protocol_or_network_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = give(make(FVD))
    before = metric.compute()
    with pytest.raises(UsageError, match="under clean-4f-.* and clean-4f-.*: make both alike"):
        metric.merge_state(FVD(detector="toy-i3d", frames=FRAMES, size=2 * SIDE))
    monkeypatch.setitem(DETECTORS.entries, "toy-i3d-2", ROWS["toy-i3d"])
    with pytest.raises(UsageError, match="toy-i3d and toy-i3d-2: make both alike"):
        metric.merge_state(FVD(detector="toy-i3d-2", frames=FRAMES, size=SIDE))
    assert metric.compute() == before


def test_what_people_type_who_know_another_metric_is_answered() -> None:
    metric = give(make(FVD))
    with pytest.raises(UsageError, match=re.escape("update(real=clips), update(fake=clips) or both")):
        metric.update(REAL, real=True)
    with pytest.raises(UsageError, match="sise.*Did you mean size"):
        make(FVD, sise=3)
    with pytest.raises(ClipError, match=re.escape("x[:, None]")):
        FVD(detector="toy-i3d", frames=1, size=SIDE).update(real=REAL[:, 0])
    assert repr(metric) == f"FVD({metric.protocol.id}, toy-i3d)"


def test_the_real_side_is_kept_for_the_next_epoch() -> None:
    for kind in (FVD, KVD, SmallFID):
        metric = give(make(kind), REAL, clips(9, 5))
        metric.compute()
        metric.reset_fake()
        metric.update(fake=FAKE)
        assert metric.compute().item() == pytest.approx(expected(kind), **NEAR)


def test_forward_gives_the_value_of_the_batch_and_keeps_it() -> None:
    metric = give(make(FVD), REAL[:6], FAKE[:6])
    batch = metric(real=REAL[6:], fake=FAKE[6:])
    assert batch.item() == pytest.approx(frechet_distance_between(features(REAL[6:]), features(FAKE[6:])), **NEAR)
    assert metric.compute().item() == pytest.approx(expected(FVD), **NEAR)


def test_a_collection_of_torchmetrics_takes_them() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    metrics = torchmetrics.MetricCollection({"fvd": make(FVD), "kvd": make(KVD)})
    metrics.update(real=REAL[:7], fake=FAKE[:9])
    metrics.update(real=REAL[7:], fake=FAKE[9:])
    found = metrics.compute()
    assert set(found) == {"fvd", "kvd"}
    assert found["kvd"] == pytest.approx(kernel_distance(features(REAL), features(FAKE)), **NEAR)
    assert isinstance(metrics["fvd"], torchmetrics.Metric)
    assert metrics["fvd"].open() is metrics["kvd"].open()


def test_every_layout_and_normalized_floats_are_the_same_clips() -> None:
    for real, normalize in ((REAL.permute(0, 1, 4, 2, 3), False), (REAL / 255, True), (REAL.numpy() / 255, True)):
        metric = make(FVD, normalize=normalize)
        metric.update(real=real, fake=FAKE / 255 if normalize else FAKE)
        assert metric.compute().item() == pytest.approx(expected(FVD), **NEAR)


@pytest.mark.parametrize(
    ("kind", "batch", "told"),
    [
        (FVD, {"real": REAL / 255}, "real clips: torch.float32 from 0 to 0.749: .*or give normalize=True"),
        (FVD, {"real": REAL[:, :3]}, r"may be \[N, T, H, W, 3\] .* or \[N, 3, T, H, W\] .*; say which: layout='NTHWC'"),
        (FVD, {"real": REAL[:, :2]}, "the real clips have 2 frames, the protocol compares 4: frames=2 changes"),
        (FVD, {"fake": REAL[0, 0]}, "has 3 dimensions; clips have 5, a single one 4"),
        (FVD, {"real": FAKE[:0]}, "holds no videos"),
        (FVD, {}, "update takes clips"),
        (VideoInceptionScore, {"real": REAL}, "has no real side"),
    ],
)
def test_what_is_no_batch_is_refused_and_nothing_is_taken(kind: Any, batch: Any, told: str) -> None:
    metric = give(make(kind))
    before = metric.compute()
    with pytest.raises(LatteEvalError, match=told):
        metric.update(**batch)
    with pytest.raises(LatteEvalError, match=told):
        metric.update(**{"fake": FAKE, **batch}) if batch and "fake" not in batch else metric.update(**batch)
    assert metric.compute() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"detector": "toy-inception"}, "serves no fvd; its families: i3d"),
        ({"detector": "i3d-sedeed"}, "Did you mean i3d-seeded"),
        ({"detector": "toy-i3d", "real_stride": 3}, "real_stride changes no clip of a batch"),
        ({"detector": "toy-i3d", "protocol": "late"}, "Did you mean latte"),
        ({"detector": "toy-i3d", "frames": 0}, "must be at least 1"),
    ],
)
def test_what_no_batch_can_honour_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(LatteEvalError, match=told):
        FVD(**options)
    with pytest.raises((UsageError, ValueError), match="frmes"):
        FVD(detector="toy-i3d", frmes=4)


def test_too_few_clips_and_a_score() -> None:
    metric = make(FVD)
    metric.update(fake=FAKE, real=REAL[:1])
    with pytest.raises(NotEnoughClips, match="the real side has 1"):
        metric.compute()
    score = give(make(VideoInceptionScore, splits=2))
    assert score.compute() != expected(VideoInceptionScore) and score.interval() is None
    assert score.higher_is_better and not metric.higher_is_better


def test_a_protocol_gives_size_storage_divisor_and_frame_rule(recwarn: pytest.WarningsRecorder) -> None:
    protocol = named_protocol("stylegan-v").replace(frames=FRAMES, size=SIDE)
    metric = FVD(detector="toy-i3d", protocol=protocol, covariance="n-1")
    assert any("real_split=train, real_selection=sorted" in str(each.message) for each in recwarn.list)
    give(metric)
    stored = torch.from_numpy(np.stack([jpeg_round_trip(clip) for clip in REAL.numpy()]))
    direct = frechet_distance_between(features(stored), features(FAKE), ddof=1)
    assert metric.compute().item() == pytest.approx(direct, **NEAR)
    first = SmallFID(detector="toy-inception", frames=FRAMES, size=SIDE, frame_rule="first")
    give(first, REAL[:5], FAKE[:5])
    rows = [of_frames(each[:5].permute(0, 4, 1, 2, 3))["features"][:, 0].numpy() for each in (REAL, FAKE)]
    assert first.compute().item() == pytest.approx(frechet_distance_between(*rows), **NEAR)


def test_sums_stay_in_float64_and_where_a_device_lacks_it_they_stay_behind() -> None:
    metric = give(make(FVD))
    for moved in (metric.half(), metric.to(torch.float16), metric.to(torch.bfloat16)):
        assert moved.real_moments.dtype == torch.float64 and moved.real_rows[0].dtype == torch.float32

    def to_mps(tensor: Tensor) -> Tensor:
        if tensor.dtype == torch.float64:
            raise TypeError("the MPS framework doesn't support float64")
        return tensor.clone()

    metric._apply(to_mps)
    assert metric.compute().item() == pytest.approx(expected(FVD), **NEAR)


def test_the_network_goes_when_the_last_metric_does() -> None:
    metrics = [make(FVD, trust=True), make(KVD, trust=True)]
    key = ("toy-i3d", "cpu", True)
    assert metric_classes.OPENED[key] is metrics[0].open()
    metrics.clear()
    gc.collect()  # torchmetrics ties a metric to its own methods
    assert key not in metric_classes.OPENED


OF_THE_FIELD = {"skip_frames": 1, "crop": "resize-crop-ceil", "resample": "torch-bilinear", "rounding": "floor-shifted",
                "covariance": "n-1", "frame_rule": "mean"}  # fmt: skip


@pytest.mark.parametrize("fields", [{}, OF_THE_FIELD])
def test_the_command_line_gives_the_same_numbers(fields: dict[str, Any], tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    sides = {name: generator.integers(0, 256, (12, FRAMES, 20, 24, 3), np.uint8) for name in ("real", "fake")}
    for name, array in sides.items():
        (tmp_path / name).mkdir()
        for i, clip in enumerate(array):
            np.save(tmp_path / name / f"{i:02}.npy", clip)
    toys = [word for name in sorted(ROWS) for word in ("--detector", name)]
    known = {"frames": FRAMES, "size": SIDE, **fields}
    params = [word for name, value in known.items() for word in ("--param", f"{name}={value}")]
    done = latte_eval("evaluate", "--metrics", "fvd,kvd,fid,is", "--fake", tmp_path / "fake", "--real",
                      tmp_path / "real", *toys, *params, "--json", "--out", tmp_path / "run", "--quiet",
                      "--no-interval")  # fmt: skip
    results = [Result.from_json(line) for line in done.stdout.splitlines()]
    assert [result.metric for result in results] == ["fvd", "kvd", "fid", "is"], done.stderr
    for kind, result in zip(TOYS, results, strict=True):
        # Splits follow the order of clips, which is the folder's there: one split has none.
        metric = make(kind, **fields, **({"splits": 1} if kind is VideoInceptionScore else {}))
        for start, stop in ((0, 5), (5, 12)):
            metric.update(**{side: sides[side][start:stop] for side in metric.sides})
        assert (metric.metric, metric.protocol.id) == (result.metric, result.protocol)
        value = result.details.get("one_split", result.value)
        assert metric.compute().item() == pytest.approx(value, **NEAR)


def test_every_field_of_a_protocol_is_honoured_or_left_to_others() -> None:
    page = (ROOT / "docs/training.md").read_text()
    (honoured,) = re.findall(r"^- honoured: (.*?);$", page, re.MULTILINE | re.DOTALL)
    told = [*re.findall(r"`(.*?)`", honoured), *CHOSEN_BEFORE, "stem", "benchmark"]
    assert sorted(told) == sorted(FIELDS)


def test_the_usual_detector_stands_for_those_that_the_protocol_chooses() -> None:
    ported = named_protocol("tats")
    assert ported.i3d_eps == "1e-5"
    names = [name_detector("fvd", each, ported) for each in (None, "seeded", "i3d-seeded")]
    assert [DETECTORS[each].i3d_eps for each in names] == ["1e-5"] * 3
    assert [DETECTORS[each].seeded for each in names] == [False, True, True]
    with pytest.raises(UsageError, match="goes with i3d_eps=1e-5, not 1e-3"):
        name_detector("fvd", names[1], Protocol())


def test_without_torchmetrics_the_base_has_the_same_methods() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    assert issubclass(FVD, torchmetrics.Metric)
    names = ("add_state", "clone", "device", "forward", "merge_state", "metric_state", "persistent", "reset",
             "state_dict", "sync", "sync_context", "unsync")  # fmt: skip
    assert all(hasattr(each, name) for name in names for each in (LoneMetric, torchmetrics.Metric))


def test_a_layout_that_is_named_is_not_ambiguous() -> None:
    metric = FVD(detector="toy-i3d", frames=3, size=SIDE, layout="NTHWC")
    metric.update(real=REAL[:, :3], fake=FAKE[:, 1:])
    direct = frechet_distance_between(features(REAL[:, :3]), features(FAKE[:, 1:]))
    assert metric.compute().item() == pytest.approx(direct, **NEAR)


def test_a_wrong_batch_is_a_clip_error() -> None:
    with pytest.raises(ClipError, match="a clip is uint8 RGB"):
        make(FVD).update(real="clips.npy")
