"""Results in a notebook: what stands there, escaped, in the colours of the page; bars that say what the record says."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_makers import make_result, replaced

from latte_eval.core.notebook import Results, part_effects
from latte_eval.core.result import Result

WITHOUT = [300.0, 310.0, 290.0, 305.0, 295.0]


def html(result: Result) -> ElementTree.Element:
    """As XML: what is not closed or not escaped does not parse."""
    return ElementTree.fromstring(result._repr_html_())


def text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_it_says_what_is_known() -> None:
    result = make_result(floor={"value": 12.5, "rows": [1024, 1024], "videos": [1024, 1024]}, note="a trial")
    said = text(html(result))
    for part in ("FVD 300.00", "95 % interval 290.00 to 310.00", "2,048 fake clips of", "2,048 real clips of /data/u",
                 result.protocol, "i3d", "lower is better", "floor 12.50", "a trial"):  # fmt: skip
        assert part in said
    corrected = {"value": 280.0, "interval": [270.0, 290.0], "systematic": 1.0}
    assert "without bias 280.00, 270.00 to 290.00" in text(html(replaced(result, corrected=corrected)))
    assert "without bias" not in text(html(replaced(result, corrected={"unidentified": "too few"})))


def test_a_bar_for_each_part_that_raises_or_lowers_the_value() -> None:
    result = make_result(details={"without_part": WITHOUT})
    assert part_effects(result) == [0.0, -10.0, 10.0, -5.0, 5.0]
    (svg,) = html(result).iter("svg")
    bars = [(float(bar.attrib["y"]), float(bar.attrib["height"])) for bar in svg.iter("rect")]
    assert bars == [(17.0, 0.0), (17.0, 16.0), (1.0, 16.0), (17.0, 8.0), (9.0, 8.0)]
    assert svg.attrib["aria-label"] == "What each of 5 parts of the clips adds to the value: -10.00 to +10.00"


@pytest.mark.parametrize("details", [{}, {"without_part": []}, {"without_part": [3.0, 3.0]}])
def test_no_bars_where_the_record_holds_none(details: dict[str, list[float]]) -> None:
    assert not list(html(make_result(details=details)).iter("svg"))


def test_no_colours_of_its_own() -> None:
    shown = make_result(details={"without_part": WITHOUT})._repr_html_()
    assert set(re.findall(r"(?:fill|stroke)='([^']+)'", shown)) == {"currentColor"}
    assert "background" not in shown and "#" not in shown


@settings(deadline=None)
@given(st.text(), st.text())
def test_names_are_never_markup(name: str, note: str) -> None:
    result = make_result(checkpoint={"name": name, "sha256": "a"}, note=note)
    tags = {element.tag for element in html(result).iter()}
    assert tags == {"div", "strong"}


def test_a_name_cannot_turn_the_text_around() -> None:
    shown = make_result(note="<script>alert(1)</script>\u202egnp")._repr_html_()
    assert "<script" not in shown and "\u202e" not in shown and "&lt;script&gt;" in shown


def test_results_are_a_list_that_shows_each() -> None:
    results = Results([make_result(), replaced(make_result(), metric="fid")])
    shown = ElementTree.fromstring(f"<div>{results._repr_html_()}</div>")
    assert len(shown) == 2 and "FID 300.00" in text(shown) and results[1].metric == "fid"


def test_printed_on_one_line() -> None:
    result = make_result()
    assert str(result) == f"fvd 300.00 [290.00, 310.00], {result.protocol}"
    assert str(replaced(result, interval=None)) == f"fvd 300.00, {result.protocol}"
