"""Sections of a report on features whose answer is known: charts that stand in a page, tables, words."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from report_makers import POINTS, SVG, all_text, drawn_points

from latte_eval.baselines.table import to_markdown
from latte_eval.core.features import Features
from latte_eval.core.result import Result
from latte_eval.metrics import frechet_distance_between, kernel_distance
from latte_eval.metrics.parts import deal_rows
from latte_eval.metrics.rows import METRICS
from latte_eval.report import charts
from latte_eval.report.classes import classes
from latte_eval.report.clip_counts import clip_counts
from latte_eval.report.curves import Reference, curve
from latte_eval.report.neighbours import neighbours
from latte_eval.report.scatter import scatter
from latte_eval.report.spectrum import spectrum

NASTY = 'a<script>alert(1)</script> & "b" $x^2$ \x0b走る'


def rows(count: int, dimensions: int = 40, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return ((random.standard_normal((count, dimensions)) * scale + shift) / np.arange(1, dimensions + 1)).astype("f4")


def side(array: np.ndarray, labels: list[int] | None = None, groups: list[str] | None = None) -> Features:
    """Features of clips whose indices are 100 more than their rows."""
    indices = list(range(100, 100 + len(array)))
    return Features({"features": array}, indices, groups or [f"video{i}" for i in indices], [], labels)


def measured(fake: Features, real: Features | None, metric: str = "fvd", interval: bool = True) -> Result:
    found = METRICS[metric].measure(fake, real, interval, lambda done, total: None)
    fields: dict[str, Any] = {
        "protocol": "p", "protocol_sha256": "0", "protocol_fields": {}, "fake_source": {}, "real_source": None,
        "checkpoint": None, "detector": {}, "sampler": None, "seeds": None, "started": "2026-01-01T00:00:00Z",
        "seconds": 1.0, "code": {}, "env": {}, "fake": len(fake), "real": len(real) if real else 0,
        "better": METRICS[metric].better,
    }  # fmt: skip
    return Result(metric=metric, value=found.value, interval=found.interval, corrected=found.corrected, **fields)


FAKE = side(rows(90, seed=1, scale=1.3, shift=0.3), [i % 3 for i in range(90)])
REAL = side(rows(80, seed=2), [i % 3 for i in range(80)])
FRAMES = tuple(side(rows(12 * 4, 30, seed, shift=seed / 5).reshape(12, 4, 30)) for seed in (3, 4))


def every_section(fake: Features, real: Features) -> list[Any]:
    found = [spectrum(fake, real), neighbours(fake, real), scatter(fake, real), classes(fake, real)]
    return [each for each in found if each] + [clip_counts(measured(fake, real), fake, real)]


@pytest.fixture(scope="module")
def result() -> Result:
    """FVD of `FAKE` and `REAL`."""
    return measured(FAKE, REAL)


# Charts.


def parsed(name: str = "c", title: str = "t", description: str = "d", label: str = "l") -> ElementTree.Element:
    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1, 2], [3, 1, 2], "o-", color=charts.SERIES[0], label=label)
        axes.set_title(label)
        charts.legend(figure)

    return ElementTree.fromstring(charts.draw(name, title, description, paint))


def test_a_chart_is_one_element_with_its_words_first() -> None:
    root = parsed("one", NASTY, "it <b>falls</b>")
    assert root.tag == f"{SVG}svg" and root.attrib["role"] == "img"
    assert "width" not in root.attrib and "height" not in root.attrib and root.attrib["viewBox"].startswith("0 0 302.4")
    title, description = list(root)[:2]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert title.text == NASTY.replace("\x0b", "\N{REPLACEMENT CHARACTER}") and description.text == "it <b>falls</b>"
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]


def test_texts_stay_texts_and_are_escaped() -> None:
    root = parsed(label=NASTY)
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    assert texts.count(NASTY.replace("\x0b", "\N{REPLACEMENT CHARACTER}")) == 2
    assert {each.tag for each in root.iter()}.isdisjoint({f"{SVG}script", f"{SVG}style", f"{SVG}metadata"})


@pytest.mark.parametrize("sides", [(FAKE, REAL), FRAMES])
def test_every_colour_is_a_variable_and_nothing_comes_from_outside(sides: tuple[Features, Features]) -> None:
    drawn = [each.chart() for each in [*every_section(*sides), curve("fvd", "lower", POINTS, [Reference("r", 20)])]]
    for chart in drawn:
        assert chart is not None
        assert not re.search(r"#[0-9a-f]{6}", re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", chart))
        assert set(re.findall(r"var\(--([a-z0-9-]+)", chart)) <= set(charts.VARIABLES.values())
        assert re.findall(r"https?://[^\"<]*", chart) == ["http://www.w3.org/2000/svg"]
        assert "font-family" not in chart and "<image" not in chart and "<?xml" not in chart


def test_ids_of_two_charts_of_one_page_differ() -> None:
    found = [spectrum(FAKE, REAL, name).chart() or "" for name in ("a", "b")]
    ids = [set(re.findall(r' id="([^"]+)"', chart)) for chart in found]
    assert ids[0] and not ids[0] & ids[1]
    for own, chart in zip(ids, found, strict=True):
        assert {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', chart)} <= own


def test_equal_drawings_are_equal_texts_and_leave_no_trace() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert scatter(FAKE, REAL).chart() == scatter(FAKE, REAL).chart()
    assert dict(matplotlib.rcParams) == before


def test_words_for_people() -> None:
    assert charts.shorten("a  b\nc", 9) == "a b c" and charts.shorten("ApplyEyeMakeup", 9) == "Appl…keup"
    assert charts.join_words(["a"]) == "a" and charts.join_words(["a", "b", "c"]) == "a, b and c"


# Every section.


def sides_of_all_kinds() -> list[Any]:
    same = rows(50, 10)
    return [
        pytest.param(FAKE, REAL, id="usual"),
        pytest.param(*FRAMES, id="frames"),
        pytest.param(side(rows(2)), side(rows(2, seed=1)), id="two clips"),
        pytest.param(side(rows(9)), side(rows(8, seed=1), groups=["a"] * 4 + ["b"] * 4), id="two real videos"),
        pytest.param(side(rows(9), groups=["a"] * 9), side(rows(8, seed=1), groups=["b"] * 8), id="one video a side"),
        pytest.param(side(same), side(same), id="identical"),
        pytest.param(side(np.ones((45, 6))), side(np.zeros((45, 6))), id="all alike"),
        pytest.param(side(np.repeat(same, 2, 0)), side(np.repeat(same, 2, 0)), id="equal real videos"),
        pytest.param(side(rows(50, 1)), side(rows(50, 1, 1)), id="one dimension"),
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("fake", "real"), sides_of_all_kinds())
def test_every_section_stands_every_kind_of_sides(fake: Features, real: Features) -> None:
    for section in every_section(fake, real):
        if section.chart() is not None:
            ElementTree.fromstring(section.chart())
        assert to_markdown(section.table()).count("|") > 6
        said = section.sentences()
        assert said and all(sentence.endswith(".") for sentence in said)
        assert not re.search(r"\b(nan|inf|None)\b", " ".join(said))


# Spectrum.


def test_spectrum_adds_up_and_names_the_clips_at_the_ends() -> None:
    fake = rows(90, seed=1)
    fake[:, 5] += 4
    fake[17, 5] += 9
    found = spectrum(side(fake), REAL)
    assert found.displacement.value == pytest.approx(frechet_distance_between(REAL.outputs["features"], fake))
    first = found.directions[0]
    assert first.mean_value > 0.9 * first.value and first.gap == pytest.approx(4, abs=0.3)
    assert first.fake_ends[1][0].row == 17 and first.fake_ends[1][0].index == 117
    assert first.fake_ends[1][0].place == pytest.approx(13, abs=1)
    assert found.table().rows[-1]["value"] == pytest.approx(found.displacement.value)
    assert {row["clips"].split(", ")[0] for row in found.ends_table().rows if row["end"] == "fake end"} >= {"117"}


def test_spectrum_of_frames_is_that_of_all_rows() -> None:
    found, (fake, real) = spectrum(*FRAMES), FRAMES
    flat = [each.outputs["features"].reshape(-1, 30) for each in (real, fake)]
    assert found.displacement.value == pytest.approx(frechet_distance_between(*flat), rel=1e-6)
    assert found.fewer == 48 and len(found.directions[0].fake_ends[0]) == 3


def test_chance_is_how_far_means_of_one_population_lie_apart() -> None:
    """Also where several clips come from one video: by clip it would be four times too small."""
    apart, told = [], []
    for seed in range(200):
        videos = rows(40, 5, seed)
        both = [side(np.repeat(part, 4, 0), groups=[f"v{i // 4}" for i in range(80)]) for part in np.split(videos, 2)]
        gap = both[0].outputs["features"].mean(0) - both[1].outputs["features"].mean(0)
        apart.append(float(gap @ gap))
        told.append(spectrum(*both).chance or 0)
    assert np.mean(told) == pytest.approx(np.mean(apart), rel=0.15)


def test_spectrum_warns_of_few_clips() -> None:
    assert "too few clips" in " ".join(spectrum(side(rows(20)), side(rows(20, seed=1))).sentences())
    assert "too few clips" not in " ".join(spectrum(FAKE, REAL).sentences())


# Clip counts.


def test_clip_counts_end_at_the_value_and_cut_both_sides(result: Result) -> None:
    ticks: list[tuple[int, int]] = []
    found = clip_counts(result, FAKE, REAL, progress=lambda done, total: ticks.append((done, total)))
    assert [round(each.clips) for each in found.sizes] == [6, 11, 22, 45, 90]
    assert [round(each.real_clips) for each in found.sizes] == [5, 10, 20, 40, 80]
    assert [len(each.values) for each in found.sizes] == [5, 5, 4, 2, 1]
    assert found.sizes[-1].values == [found.result.value]
    means = [each.mean for each in found.sizes]
    assert means == sorted(means, reverse=True)
    assert ticks == [(i + 1, 16) for i in range(16)]


def test_parts_are_a_function_of_the_seed_and_hold_whole_videos(result: Result) -> None:
    groups = [f"v{i // 2}" for i in range(90)]
    fake = side(FAKE.outputs["features"], groups=groups)
    half = clip_counts(result, fake, REAL, seed=3).sizes[-2]
    assert len(half.values) == 2
    assert half.values != clip_counts(result, fake, REAL, seed=4).sizes[-2].values
    assert half.values == clip_counts(result, fake, REAL, seed=3).sizes[-2].values
    assert half.clips == 45 and half.real_clips == 40
    # 45 videos of two clips: an odd number of them, so that the halves hold 46 and 44 clips.
    dealt = deal_rows(groups, 2, "part", 2, 3)
    assert sorted(np.bincount(dealt)) == [44, 46] and (dealt[::2] == dealt[1::2]).all()
    other = deal_rows(REAL.groups, 2, "part", 2, 3)
    want = frechet_distance_between(REAL.outputs["features"][other == 0], fake.outputs["features"][dealt == 0])
    assert half.values[0] == pytest.approx(want, rel=1e-9)


def test_a_limit_is_drawn_only_where_it_is_known() -> None:
    fake, real = side(rows(600, 10, 1, 1.5)), side(rows(600, 10, 2))
    known = clip_counts(measured(fake, real), fake, real)
    assert known.corrected and known.fit and known.fit.level == pytest.approx(known.corrected["value"], rel=0.25)
    assert "infinitely many clips" in all_text(known.chart()) and "fit of" in all_text(known.chart())
    assert known.table().rows[-1]["clips"] == "infinitely many"
    few = clip_counts(measured(*(each.first(30) for each in (FAKE, REAL))), FAKE.first(30), REAL.first(30))
    assert few.corrected is None and few.fit is None
    assert "infinitely" not in all_text(few.chart())
    assert "cannot be told from 30 real source videos" in few.sentences()[-1]
    without = clip_counts(measured(fake, real, interval=False), fake, real)
    assert without.fit is None and "without an interval" in without.sentences()[-1]


def test_kernel_distances_and_scores_are_counted_too() -> None:
    kernel = clip_counts(measured(FAKE, REAL, "kvd"), FAKE, REAL)
    assert kernel.fit is None and kernel.corrected and "no bias" in " ".join(kernel.sentences())
    random = np.random.default_rng(0).random((200, 5)) + np.eye(5)[np.arange(200) % 5] * 3
    videos = [str(i) for i in range(200)]
    scored = Features({"probabilities": random / random.sum(1, keepdims=True)}, list(range(200)), videos, [])
    found = clip_counts(measured(scored, None, "is"), scored, None)
    assert [each.clips for each in found.sizes] == [50, 100, 200] and "real" not in found.table().headings
    frames = clip_counts(measured(*FRAMES, "kid", False), *FRAMES)
    assert len(frames.sizes) == 2 and "Frames of one clip" in " ".join(frames.sentences())


def test_few_clips_are_said_to_be_few() -> None:
    found = clip_counts(measured(FAKE.first(5), REAL.first(5)), FAKE.first(5), REAL.first(5))
    assert len(found.sizes) == 1 and found.chart() is None and found.sentences()[0].startswith("5 clips are too few")


# Neighbours.


def test_copies_are_found() -> None:
    fake, real = rows(60, seed=1), rows(80, seed=2)
    fake[7], fake[8:20] = real[41], real[:12] + 1e-3
    found = neighbours(side(fake), side(real))
    assert found.best[0].row == 7 and found.best[0].distances[0] == 0 and found.best[0].real_indices[0] == 141
    assert {match.row for match in found.suspicious[:6]} <= {7, *range(8, 20)}
    assert found.near_share is not None and found.near_share >= 13 / 60 > found.chance_share
    assert "copies" in " ".join(found.sentences()) and "real clip 141: a copy" in " ".join(found.sentences())
    assert found.matches_table().rows[0]["fake"] == 107


def test_other_clips_are_no_copies() -> None:
    found = neighbours(side(rows(60, seed=1)), side(rows(80, seed=2)))
    assert "no sign of copying" in " ".join(found.sentences())
    worst, best = found.worst[0], found.best[0]
    assert worst.distances[0] == found.fake_distances.max() and best.distances[0] == found.fake_distances.min()
    assert best.distances == sorted(best.distances) and len(best.real_rows) == 3


def test_other_windows_of_a_video_do_not_count_as_other_videos() -> None:
    """Each real video twice, nearly equal: by clip every real distance would be near 0."""
    real = np.repeat(rows(50, seed=2), 2, 0) + 1e-4 * rows(100, seed=3)
    found = neighbours(side(rows(60, seed=1)), side(real, groups=[f"v{i // 2}" for i in range(100)]))
    assert found.real_distances.min() > 0.01


def test_whether_it_copies_is_not_said_of_few_real_clips() -> None:
    found = neighbours(FAKE, REAL.first(20))
    assert found.near_share is None and "cannot be told from the distances of 20 real clips" in found.sentences()[1]


# Scatter.


def test_scatter_finds_the_axes() -> None:
    fake, real = rows(90, seed=1), rows(80, seed=2)
    fake[:, 3] += 10
    real[:, 9] *= 30
    found = scatter(side(fake), side(real))
    gap = np.abs(found.fake.mean(0) - found.real.mean(0))
    assert gap[0] == pytest.approx(10, rel=0.05) and gap[1] < 1
    assert found.gap_share is not None and found.gap_share > 0.95
    assert 0.5 < found.shares[0] < 1 and sum(found.shares) <= 1
    assert found.real.mean(0) == pytest.approx([0, 0], abs=1e-9)


def test_the_larger_side_does_not_rule_the_axes() -> None:
    """500 real clips that vary along one axis, 20 fake ones along another: both axes are seen."""
    real, fake = np.zeros((500, 6)), np.zeros((20, 6))
    real[:, 0], fake[:, 1] = np.tile([3.0, -3.0], 250), np.tile([2.0, -2.0], 10)
    found = scatter(side(fake), side(real))
    assert found.real.std(0) == pytest.approx([3, 0], abs=1e-9) and found.fake.std(0) == pytest.approx([0, 2], abs=1e-9)


def test_at_most_a_thousand_points_a_side() -> None:
    found = scatter(side(rows(1500, 4, 1)), side(rows(1200, 4, 2)))
    assert 2000 <= drawn_points(found.chart()) < 2040
    assert "1,000 clips a side are drawn, chosen by seed 0." in found.sentences()
    assert scatter(FAKE, REAL).sentences()[-1] != found.sentences()[-1]


# Classes.


def test_the_worst_class_comes_first() -> None:
    labels = [i % 4 for i in range(80)]
    fake = rows(80, seed=1)
    fake[np.array(labels) == 2] += 2
    found = classes(side(fake, labels), side(rows(80, seed=2), labels), ["a", "b", NASTY, "d"])
    assert found is not None and found.classes[0].label == 2 and found.classes[0].name == NASTY
    chosen = np.array(labels) == 2
    assert found.classes[0].value == pytest.approx(kernel_distance(rows(80, seed=2)[chosen], fake[chosen]))
    interval = found.classes[0].interval
    assert interval is not None and interval[0] > 0
    assert "$x^2$" in all_text(found.chart()) or "…" in all_text(found.chart())
    assert "the worst stands apart" in found.sentences()[1]


def test_classes_that_one_side_lacks() -> None:
    found = classes(side(rows(40), [i % 2 for i in range(40)]), side(rows(40, seed=1), [i % 2 + 1 for i in range(40)]))
    assert found is not None
    assert [(each.label, each.fake, each.real) for each in found.classes] == [(1, 20, 20), (0, 20, 0), (2, 0, 20)]
    assert [each.value is None for each in found.classes] == [False, True, True]
    assert found.sentences()[-1] == "Not measured, with fewer than 5 clips on a side: class 0 and class 2."
    assert classes(FRAMES[0], REAL) is None


def test_of_many_classes_the_worst_ten_and_the_best_five_are_drawn() -> None:
    labels = [i % 30 for i in range(300)]
    found = classes(side(rows(300), labels), side(rows(300, seed=1), labels))
    assert found is not None and len(found.classes) == 30 == len(found.table().rows) and len(found.shown) == 15
    text = all_text(found.chart())
    assert found.classes[0].name in text and found.classes[-1].name in text
    assert found.classes[12].name not in text.split(found.classes[9].name)[0]
