"""Machine formats: a row a result or published entry, in columns that docs/formats.md names."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import latte_eval
from many_processes import environment
from repository import ROOT
from result_makers import make_result, write_results

from latte_eval.core.result import Result

PAGE = (ROOT / "docs/formats.md").read_text()


def documented(section: str) -> list[str]:
    """The columns of a section of the page; `result` stands for those of every result."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    names = [name for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(.*?)`", cell)]
    return [each for name in names for each in (documented("Every result") if name == "result" else [name])]


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, list[str | Path]]:
    """Commands of each section on two runs with results of two metrics."""
    runs: list[str | Path] = []
    for i in range(2):
        scores = make_result(metric="is", better="higher", value=70.0 + i, interval=None, real=0, real_source=None)
        changed = make_result("taichi-hd", changes={"real_stride": 3 + i}, value=200.0 + i, interval=[190.0, 210.0])
        runs.append(write_results(tmp_path / f"{i}/results.jsonl", make_result(value=300.0 + i), scores, changed))
    return {
        "table1 and table2": ["table2", "--results", tmp_path], "table3": ["table3"],
        "table3 --measure": ["table3", "--measure"], "table4": ["table4"], "table4 --measure": ["table4", "--measure"],
        "compare": ["compare", *runs], "history": ["history", *runs], "explain": ["explain", *runs],
    }  # fmt: skip


SECTIONS = ("table1 and table2", "table3", "table3 --measure", "table4", "table4 --measure", "compare", "history",
            "explain")  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_the_header_is_as_documented(section: str, arguments: dict[str, list[str | Path]]) -> None:
    text = latte_eval(*arguments[section], "--format", "csv").stdout
    header, *rows = list(csv.reader(io.StringIO(text)))
    assert header == documented(section) and rows and all(len(row) == len(header) for row in rows)
    assert len(set(map(tuple, rows))) == len(rows)
    tables = json.loads(latte_eval(*arguments[section], "--format", "json").stdout)["tables"]
    assert [list(row) for table in tables for row in table["rows"]] == [header] * len(rows)


def test_the_fields_of_a_result_are_as_documented() -> None:
    assert documented("results.jsonl") == [*(field.name for field in dataclasses.fields(Result)), "digest"]


def test_compare_names_the_files_and_the_detector(arguments: dict[str, list[str | Path]]) -> None:
    rows = list(csv.DictReader(io.StringIO(latte_eval(*arguments["compare"], "--format", "csv").stdout)))
    assert {row["file"] for row in rows} == {str(path) for path in arguments["compare"][1:]}
    assert [row["difference"] for row in rows if row["metric"] == "is"] == ["", "1.0"]


def test_a_table_of_published_and_measured_numbers_says_which_is_which(
    arguments: dict[str, list[str | Path]],
) -> None:
    rows = list(csv.DictReader(io.StringIO(latte_eval(*arguments["table1 and table2"], "--format", "csv").stdout)))
    assert {row["kind"] for row in rows} == {"published", "measured", "not comparable"}
    assert all(row["value"] and row["benchmark"] and row["metric"] == "fvd" for row in rows)
    assert all(row["why"] for row in rows if row["kind"] == "not comparable")


def test_a_parquet_file_holds_what_csv_prints(arguments: dict[str, list[str | Path]], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pip install 'latte-eval[parquet]'")
    import pandas

    command = [sys.executable, "-m", "latte_eval", *map(str, arguments["compare"]), "--format", "parquet"]
    done = subprocess.run(command, capture_output=True, check=True, env=environment())
    frame = pandas.read_parquet(io.BytesIO(done.stdout))
    rows = list(csv.DictReader(io.StringIO(latte_eval(*arguments["compare"], "--format", "csv").stdout)))
    assert list(frame) == list(rows[0]) and len(frame) == len(rows)
    assert frame["value"].to_list() == [float(row["value"]) for row in rows]


def test_without_pyarrow_the_extra_is_named(
    arguments: dict[str, list[str | Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = latte_eval(*arguments["compare"], "--format", "parquet")
    assert done.returncode == 2 and "pip install 'latte-eval[parquet]'" in done.stderr and not done.stdout
