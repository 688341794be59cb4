"""A small number has the same digits wherever it is printed, and nowhere reads as 0."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import latte_eval
from result_makers import I3D, make_result, write_results

from latte_eval.cli.text import results_to_text
from latte_eval.core.result import Result
from latte_eval.evaluation.curve import Measured, Point, curve_to_text

VALUE, LATER = "0.00412", "0.00387"


def kid(value: str, day: int) -> Result:
    number = float(value) + 1e-9
    return make_result(metric="kid", value=number, interval=[number - 0.0009, number + 0.0009],
                       standard_error=0.00045, detector={**I3D, "name": "inception"},
                       started=f"2026-11-{day}T10:00:00Z")  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [write_results(tmp_path / name / "results.jsonl", kid(value, day))
            for name, value, day in (("a", VALUE, 10), ("b", LATER, 11))]  # fmt: skip


def outputs(runs: list[Path], tmp_path: Path) -> dict[str, str]:
    """What each command prints of both results."""
    accepted = tmp_path / "accepted.jsonl"
    said = latte_eval("gate", "accept", runs[0], "--into", accepted, "--why", "first").stdout
    pages = tmp_path / "report"
    assert latte_eval("report", *runs, "-o", pages, "--quiet").returncode == 0
    results = [kid(VALUE, 10), kid(LATER, 11)]
    gate = ("gate", "--results", runs[1], "--against", accepted, "--fail", "kid:+0.01")
    return {
        "terminal": results_to_text(results),
        "curve": curve_to_text([Measured(Point("run", i, "x.pt"), result) for i, result in enumerate(results)]),
        "compare": latte_eval("compare", *runs).stdout,
        "history": latte_eval("history", *runs).stdout,
        "explain": latte_eval("explain", *runs).stdout,
        "gate": said + latte_eval(*gate).stdout,
        "report": "".join(path.read_text() for path in pages.glob("*.html")),
    }


def test_a_small_number_has_the_same_digits_everywhere(runs: list[Path], tmp_path: Path) -> None:
    for name, text in outputs(runs, tmp_path).items():
        assert VALUE in text and LATER in text, name
        if name != "report":  # a drawing has places such as 0.00
            assert not re.search(r"(?<![\d.])[+-]?0\.00(?!\d)", text), (name, text)


def test_bounds_and_differences_too(runs: list[Path], tmp_path: Path) -> None:
    found = outputs(runs, tmp_path)
    assert "[0.00322, 0.00502]" in found["history"] and "0.00322 to 0.00502" in found["terminal"]
    assert "-0.00025" in found["compare"] and "-0.00025" in found["explain"]
