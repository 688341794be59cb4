"""`latte-eval metrics` knows every row, and each row says what a person has to know."""

from __future__ import annotations

import json

from command_line import latte_eval

from latte_eval.metrics.rows import METRICS


def test_every_metric_is_listed_with_what_it_sees() -> None:
    done = latte_eval("metrics")
    assert done.returncode == 0
    for row in METRICS.rows():
        assert f"{row.name}: {row.title}; {row.better} is better" in done.stdout
        assert row.sees and row.golden and row.sees in done.stdout
    assert "prdc: precision, recall, density, coverage together" in done.stdout


def test_it_is_told_to_machines_too() -> None:
    lines = [json.loads(line) for line in latte_eval("metrics", "--json").stdout.splitlines()]
    assert [line["metric"] for line in lines] == list(METRICS)
    by_name = {line["metric"]: line for line in lines}
    assert by_name["cd-fvd"]["detector"] == "videomae" and "TFLOP" in by_name["cd-fvd"]["cost"]
    assert by_name["fid"]["licence"] == "Apache-2.0" and by_name["is"]["needs_real"] is False
    assert "videomae" in by_name["recall"]["other_detectors"]
