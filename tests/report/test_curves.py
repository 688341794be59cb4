"""Curves of a report over checkpoints and time."""

from __future__ import annotations

import pytest
from report_makers import POINTS, all_text, drawn_points, texts

from latte_eval.report.curves import DRAWN, Curve, Point, Reference, curve, thinned


def test_a_curve_says_whether_the_last_is_best() -> None:
    found = curve("fvd", "lower", POINTS[::-1], [Reference("Latte", 20.0), Reference("accepted 2026", 15, True)])
    assert [each.x for each in found.points] == sorted(each.x for each in POINTS)
    assert found.sentences()[0].endswith("the best of 9 values.")
    assert "accepted 2026: 15.00." in found.sentences()
    assert {"Latte, 20.00", "accepted 2026, 15.00"} <= texts(found.chart())
    near = curve("is", "higher", [Point("a", 1, 9.0), Point("b", 2, 8.9, 8.5, 9.3)])
    assert "not sure" in near.sentences()[0]
    assert "not sure" not in curve("is", "higher", [Point("a", 1, 9.9), Point("b", 2, 8.9, 8.5, 9.3)]).sentences()[0]


def test_ten_thousand_points_stay_light_and_keep_their_spikes() -> None:
    points = [Point(f"{i}.pt", i, 50 + (i % 7), 40.0, 60.0) for i in range(10_000)]
    points[7003] = Point("bad.pt", 7003, 500.0)
    shown = thinned(points, DRAWN)
    assert len(shown) <= DRAWN and points[7003] in shown and shown[0] == points[0] and shown[-1] == points[-1]
    found = curve("fvd", "lower", points)
    assert len(found.chart() or "") < 60_000 and len(found.table().rows) <= 41
    assert "10,000 values" in found.sentences()[-1] and "10,000" in found.table().notes[0]


def test_training_runs_are_lines_of_their_own() -> None:
    points = [Point(f"{run} {i}", i, 50.0 - i, run=run) for run in ("a", "b") for i in range(4)]
    found = curve("fvd", "lower", points, [Reference("Latte", 48.0)])
    assert list(found.runs) == ["b", "a"] and [len(each) for each in found.runs.values()] == [4, 4]
    assert {"a", "b", "Latte, 48.00"} <= texts(found.chart())
    one = curve("fvd", "lower", points[:4])
    assert one.named_runs == 0 and "training runs" not in " ".join(one.sentences())


def test_ten_thousand_training_runs_stay_light() -> None:
    found = curve("fvd", "lower", [Point(str(i), i, 50.0 + i % 7, run=f"run {i}") for i in range(10_000)])
    assert 1000 < len(found.chart() or "") < 60_000
    assert "The 60 newest of 10,000 training runs are drawn over each other." in found.sentences()


def test_levels_far_off_are_named_and_not_drawn() -> None:
    found = curve("fvd", "lower", POINTS, [Reference("near", 90.0), Reference("far", 5000.0)])
    assert [each.label for each in found.levels] == ["near"]
    assert "far" not in all_text(found.chart()) and "Not drawn: far (5,000.00)." in found.sentences()
    assert {"near", "far"} <= {str(row["label"]) for row in found.table().rows}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 2])
def test_one_value_and_two_of_one_iteration(count: int) -> None:
    same: Curve = curve("kvd", "lower", [Point("a", 5.0, 0.01)] * count)
    assert same.chart() is None and len(same.table().rows) == count
    assert ("the only value so far" in same.sentences()[0]) == (count == 1)


@pytest.mark.filterwarnings("error")
def test_dates_of_every_span() -> None:
    hour = 3600.0
    for span in (0.001, 0.01, 1, 5, 30, 70, 200, 1000, 2000, 5000, 9000, 21000, 26000, 60000):
        points = [Point("a", 480000 * hour + i * span * hour, 1.0) for i in range(2)]
        found = curve("fvd", "lower", points, [], "time", True)
        assert found.table().rows[0]["x"] == "2024-10-04 00:00"
        assert any(date in all_text(found.chart()) for date in ("2024-10", "10-04 00:00"))


def test_ticks_of_iterations_are_short() -> None:
    text = all_text(curve("fvd", "lower", [Point("a", 0, 2.0), Point("b", 400_000, 1.0)]).chart())
    assert "400k" in text and "400,000" not in text


def test_results_of_unknown_runs_are_marks_and_no_line() -> None:
    unknown = [Point(f"{i}.pt", i // 2, float(i)) for i in range(80)]
    known = [Point(f"{i}.pt", i // 2, float(i), run="seed0") for i in range(80)]
    assert drawn_points(curve("fvd", "lower", unknown).chart()) >= 80
    assert drawn_points(curve("fvd", "lower", known).chart()) < 80
