"""Metrics side by side: places, contradictions beyond noise, and what does not compare is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from command_line import latte_eval
from matplotlib.figure import Figure
from report_makers import pages_of
from result_makers import make_result, replaced, write_results

from latte_eval.core.result import Result
from latte_eval.report.disagreement import disagreement, preference
from latte_eval.report.runs import Evaluated

RECALL = {"metric": "recall", "better": "higher", "interval": None}


def result(name: str, value: float, error: float | None = 1.0, **fields: Any) -> Result:
    made = make_result(**{"interval": None, **fields})
    checkpoint = {**(made.checkpoint or {}), "name": name, "sha256": name * 8}
    return replaced(made, value=value, standard_error=error, checkpoint=checkpoint)


def evaluated(name: str, fvd: float, recall: float, error: float = 0.01, **fields: Any) -> Evaluated:
    results = [result(name, fvd, **fields), result(name, recall, error, **RECALL, **fields)]
    return Evaluated(Path(name), {each.metric: each for each in results})


def test_places_and_contradictions() -> None:
    found = disagreement([evaluated("a.pt", 90, 0.4), evaluated("b.pt", 100, 0.6), evaluated("c.pt", 120, 0.2)])
    assert found and found.metrics == ["fvd", "recall"]
    assert found.places("fvd") == [1, 2, 3] and found.places("recall") == [2, 1, 3]
    assert list(found.opposed()) == [("fvd", "recall", 1)]
    assert found.sentences() == ["FVD and RECALL order 1 of 3 pairs the other way round, each by more than its noise."]
    chart = found.chart()
    assert "FVD" in chart and "c.pt" in chart and "place" in chart


def test_noise_is_no_contradiction() -> None:
    found = disagreement([evaluated("a.pt", 90, 0.40, error=0.2), evaluated("b.pt", 100, 0.41, error=0.2)])
    assert found and not list(found.opposed()) and "may be chance" in found.sentences()[0]
    assert preference(result("a", 1.0), result("b", 9.0)) == 1
    assert preference(result("a", 9.0), result("b", 1.0)) == -1
    assert preference(result("a", 1.0, None), result("b", 9.0)) == 0


def test_what_does_not_compare_is_left_out() -> None:
    base = evaluated("a.pt", 90, 0.4)
    assert disagreement([base]) is None
    assert disagreement([base, evaluated("b.pt", 90, 0.4, changes={"real_stride": 5})]) is None
    assert disagreement([base, evaluated("a.pt", 91, 0.5)]) is None  # the same checkpoint again
    many = [evaluated(f"{i}.pt", 90 + i, 0.4) for i in range(7)]
    found = disagreement(many)
    assert found and [name for name, _ in found.rows] == [each.name for each in many[:4]]


def test_one_metric_alone_agrees_with_itself() -> None:
    base, other = evaluated("a.pt", 90, 0.4), evaluated("b.pt", 100, 0.6)
    only = [Evaluated(each.folder, {"fvd": each.results["fvd"]}) for each in (base, other)]
    assert disagreement(only) is None and disagreement([base, only[1]]) is None


def test_equal_values_share_a_place_and_the_best_stands_on_top() -> None:
    found = disagreement([evaluated("a.pt", 90, 0.4), evaluated("b.pt", 90, 0.6), evaluated("c.pt", 80, 0.2)])
    assert found and found.places("fvd") == [2, 2, 1]
    figure = Figure()
    found.paint(figure)
    assert figure.axes[0].yaxis_inverted()


def test_the_picture_stands_on_the_index(tmp_path: Path) -> None:
    for i, each in enumerate([evaluated("a.pt", 90, 0.4), evaluated("b.pt", 100, 0.6)]):
        lines = [replaced(one, started=f"2026-11-2{i}T00:00:00Z") for one in each.results.values()]
        write_results(tmp_path / f"run{i}" / "results.jsonl", *lines)
    done = latte_eval("report", tmp_path / "run0", tmp_path / "run1", "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 0, done.stderr
    page = pages_of(tmp_path / "report")["index.html"]
    assert "Do the metrics agree?" in page and "order 1 of 1 pairs" in page and "Places by metric" in page
