"""`compare` and `explain`: what differs between two results, and what each choice is worth on the clips."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as Invoked
from media_makers import moving_frames, write_lossless, write_video
from result_makers import I3D, SEEDED, make_result, replaced, write_results
from torch import Tensor

from latte_eval.cli import group
from latte_eval.compare.comparable import differences
from latte_eval.compare.explain import changeable, difference_table, explaining, pair_results
from latte_eval.compare.lineup import align, compare_table
from latte_eval.core.errors import LatteEvalError, NotComparable, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation import pipeline
from latte_eval.evaluation import remeasure as explain_measure
from latte_eval.evaluation.remeasure import Effect, difference, effects_table, measure_effects, open_bench
from latte_eval.evaluation.request import Request
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics import Moments
from latte_eval.metrics.detectors import Detector

A, B = "a.jsonl", "b.jsonl"


def run(*arguments: object) -> Invoked:
    return CliRunner().invoke(group, list(map(str, arguments)))


# --- compare ---


def test_results_line_up_by_benchmark_metric_and_protocol() -> None:
    first = [make_result("ucf101", value=300.0), make_result("skytimelapse", value=60.0, interval=None)]
    second = [make_result("skytimelapse", value=64.5, interval=None), make_result("ucf101", "clean", value=290.0)]
    rows = align([first, second])
    assert [(row.benchmark, [len(results) for results in row.results]) for row in rows] == [
        ("ucf101", [1, 0]), ("skytimelapse", [1, 1]), ("ucf101", [0, 1]),
    ]  # fmt: skip
    table = compare_table([A, B], [first, second])
    assert table.rows[1]["difference 1"] == 4.5 and "difference 1" not in table.rows[0]
    (note,) = table.notes
    assert "not comparable" in note and "real_storage jpeg75 and none" in note


def test_older_results_and_other_detectors_are_noted() -> None:
    first = [make_result(value=301.0), make_result(value=300.0)]
    table = compare_table([A, B], [first, [make_result(detector=SEEDED)]])
    assert table.rows[0]["value 0"] == 300.0
    assert any("newest of 2 results" in note for note in table.notes)
    assert any("not comparable, measured with i3d and i3d-seeded" in note for note in table.notes)


def test_compare_on_the_command_line(tmp_path: Path) -> None:
    a = write_results(tmp_path / A, make_result(value=300.0))
    b = write_results(tmp_path / B, make_result(value=310.0))
    assert "+10.00" in run("compare", a, b).stdout
    (record,) = json.loads(run("compare", a, b, "--format", "json").stdout)["tables"]
    assert [(row["file"], row["value"], row["difference"]) for row in record["rows"]] == [
        (str(a), 300.0, None), (str(b), 310.0, 10.0),
    ]  # fmt: skip
    assert isinstance(run("compare", a).exception, UsageError)


# --- what differs ---


def test_every_differing_field_is_listed_and_nothing_else() -> None:
    first = make_result("taichi-hd", sampler={"steps": 250, "method": "ddpm"})
    checkpoint = {"name": "x.pt", "sha256": "e" * 64, "weights": "ema"}
    second = make_result("taichi-hd", changes={"real_stride": 3}, sampler={"steps": 50, "method": "ddpm"}, real=1900,
                         detector=SEEDED, checkpoint=checkpoint)  # fmt: skip
    found = {(each.part, each.field): each.values for each in differences(first, second)}
    assert found == {
        ("protocol", "real_stride"): (6, 3),
        ("counts", "real clips"): (2048, 1900),
        ("detector", "name"): ("i3d", "i3d-seeded"),
        ("detector", "sha256"): ("b" * 64, "c" * 64),
        ("detector", "comparable"): (True, False),
        ("detector", "agreement"): (1e-6, None),
        ("checkpoint", "name"): ("taichi-hd.pt", "x.pt"),
        ("checkpoint", "sha256"): ("a" * 64, "e" * 64),
        ("sampler", "steps"): (250, 50),
    }
    assert differences(first, first) == []


def test_a_fingerprint_tells_of_other_files_only_under_one_protocol() -> None:
    other = {"name": "/data/ucf101", "fingerprint": "0" * 64, "rejected": 0, "videos": 2048}
    same = explaining(make_result(), make_result(real_source=other))
    assert [(each.part, each.field) for each in same] == [("data", "real fingerprint")]
    changed = explaining(make_result(), make_result("ucf101", "clean", real_source=other))
    assert {each.part for each in changed} == {"protocol"}


def test_the_table_points_at_public_reports_and_at_noise() -> None:
    table = difference_table(make_result(value=300.0), make_result(value=305.0, interval=[295.0, 315.0]))
    assert table.title.endswith("+5.00")
    notes = " ".join(table.notes)
    assert "Every recorded field is the same" in notes and "overlap" in notes and "Vchitect/Latte#138" in notes
    apart = difference_table(make_result(), make_result(value=400.0, interval=[390.0, 410.0]))
    assert any("lie apart" in note for note in apart.notes)


@pytest.mark.parametrize("name", ["tats", "videogpt", "digan", "pvdm", "cd-fvd", "mcvd"])
def test_protocols_of_the_field_are_explained(name: str) -> None:
    """Every field that keeps the two apart stands there with its reason, and whose numbers each stands beside."""
    first, second = make_result("ucf101"), make_result("ucf101", name)
    table = difference_table(first, second)
    differing = Protocol.from_dict(first.protocol_fields).differing_fields(Protocol.from_dict(second.protocol_fields))
    told = {row["field"]: row for row in table.rows if row["part"] == "protocol"}
    assert set(told) == set(differing) - {"stem"} and len(told) >= 5
    assert all(row["weight"] == "decides" and row["why"] for row in told.values())
    assert any(note.startswith("latte is the protocol beside Latte's Table 2") for note in table.notes)
    assert any(note.startswith(f"{name} is the protocol beside ") for note in table.notes)


def test_pairs_share_a_metric() -> None:
    fid = make_result("faceforensics", metric="fid", value=5.0, interval=None)
    fvd = make_result("faceforensics")
    assert pair_results([fvd, fid], [fid]) == [(fid, fid)]
    with pytest.raises(NotComparable, match="first has fvd, the second fid"):
        pair_results([fvd], [fid])
    with pytest.raises(UsageError, match="Did you mean fvd"):
        pair_results([fvd], [fvd], "fvdd")


# --- what each choice is worth ---


def test_storage_differs_step_by_step() -> None:
    first, second = (Protocol(real_storage=("jpeg75",), fake_storage=("h264-crf5", "jpeg75")), Protocol(real_stride=3))
    choices = changeable(first, second, fakes_can_be_read=True)
    assert [(choice.name, choice.values) for choice in choices] == [
        ("real_stride", (1, 3)), ("real JPEG", ("yes", "no")),
        ("fake mp4", ("yes", "no")), ("fake JPEG", ("yes", "no")),
    ]  # fmt: skip
    assert choices[2].apply(first).fake_storage == ("jpeg75",)
    changed = first
    for choice in choices:
        changed = choice.apply(changed)
    assert changed == second
    back = changeable(second, first, fakes_can_be_read=True)
    assert back[2].apply(back[3].apply(second)).fake_storage == ("h264-crf5", "jpeg75")


def test_stored_features_fix_the_fake_side() -> None:
    first, second = Protocol(), Protocol(fake_stride=2, fake_storage=("jpeg75",), frames=32, fake_clips=9, crop="none")
    names = [choice.name for choice in changeable(first, second, fakes_can_be_read=False)]
    assert names == ["fake_clips", "crop"]


@pytest.mark.parametrize(("sampled", "names"), [(True, ["crop"]), (False, [])])
def test_stored_features_of_videos_depend_on_how_they_were_read(sampled: bool, names: list[str]) -> None:
    first, second = Protocol(), Protocol(crop="none", size=64)
    choices = changeable(first, second, fakes_can_be_read=False, fakes_were_sampled=sampled)
    assert [choice.name for choice in choices] == names


def test_what_is_made_of_features_can_be_changed_without_clips() -> None:
    first, second = Protocol(), Protocol(covariance="n-1", frame_rule="mean", fid_resize="clean")
    names = [choice.name for choice in changeable(first, second, fakes_can_be_read=False, fakes_were_sampled=False)]
    assert names == ["covariance", "frame_rule"]  # another resize takes another detector


def test_the_unbiased_covariance_is_numpys() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 4))
    moments = Moments.from_features(rows)
    np.testing.assert_allclose(moments.covariance(1), np.cov(rows.T), atol=1e-12)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), atol=1e-12)


def pooled(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 12] float32
    """Colours of the four corners: enough to see strides, offsets and storage."""
    return {"features": torch.nn.functional.adaptive_avg_pool3d(clips.float(), (1, 2, 2)).flatten(1)}


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Folders of real and fake videos, and a cheap detector in place of the I3D."""
    for i in range(6):
        frames = moving_frames(40 + i, 32, 44) // (1 + i % 3) + 10 * i
        write_lossless(tmp_path / ("real" if i < 4 else "fake") / f"{i}.mkv", frames.astype(np.uint8))
    for i in range(2):
        write_lossless(tmp_path / "fake" / f"more{i}.mkv", moving_frames(40, 32, 44)[::-1] // (2 + i))
    detector = Detector(name="i3d", forward=pooled, weights=None, sha256="0" * 64)
    monkeypatch.setattr(pipeline, "open_detector", lambda *_, **__: detector)
    monkeypatch.setattr(explain_measure, "open_detector", lambda *_, **__: detector)
    return tmp_path / "real", tmp_path / "fake"


def measured(real: Path, fake: Path, out: Path, *params: str, **fields: int) -> Result:
    params = ("frames=9", "size=16", *params)
    request = Request(fake=fake, real=real, out=out, params=params, interval=False, **fields)  # type: ignore[arg-type]
    return pipeline.evaluate(request)[0]


def bench_of(result: Result, tmp_path: Path, fake: Path | None = None, **fields: object) -> explain_measure.Bench:
    request = Request(metrics=("fvd",), **fields)  # type: ignore[arg-type]
    file = tmp_path / "a" / "results.jsonl"
    return open_bench(result, file, request, fake, None, RunFolder(tmp_path / "features"), Reporter())


def test_effects_are_those_that_evaluate_would_measure(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    changes = {"real_stride": "real_stride=3", "real JPEG": "real_storage=jpeg75", "crop": "crop=resize-crop",
               "real_offset": "real_offset=zero", "fake_stride": "fake_stride=2", "fake JPEG": "fake_storage=jpeg75",
               "real_clips": "real_clips=3"}  # fmt: skip
    first = measured(*clips, tmp_path / "a")
    alone = {name: measured(*clips, tmp_path / "b", param) for name, param in changes.items()}
    second = measured(*clips, tmp_path / "b", *changes.values())
    effects = {each.name: each for each in measure_effects(bench_of(first, tmp_path), first, second, [0])}
    assert {name for name in effects if name in changes} == set(changes)
    for name, result in alone.items():
        assert effects[name].changes == pytest.approx([result.value - first.value], abs=1e-6)
        assert abs(effects[name].changes[0]) > 1e-3, name
    together = effects["all of these together"].changes[0]
    assert together == pytest.approx(second.value - first.value, abs=1e-6)
    assert effects["covariance"].changes[0] != 0
    text = effects_table(list(effects.values()), first, second)
    assert [row["choice"] for row in text.rows][-1] == "as reported" and len(text.notes) == 1


def test_what_the_decoder_moves_is_measured(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    """decord converts ten bits in another way."""
    pytest.importorskip("decord")
    for i in range(8):
        frames = moving_frames(20, 32, 44) // (1 + i % 4) + 8 * i
        write_video(tmp_path / "ten" / ("real" if i < 4 else "fake") / f"{i}.mkv", frames.astype(np.uint8), "libx264",
                    "yuv420p10le")  # fmt: skip
    sides = tmp_path / "ten" / "real", tmp_path / "ten" / "fake"
    first, second = measured(*sides, tmp_path / "a"), measured(*sides, tmp_path / "b", "decoder=decord")
    effects = {each.name: each for each in measure_effects(bench_of(first, tmp_path), first, second, [0])}
    assert effects["decoder"].changes == pytest.approx([second.value - first.value], abs=1e-6)
    assert abs(effects["decoder"].changes[0]) > 1e-4 and effects["decoder"].values == ("pyav", "decord")


def test_what_is_left_by_rounding_reads_as_nothing() -> None:
    assert difference(6.1, 6.1 * (1 + 2e-15)) == 0 and difference(6.1, 6.0) == pytest.approx(0.1)
    alike, opposed = (Effect("x", ("", ""), each) for each in ((0.373, 0.373 + 1e-15), (-0.5, 0.5 + 1e-16)))
    assert alike.spread == 0 and alike.mean == pytest.approx(0.373) and Effect("x", ("", ""), (0.0, 0.0)).spread == 0
    assert opposed.mean == 0 and opposed.spread == pytest.approx(0.5**0.5)


def test_the_spread_is_over_seeds(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    first, second = (measured(*clips, tmp_path / "a", "real_clips=3", f"real_stride={n}") for n in (1, 3))
    effects = {each.name: each for each in measure_effects(bench_of(first, tmp_path), first, second, [0, 1, 2])}
    stride, noise = effects["real_stride"], effects["another seed of subset and offset"]
    assert len(stride.changes) == 3 and stride.spread is not None and stride.spread > 0
    assert noise.mean == pytest.approx(0, abs=1e-9) and noise.spread is not None and noise.spread > 0
    assert "all of these together" not in effects


def test_a_choice_that_cannot_be_measured_says_why(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    first, second = measured(*clips, tmp_path / "a"), measured(*clips, tmp_path / "b", "real_storage=jpeg75")
    too_long = replaced(second, protocol_fields={**second.protocol_fields, "real_stride": 30})
    effects = measure_effects(bench_of(first, tmp_path), first, too_long, [0])
    (stride,) = (each for each in effects if each.name == "real_stride")
    assert stride.changes == () and "too short" in str(stride.problem)
    table = effects_table(effects, first, too_long)
    assert any("too short" in note for note in table.notes) and table.rows[0]["change"] is None


def test_stored_features_serve_where_the_clips_are_gone(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    real, fake = clips
    first = measured(real, fake, tmp_path / "a")
    second = measured(real, fake, tmp_path / "b", "real_stride=2", "fake_stride=2")
    for path in fake.iterdir():
        path.unlink()
    fake.rmdir()
    effects = {each.name: each for each in measure_effects(bench_of(first, tmp_path), first, second, [0])}
    assert set(effects) == {"real_stride", "covariance", "another seed of subset and offset"}
    alone = effects["real_stride"].changes[0]
    assert alone != 0
    table = effects_table(list(effects.values()), first, second)
    assert any("not measured: protocol fake_stride 1 -> 2" in note for note in table.notes)
    for shard in (tmp_path / "a" / "features").rglob("*.safetensors"):
        shard.unlink()
    with pytest.raises(UsageError, match="give --fake DIR"):
        bench_of(first, tmp_path)


def test_what_cannot_be_measured_again(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    real, fake = clips
    first = measured(real, fake, tmp_path / "a")
    gone = replaced(first, real_source={**(first.real_source or {}), "name": "/nowhere"})
    with pytest.raises(UsageError, match="real clips are not at /nowhere: give --real DIR"):
        bench_of(gone, tmp_path)
    assert bench_of(gone, tmp_path, real=real)
    with pytest.raises(UsageError, match="clips themselves"):
        bench_of(first, tmp_path, real=tmp_path / "real.safetensors")
    with pytest.raises(UsageError, match="fvd, fid, cd-fvd, fd-dinov2, not is"):
        bench_of(dataclasses.replace(make_result(metric="is", value=70.0, interval=None)), tmp_path)
    other = make_result("skytimelapse", detector=I3D)
    with pytest.raises(NotComparable, match="first is on none, the second on skytimelapse"):
        measure_effects(bench_of(first, tmp_path), first, other, [0])


def test_explain_on_the_command_line(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    measured(*clips, tmp_path / "a")
    measured(*clips, tmp_path / "b", "real_stride=3", "real_storage=jpeg75")
    arguments = ("explain", tmp_path / "a", tmp_path / "b" / "results.jsonl", "--format", "json")
    (record,) = json.loads(run(*arguments).stdout)["tables"]
    assert [row["field"] for row in record["rows"]] == ["real_stride", "real_storage"]
    done = run(*arguments, "--measure", "--seeds", "2", "--out", tmp_path / "f", "--device", "cpu", "--clips", "3")
    tables = json.loads(done.stdout)["tables"]
    assert {row["kind"] for row in tables[1]["rows"]} == {"measured"}
    assert [row["field"] for row in tables[1]["rows"]] == [
        "real_stride", "real JPEG", "all of these together", "covariance", "another seed of subset and offset",
        "as reported",
    ]  # fmt: skip
    assert all(row["change"] is not None for row in tables[1]["rows"])
    assert isinstance(run("explain", tmp_path / "a", tmp_path / "absent").exception, LatteEvalError)
    assert run("explain", "-h").output.rpartition("\n\n")[2].strip().startswith("Example: latte-eval explain")


def test_the_base_is_the_distance_that_evaluate_measured(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    result = measured(*clips, tmp_path / "a")
    protocol = Protocol.from_dict(result.protocol_fields)
    assert bench_of(result, tmp_path).distance(protocol, 0) == pytest.approx(result.value, rel=1e-9)
