"""The four tables: published, measured, and what does not compare; running what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as Invoked
from command_line import latte_eval
from dataset_makers import make_skytimelapse
from result_makers import SEEDED, make_result, write_results
from torch import Tensor

from latte_eval.cli import group
from latte_eval.compare.results import load_results, read_results
from latte_eval.compare.tables import cost_table, distance_tables, size_table
from latte_eval.core.errors import LatteEvalError, StoreError, UsageError
from latte_eval.core.notices import Notice
from latte_eval.evaluation import pipeline
from latte_eval.files.jsonl import append_lines
from latte_eval.metrics.detectors import Detector
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig


def run(*arguments: object) -> Invoked:
    return CliRunner().invoke(group, list(map(str, arguments)))


def fails(error: type[LatteEvalError], words: str, *arguments: object) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, error), done.output
    assert words in str(done.exception)


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4"])
def test_published_tables_print_in_every_format(name: str) -> None:
    for form in ("md", "latex", "csv", "json"):
        done = run(name, "--format", form)
        assert done.exit_code == 0 and done.stdout
    assert json.loads(run(name, "--format", "json").stdout)["tables"][0]["name"] == name
    assert run(name, "-h").output.rpartition("\n\n")[2].strip().startswith(f"Example: latte-eval {name}")


def test_tables_print_without_torch() -> None:
    code = "import sys; from latte_eval.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    for name in ("table1", "table2", "table3", "table4"):
        done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0 and done.stderr == "", done.stderr


def test_footnotes_point_at_what_users_measured() -> None:
    notes = " ".join(distance_tables("table2")[0].notes)
    for words in ("ucf101.pt about 190 (Vchitect/Latte#115)", "skytimelapse.pt 233.66", "328.20", "stride 3"):
        assert words in notes
    assert "about 97" in " ".join(distance_tables("table1")[0].notes)


def test_measured_rows_stand_beside_the_published_ones(tmp_path: Path) -> None:
    write_results(tmp_path / "a" / "results.jsonl", make_result("ucf101", value=200.0, interval=[190.0, 212.0]))
    write_results(tmp_path / "b" / "results.jsonl", make_result("faceforensics", value=30.5, interval=None, real=704))
    tables = json.loads(run("table2", "--results", tmp_path, "--format", "json").stdout)["tables"]
    assert [table["name"] for table in tables] == ["table2", "table2-measured"]
    ffs, ucf = tables[1]["rows"]
    assert (ucf["value"], ucf["low"], ucf["high"], ucf["checkpoint"]) == (200.0, 190.0, 212.0, "ucf101.pt")
    assert ffs["low"] is None and ffs["real"] == 704
    (latte,) = [row for row in tables[0]["rows"] if (row["method"], row["benchmark"]) == ("Latte", "ucf101")]
    assert (latte["kind"], latte["metric"], latte["value"]) == ("published", "fvd", 477.97)
    text = run("table2", "--results", tmp_path).stdout
    assert "[190.00, 212.00]" in text and "477.97" in text and "-277.97" in text and "-133.61" in text
    assert "-3.50" in text


def test_results_under_other_choices_are_shown_with_the_reason(tmp_path: Path) -> None:
    results = [
        make_result("taichi-hd", changes={"real_stride": 3}),
        make_result("ucf101", "clean"),
        make_result("skytimelapse", detector=SEEDED),
        make_result("faceforensics", fake=500),
        make_result("faceforensics", changes={"fake_clips": 64, "real_clips": 64}, fake=64, real=64),
    ]
    tables = distance_tables("table2", results)
    assert [table.name for table in tables] == ["table2", "table2-measured", "table2-not-comparable"]
    assert tables[1].rows == [] and "No result" in tables[1].notes[0]
    reasons = {(str(row["checkpoint"]), str(row["why"])) for row in tables[2].rows}
    assert ("taichi-hd.pt", "real_stride is 3, not 6") in reasons
    assert ("ucf101.pt", "real_storage is none, not jpeg75; fake_storage is none, not h264-crf5+jpeg75") in reasons
    assert ("skytimelapse.pt", "detector i3d-seeded is not the published one") in reasons
    assert ("ffs.pt", "500 fake clips, not 2,048") in reasons
    assert ("ffs.pt", "real_clips is 64, not 2048; fake_clips is 64, not 2048") in reasons


def test_other_sampler_settings_are_noted() -> None:
    sampler = {"method": "ddim", "steps": 50, "guidance_scale": 7.0, "clip_x0": False}
    measured = distance_tables("table2", [make_result("ucf101", sampler=sampler)])[1]
    assert measured.notes == [
        "ucf101.pt was sampled with method ddim (published: ddpm), steps 50 (published: 250)."
    ]  # fmt: skip


def test_a_grade_stands_beside_every_measured_number() -> None:
    record = {"name": "ucf101.pt", "sha256": "a" * 64, "weights": "ema", "assumed": ["variant=1"]}
    whole, part = make_result("ucf101", checkpoint=record), make_result("faceforensics", real=700)
    tables = distance_tables("table2", [whole, part, make_result("ucf101", detector=SEEDED)])
    assert [row["grade"] for row in tables[1].rows] == ["with care", "comparable"]
    assert [row["grade"] for table in tables[1:] for row in table.tidy] == ["with care", "comparable", "not comparable"]
    assert tables[1].notes == [
        "ffs.pt: 700 real clips, not 704: a few clips of the benchmark are missing.",
        "Assumed of ucf101.pt, whose file does not tell: variant=1.",
    ]


def test_results_of_other_metrics_and_datasets_stay_out() -> None:
    results = [make_result("ucf101", metric="is", value=70.0, interval=None), make_result("skytimelapse")]
    (measured,) = distance_tables("table1", results)[1:]
    assert [row["dataset"] for row in measured.rows] == ["UCF101 IS ↑"]
    assert measured.rows[0]["difference to Latte"] == pytest.approx(1.47)


def edited(changes: dict[str, Any]) -> str:
    return json.dumps({**make_result().to_record(), **changes}) + "\n"


@pytest.mark.parametrize(("line", "words"), [
    (edited({"schema": 2}), "newer than the 1 this version understands"),
    (edited({"value": 12.0}), "12.0 lies outside its own interval"),
    (edited({"protocol_fields": {**make_result().protocol_fields, "real_stride": 1}}), "was edited"),
    (edited({"protocol_fields": {**make_result().protocol_fields, "colour": 1}}), "'colour' is not known"),
    (edited({"better": "higher"}), "not the better direction of fvd"),
    (edited({"value": "300"}), "not a number"),
    ('{"a": 1}\n', "no schema"),
    ("\n", "holds no result yet"),
])  # fmt: skip
def test_a_results_file_that_was_cut_edited_or_is_newer(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "results.jsonl").write_text(line)
    fails(StoreError, words, "table2", "--results", tmp_path)


def test_a_digit_that_flipped_is_refused_and_a_line_without_digest_told(tmp_path: Path) -> None:
    file, line = tmp_path / "results.jsonl", make_result().to_json()
    file.write_text(line.replace('"value": 300.0', '"value": 301.0') + "\n")
    with pytest.raises(StoreError, match="results.jsonl line 1 is damaged or was edited: its digest"):
        load_results(tmp_path)
    file.write_text(json.dumps(make_result().to_record()) + "\n" + line + "\n")
    with pytest.warns(Notice, match="has 1 results of version 0.1, without a digest"):
        assert load_results(tmp_path) == [make_result()] * 2


@pytest.mark.parametrize("torn", [make_result().to_json()[:200], "hello"])
def test_a_line_that_was_cut_is_passed_over_and_said(tmp_path: Path, torn: str) -> None:
    (tmp_path / "results.jsonl").write_text(torn)
    with pytest.warns(Notice, match="results.jsonl line 1 is not a whole JSON line"):
        fails(StoreError, "holds no result yet", "table2", "--results", tmp_path)
    append_lines(tmp_path / "results.jsonl", [make_result().to_json()])
    with pytest.warns(Notice, match="results.jsonl line 1 is not a whole JSON line"):
        assert load_results(tmp_path) == [make_result()]


def test_results_that_are_not_there(tmp_path: Path) -> None:
    fails(StoreError, "does not exist", "table2", "--results", tmp_path / "absent")
    fails(StoreError, "holds no results.jsonl", "table2", "--results", tmp_path)


def test_table4_counts_the_models() -> None:
    counted = [row["measured"] for row in size_table(measure=True).rows]
    assert counted == [32_480_672, 129_547_040, 456_815_648, 673_681_568]


def test_table3_counts_in_both_ways_and_says_which_is_which() -> None:
    table = cost_table(measure=True)
    first, second, third, fourth = table.rows
    assert first["paper_way"] == second["paper_way"] == pytest.approx(5572.695048192)
    assert first["true"] == pytest.approx(3785.928, abs=1e-3)
    assert third["counted"] == 676_355_360 and third["paper_way"] == pytest.approx(6153.38, abs=0.01)
    assert fourth["flops"] is not None and abs(float(fourth["difference"])) > 1000  # type: ignore[arg-type]
    assert "the paper's way" in table.headings["paper_way"].text and "true" in table.headings["true"].text
    assert any("attention products included" in note for note in table.notes)


# --- running what is missing ---


def pooled(clips: Tensor) -> dict[str, Tensor]:  # [N, 3, T, H, W] uint8 -> [N, 12] float32
    return {"features": torch.nn.functional.adaptive_avg_pool3d(clips.float(), (1, 2, 2)).flatten(1)}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """Checkpoints, data and runs: SkyTimelapse in miniature, a small unconditional pixel-space checkpoint."""
    torch.manual_seed(0)
    config = LatteConfig(input_size=256, patch=128, channels=3, width=16, depth=2, heads=2, frames=16)
    (tmp_path / "ckpts").mkdir()
    torch.save(
        {"ema": Latte(config).state_dict(), "args": {"num_heads": config.heads}}, tmp_path / "ckpts" / "skytimelapse.pt"
    )
    make_skytimelapse(tmp_path / "data" / "sky_timelapse", side=64)
    detector = Detector(name="i3d", forward=pooled, weights=None, sha256="0" * 64)
    monkeypatch.setattr(pipeline, "open_detector", lambda *_, **__: detector)
    return tmp_path / "ckpts", tmp_path / "data", tmp_path / "runs"


def test_it_runs_what_is_missing_once_and_prints(folders: tuple[Path, Path, Path]) -> None:
    checkpoints, data, runs = folders
    arguments = ["table2", "--ckpt-dir", checkpoints, "--data-dir", data, "--results", runs, "--only", "skytimelapse",
                 "--clips", "3", "--steps", "2", "--vae", "identity", "--no-interval", "--device", "cpu"]  # fmt: skip
    done = latte_eval(*arguments)
    assert done.returncode == 0, done.stderr
    assert "0 of 1 are measured, 1 to run" in done.stderr
    assert "skytimelapse.pt" in done.stdout and "fake_clips is 3, not 2048" in done.stdout
    file = runs / "skytimelapse-fvd" / "results.jsonl"
    (result,) = read_results(file)
    assert result.protocol_fields["real_split"] == "train" and (result.fake, result.real) == (3, 3)
    assert "1 of 1 are measured, 0 to run" in latte_eval(*arguments).stderr
    assert len(read_results(file)) == 1
    assert "0 of 1 are measured" in latte_eval(*arguments, "--seed", "1").stderr


def test_what_is_not_there_is_named_before_anything_runs(folders: tuple[Path, Path, Path]) -> None:
    checkpoints, data, runs = folders
    arguments = ("table2", "--ckpt-dir", checkpoints, "--data-dir", data, "--results", runs)
    fails(UsageError, "--only skytimelapse for what is there", *arguments)
    fails(UsageError, f"{checkpoints / 'ucf101.pt'}, {data / 'ucf101'}", *arguments, "--only", "ucf101")
    fails(UsageError, "Did you mean ucf101", *arguments, "--only", "ucf11")
    fails(UsageError, "--data-dir is missing", "table2", "--ckpt-dir", checkpoints)
    fails(UsageError, "--only chooses what to run", "table2", "--only", "ucf101")
    assert not runs.exists()
