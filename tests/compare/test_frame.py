"""`results_frame`: columns as documented, whatever the results hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import latte_eval
from repository import ROOT
from result_makers import make_result, write_results

from latte_eval import load_results, results_frame
from latte_eval.baselines.frames import records_to_parquet
from latte_eval.compare.frame import column_dtypes
from latte_eval.core.errors import StoreError
from latte_eval.core.notices import Notice
from latte_eval.report.series import results_to_series

PAGE = (ROOT / "docs/dashboards.md").read_text()
FOLDER = {"checkpoint": None, "sampler": None, "seeds": None, "interval": None, "real": 0, "real_source": None}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    trained = {"name": "0100.pt", "run": "train", "sha256": "a" * 64, "weights": "ema", "iteration": 100}
    write_results(tmp_path / "b/results.jsonl", make_result(checkpoint=trained), make_result(value=305.0))
    write_results(tmp_path / "a/deep/results.jsonl", make_result(metric="is", better="higher", **FOLDER))
    return tmp_path


@pytest.mark.parametrize("place", ["", "**/results.jsonl", "*/**/*.jsonl"])
def test_a_row_a_result_in_typed_columns(runs: Path, place: str) -> None:
    frame = results_frame(f"{runs}/{place}")
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == column_dtypes()
    assert frame["metric"].to_list() == ["is", "fvd", "fvd"] and frame["value"].to_list() == [300.0, 300.0, 305.0]
    assert frame["step"].isna().to_list() == [True, False, True] and frame["step"][1] == 100
    assert frame["low"].isna().to_list() == [True, False, False] and frame["real"].isna().to_list()[0]
    assert frame["checkpoint"].isna().to_list() == [True, False, False]
    assert frame["checkpoint"][1] == "train/0100.pt" and frame["fake_source"][0] == "ucf101.pt"
    assert str(frame["started"][0]) == "2026-11-20 19:00:00+00:00"
    assert frame["protocol.real_stride"].to_list() == [3, 3, 3]
    assert set(frame["protocol.fake_storage"]) == {"h264-crf5+jpeg75"} and frame["steps"][1] == 250
    assert frame[frame["metric"] == "fvd"].groupby("protocol")["value"].mean().to_list() == [302.5]


def test_the_columns_are_as_documented() -> None:
    (text,) = re.findall(r"^\| column \| dtype \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    told = {}
    for line in text.splitlines()[2:]:
        if line:
            names, dtype = line.split(" | ")[:2]
            told |= dict.fromkeys(re.findall(r"`(.*?)`", names), dtype.strip(" |`"))
    assert told == column_dtypes()


def test_several_places_and_each_file_once(runs: Path) -> None:
    assert len(results_frame(runs / "a", runs)) == 3
    assert len(results_frame([runs / "a", f"{runs}/b/*.jsonl"])) == 3


def test_a_cut_line_is_passed_over_and_a_damaged_one_refused(runs: Path) -> None:
    file = runs / "b/results.jsonl"
    text = file.read_text()
    file.write_text(text[:-40])
    with pytest.warns(Notice, match=r"results.jsonl line 2 .*passed over"):
        assert len(results_frame(runs)) == 2
    file.write_text(text.replace("305.0", "205.0"))
    with pytest.raises(StoreError, match=r"b/results.jsonl line 2"):
        results_frame(runs)


@pytest.mark.parametrize("place", ["none*/results.jsonl", "absent", "a/empty"])
def test_nothing_there_is_said(runs: Path, place: str) -> None:
    (runs / "a/empty").mkdir()
    with pytest.raises(StoreError, match=place.replace("*", r"\*")):
        results_frame(f"{runs}/{place}")
    with pytest.raises(StoreError, match="nothing to read"):
        results_frame([])


def test_a_name_that_is_no_utf8_is_marked(tmp_path: Path) -> None:
    side = {"name": "na\udcffme", "fingerprint": "f" * 64, "rejected": 0, "videos": 3}
    write_results(tmp_path / "results.jsonl", make_result(fake_source=side, **{**FOLDER, "metric": "fvd"}))
    assert results_frame(tmp_path)["fake_source"].to_list() == ["na\N{REPLACEMENT CHARACTER}me"]
    for words in (["compare", tmp_path, tmp_path, "--format", "html"], ["card", tmp_path]):
        assert latte_eval(*words).returncode == 0
    (series,) = results_to_series(load_results(tmp_path))
    assert series.name.encode() and records_to_parquet([{"a": side["name"]}], ["a"])
