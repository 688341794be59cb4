"""Value over time: order, commits, who accepted, protocols apart, and ten thousand results."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

from command_line import latte_eval
from result_makers import make_result, write_results

from latte_eval.core.result import Result
from latte_eval.gate.accepted import accept
from latte_eval.gate.history import history_tables, read_entries


def step(day: int, **changes: Any) -> Result:
    value = 300.0 - day
    code = {"version": "0.1.0", "commit": f"{day:02d}" + "c" * 38, "dirty": False}
    return make_result(value=value, interval=[value - 5, value + 5], started=f"2026-11-{day:02d}T10:00:00Z",
                       code=code, **changes)  # fmt: skip


def test_accepted_and_measured_in_order_of_time(tmp_path: Path) -> None:
    runs = [write_results(tmp_path / f"{day}.jsonl", step(day)) for day in (12, 10, 11)]
    accept(runs[1], tmp_path / "accepted.jsonl", "looks | right", who="Ada")
    done = latte_eval("history", tmp_path / "accepted.jsonl", *runs, "--format", "json")
    (table,) = json.loads(done.stdout)["tables"]
    assert [row["value"] for row in table["rows"]] == [290.0, 289.0, 288.0]
    assert [row["why"] for row in table["rows"]] == ["looks | right", None, None]
    assert table["rows"][0]["accepted_by"] == "Ada" and table["rows"][1]["commit"].startswith("11cccccccccc")


def test_formats(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results.jsonl", step(10), step(11))
    text = latte_eval("history", path).stdout
    assert text.startswith("**FVD ↓ over time, latte-ucf101") and "[285.00, 295.00]" in text
    rows = list(csv.DictReader(io.StringIO(latte_eval("history", tmp_path, "--format", "csv").stdout)))
    assert [row["value"] for row in rows] == ["290.0", "289.0"]
    assert (rows[0]["metric"], rows[0]["low"], rows[0]["high"]) == ("fvd", "285.0", "295.0")


def test_a_row_of_csv_says_which_metric_and_protocol_it_is_of(tmp_path: Path) -> None:
    path = write_results(tmp_path / "r.jsonl", step(10), step(11, metric="fid"), step(12, changes={"real_stride": 1}))
    rows = list(csv.DictReader(io.StringIO(latte_eval("history", path, "--format", "csv").stdout)))
    assert len({(row["metric"], row["protocol"]) for row in rows}) == len(rows) == 3


def test_protocols_are_kept_apart_and_it_is_said(tmp_path: Path) -> None:
    path = write_results(tmp_path / "r.jsonl", step(10), step(11, changes={"real_stride": 1}))
    tables = history_tables(read_entries([path]))
    assert [len(table.rows) for table in tables] == [1, 1]
    assert "kept apart" in latte_eval("history", path).stdout


def test_bad_input(tmp_path: Path) -> None:
    path = write_results(tmp_path / "r.jsonl", step(10))
    assert "Did you mean fvd" in latte_eval("history", path, "--metric", "fdv").stderr
    assert latte_eval("history", path, "--metric", "is").stdout == "no results yet\n"
    assert latte_eval("history", tmp_path / "none.jsonl").returncode == 5
    (tmp_path / "empty.jsonl").touch()
    done = latte_eval("history", path, tmp_path / "empty.jsonl")
    assert done.stderr == f"Note: {tmp_path / 'empty.jsonl'} holds no result\n" and "no results" not in done.stdout
    with path.open("a") as file:
        file.write('{"schema": 1, "metr')
    done = latte_eval("history", path)
    assert done.returncode == 0 and "r.jsonl line 2 is not a whole JSON line" in done.stderr
    assert done.stderr.startswith("Note: ") and done.stdout == latte_eval("history", path).stdout


def test_ten_thousand_results(tmp_path: Path) -> None:
    line = json.dumps(step(10).to_record())
    lines = [line.replace("2026-11-10T10", f"{2000 + i % 100}-01-01T{i % 24:02d}").replace("290.0", f"290.{i:05d}")
             for i in range(10_000)]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("\n".join(lines) + "\n")
    started = time.perf_counter()
    (table,) = history_tables(read_entries([tmp_path / "r.jsonl"]))
    assert len(table.rows) == 10_000
    assert [row["when"] for row in table.rows] == sorted(str(row["when"]) for row in table.rows)
    assert time.perf_counter() - started < 30


def accept_often(run: Path, into: Path, who: str) -> None:
    for n in range(25):
        accept(run, into, f"{who} {n}", who=who)


def test_two_jobs_at_once_lose_nothing(tmp_path: Path) -> None:
    run, into = write_results(tmp_path / "results.jsonl", step(10)), tmp_path / "accepted.jsonl"
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=accept_often, args=(run, into, who)) for who in ("Ada", "Bob")]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    whys = [json.loads(line)["accepted"]["why"] for line in into.read_text().splitlines()]
    assert sorted(whys) == sorted(f"{who} {n}" for who in ("Ada", "Bob") for n in range(25))


def test_each_result_says_how_it_stands_to_the_accepted_one(tmp_path: Path) -> None:
    fewer = step(12, real=64)
    runs = [write_results(tmp_path / f"{i}.jsonl", each) for i, each in enumerate((step(10), step(11), fewer))]
    accept(runs[0], tmp_path / "accepted.jsonl", "the first", who="Ada")
    files = tmp_path / "accepted.jsonl", *runs
    rows = list(csv.DictReader(io.StringIO(latte_eval("history", *files, "--format", "csv").stdout)))
    assert [row["grade"] for row in rows] == ["comparable", "comparable", "not comparable"]
    assert rows[2]["reasons"] == "64 real clips, not 2,048"
    said = "is not comparable with ucf101.pt, accepted last: 64 real clips, not 2,048."
    assert said in latte_eval("history", *files).stdout
