"""Parts of a merge: which shards count, and what is said of plans, ranges and clips that are not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from result_makers import make_result

from latte_eval import __version__
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import IncompleteRun, LatteEvalError, MetricFailed, NotComparable
from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.evaluation import merge as merging
from latte_eval.evaluation.gather import Gathered, gather
from latte_eval.evaluation.merge import lacking_texts, merge, merge_plan, spans_text
from latte_eval.files.plans import PlannedSide
from latte_eval.files.run_folder import FEATURES_VERSION, RunFolder, feature_key

TOY = {"name": "toy", "sha256": "0" * 64, "used": "native"}


def features(*indices: int, rejected: tuple[Rejected, ...] = ()) -> Features:
    rows = np.arange(len(indices) * 2, dtype=np.float32).reshape(-1, 2)
    return Features({"features": rows}, list(indices), [str(index) for index in indices], list(rejected))


def planned(limit: int, at_most: int | None = None, candidates: list[str] | None = None) -> PlannedSide:
    return PlannedSide("toy", "f" * 64, limit, None, at_most, [], {}, candidates)


def stored(run: Path, start: int, stop: int, candidates: list[str] | None = None) -> RunFolder:
    found = RunFolder(run)
    found.write_features(feature_key("f" * 64, TOY), start, stop, features(*range(start, stop)), candidates)
    return found


def test_shards_of_other_clips_count_as_absent_and_are_named(tmp_path: Path) -> None:
    run = stored(tmp_path, 0, 4, ["a", "b", "c", "d"])
    assert gather(run, planned(4, candidates=["a", "b", "c", "d"]), TOY).features is not None
    found = gather(run, planned(4, candidates=["a", "b", "x", "d"]), TOY)
    assert found.lacking == [(0, 4)] and found.features is None
    assert len(found.faults) == 1 and "000000-000004.safetensors holds other clips" in found.faults[0]


def test_no_more_clips_are_gathered_than_are_measured(tmp_path: Path) -> None:
    stored(tmp_path, 0, 2)
    found = gather(stored(tmp_path, 2, 6), planned(6, at_most=3), TOY)
    assert found.features is not None and found.features.indices == [0, 1, 2]


def test_ranges_are_joined_and_counted_beyond_four() -> None:
    assert spans_text([(0, 4), (4, 8), (16, 17)]) == "0-7, 16-16"
    four = [(10 * number, 10 * number + 2) for number in range(4)]
    assert spans_text(four) == "0-1, 10-11, 20-21, 30-31"
    assert spans_text([*four, (40, 42), (50, 52)]) == "0-1, 10-11, 20-21, 30-31, 2 more ranges"


def test_what_each_detector_lacks_is_named() -> None:
    lacking = {name: Gathered(8, spans, None, []) for name, spans in
               {"one": [(0, 4)], "two": [(0, 4)], "three": [(4, 8)], "four": []}.items()}  # fmt: skip
    plan: Any = SimpleNamespace(sides={"real": planned(8)})
    assert lacking_texts(plan, "real", lacking) == ["real clips 0-3 of toy", "real clips 4-7 of toy"]


def ends(monkeypatch: pytest.MonkeyPatch, *outcomes: LatteEvalError) -> None:
    """Plans of which each ends in an error."""
    monkeypatch.setattr(merging, "chosen", lambda run, key: list(outcomes))
    monkeypatch.setattr(merging, "merge_plan", lambda run, plan, reporter: (_ for _ in ()).throw(plan))


def test_metrics_that_were_measured_beside_one_that_failed_are_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = make_result()
    failed, lacking = MetricFailed("fid failed", [measured]), IncompleteRun("clips 0-3 lack")
    ends(monkeypatch, failed)
    with pytest.raises(MetricFailed, match="^fid failed$") as raised:
        merge(RunFolder(tmp_path), None, Reporter())
    assert list(raised.value.results) == [measured]
    ends(monkeypatch, failed, lacking)
    with pytest.raises(IncompleteRun, match="^fid failed; clips 0-3 lack$") as both:
        merge(RunFolder(tmp_path), None, Reporter())
    assert list(both.value.results) == [measured]


def test_all_that_was_left_out_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early, late, said = Rejected("a", "too short"), Rejected("b", "damaged"), list[str]()
    found = {"toy": Gathered(2, [], features(0, 1, rejected=(late, early)), [])}
    side = SimpleNamespace(source=SimpleNamespace(rejected=[early], name="toy"), wanted=None)
    monkeypatch.setattr(merging, "side_features", lambda run, plan, name: found)
    monkeypatch.setattr(merging, "to_evaluation", lambda *given: SimpleNamespace(fake=side, real=None))
    monkeypatch.setattr(merging, "measure_all", lambda *given: [])
    reporter = Reporter()
    monkeypatch.setattr(reporter, "say", said.append)
    plan: Any = SimpleNamespace(version=__version__, features_version=FEATURES_VERSION, sides={"fake": planned(2)})
    assert merge_plan(RunFolder(tmp_path), plan, reporter) == []
    assert said == ["left out a: too short", "left out b: damaged"]


def test_features_of_another_version_of_a_step_are_not_merged(tmp_path: Path) -> None:
    plan: Any = SimpleNamespace(version=__version__, features_version=FEATURES_VERSION + 1, title="fvd of x")
    with pytest.raises(NotComparable, match="merge with theirs"):
        merge_plan(RunFolder(tmp_path), plan, Reporter())


def test_a_metric_without_a_real_side_wants_no_real_clips(tmp_path: Path) -> None:
    detectors = {"fvd": {**TOY, "name": "i3d"}, "is": {**TOY, "name": "c3d"}}
    plan: Any = SimpleNamespace(
        metrics=["fvd", "is"], detectors=detectors, sides={"real": planned(4), "fake": planned(4)}
    )
    assert list(merging.side_features(RunFolder(tmp_path), plan, "real")) == ["i3d"]
    assert list(merging.side_features(RunFolder(tmp_path), plan, "fake")) == ["i3d", "c3d"]
