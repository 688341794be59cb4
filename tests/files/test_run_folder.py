"""The run folder: what is stored comes back, each clip once, and what is missing is known."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from result_makers import I3D, make_result, replaced

from latte_eval.core.clips import Rejected
from latte_eval.core.errors import AbsentFile, StoreError
from latte_eval.core.features import Features
from latte_eval.core.notices import Notice
from latte_eval.core.result import Result
from latte_eval.files import run_folder
from latte_eval.files.run_folder import FEATURES, SHARD_CLIPS, RunFolder, feature_key
from latte_eval.files.shards import runs_of
from latte_eval.files.whole_files import patiently


def clips(*indices: int, labels: bool = False) -> Features:
    rows = np.array([[i, 10 * i] for i in indices], np.float32).reshape(-1, 2)
    names = [f"v{i}" for i in indices]
    return Features({"features": rows}, list(indices), names, [], list(indices) if labels else None)


def test_a_folder_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "run")
    assert not run.path.exists() and run.read_features("key") is None
    assert run.make() is run and list(run.path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to --out"):
        RunFolder(tmp_path / "file" / "run").make()


def test_clips_come_back_in_order_and_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_features("key", 32, 64, clips(33, 40))
    run.write_features("key", 0, 16, clips(0, 5))
    run.write_features("key", 0, 32, clips(0, 5, 20))
    found = run.read_features("key")
    assert found and found.indices == [0, 5, 20, 33, 40] and found.groups == ["v0", "v5", "v20", "v33", "v40"]
    np.testing.assert_array_equal(found.outputs["features"][:, 1], [0, 50, 200, 330, 400])
    part = run.read_features("key", 33)
    assert part and part.indices == [0, 5, 20]


def test_a_shard_that_another_job_looks_at_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a job takes a shard away for a moment, after this one has listed it."""
    run = RunFolder(tmp_path)
    run.write_features("key", 0, 4, clips(0, 1))
    listed = run.shards(FEATURES, "key")
    monkeypatch.setattr(RunFolder, "shards", lambda *_: listed)
    ((_, path),) = listed
    aside = path.rename(tmp_path / "aside")
    run.drop_unusable("key", 4)
    threading.Timer(0.1, lambda: aside.rename(path)).start()
    assert (found := run.read_features("key")) and found.indices == [0, 1]
    path.unlink()
    monkeypatch.setattr(run_folder, "patiently", partial(patiently, seconds=0.05))
    with pytest.raises(AbsentFile, match="cannot be read: No such file"):
        run.read_features("key")


def test_rejected_files_are_kept_though_no_clip_is_left(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_features("key", 0, 4, Features({}, [], [], [Rejected("a.mp4", "cut")]))
    found = run.read_features("key")
    assert found is not None and len(found) == 0 and found.rejected == [Rejected("a.mp4", "cut")]
    run.write_features("key", 4, 8, clips(4))
    found = run.read_features("key")
    assert found and found.indices == [4] and found.outputs["features"].shape == (1, 2)


def test_labels_come_back_where_every_shard_has_them(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_features("key", 0, 4, clips(1, 2, labels=True))
    assert (found := run.read_features("key")) and found.labels == [1, 2]
    run.write_features("key", 4, 8, clips(5))
    assert (found := run.read_features("key")) and found.labels is None


def test_what_is_missing_is_known(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.lacking(FEATURES, "key", (0, 80)) == [(0, 32), (32, 64), (64, 80)]
    run.write_features("key", 0, 16, clips(0))
    run.write_features("key", 40, 48, clips())
    assert run.lacking(FEATURES, "key", (0, 80)) == [(16, 32), (32, 40), (48, 64), (64, 80)]
    assert run.lacking(FEATURES, "key", (44, 46)) == []


def test_a_result_that_is_the_newest_of_its_subject_already_is_not_added(tmp_path: Path) -> None:
    """Only when and how long may differ. A damaged line in the file is nobody's result, and no obstacle."""
    run, first = RunFolder(tmp_path), make_result()
    again = replaced(first, started="2026-11-25T00:00:00Z", seconds=1.5)
    other_seed = replaced(first, value=301.0, started="2026-11-26T00:00:00Z")
    other_model = replaced(first, checkpoint={**(first.checkpoint or {}), "name": "other.pt"})
    assert run.append_results([first]) == [] and run.append_results([again, other_model]) == [again]
    with run.results_file.open("a") as file:
        file.write('{"torn": \n[1]\n')
    assert run.append_results([again]) == [again] and run.append_results([other_seed]) == []
    assert run.append_results([again]) == []  # it is the newest once more
    lines = run.results_file.read_text().splitlines()
    assert [Result.from_json(line) for line in (*lines[:2], *lines[4:])] == [first, other_model, other_seed, again]


def test_ranges_end_where_shards_do() -> None:
    assert list(runs_of(np.ones(3 * SHARD_CLIPS, bool), 5))[:2] == [(5, SHARD_CLIPS), (SHARD_CLIPS, 2 * SHARD_CLIPS)]
    assert list(runs_of(np.array([0, 1, 1, 0, 1], bool), 0)) == [(1, 3), (4, 5)]
    assert list(runs_of(np.zeros(4, bool), 0)) == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_features("key", 0, 32, clips(*range(1, 32)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    run.keep_features("key", clips(*range(1, 41)))
    assert {path: path.read_bytes() for path in before} == before
    found = run.read_features("key")
    assert found and found.indices == list(range(1, 41))


def test_what_is_damaged_does_not_stay(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_features("key", 0, 32, clips(*range(32)))
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    names = [f"c{i}" for i in range(40)]
    with pytest.warns(Notice, match="000000-000032.safetensors is damaged.*: it is made again"):
        run.keep_features("key", clips(*range(40)), names)
    found = run.read_features("key", 40, names)
    assert found and found.indices == list(range(40))
    with pytest.raises(StoreError, match="holds other clips: 32 of 32, such as c0 for c1; run the same command again"):
        run.read_features("key", 32, names[1:33])


def test_features_of_a_result_are_those_that_it_used(tmp_path: Path) -> None:
    run, result = RunFolder(tmp_path), make_result(fake=3)
    key = feature_key(result.fake_source["fingerprint"], I3D)
    run.write_features(key, 0, 2, clips(0, 1))
    assert run.features_of(result, "fake") is None
    run.write_features(key, 2, 8, clips(2, 3, 4))
    assert (found := run.features_of(result, "fake")) and found.indices == [0, 1, 2]
    assert run.features_of(make_result(real_source=None), "real") is None


@pytest.mark.parametrize("notes", [{"groups": ["a"], "rejected": []}, {"groups": ["a", "b"]}, {}])
def test_a_foreign_shard_is_named(tmp_path: Path, notes: dict[str, object]) -> None:
    run = RunFolder(tmp_path)
    run.write_shard(FEATURES, "key", (0, 2), {"indices": np.arange(2), "features": np.zeros((2, 3))}, notes)
    with pytest.raises(StoreError, match="000000-000002.safetensors is no whole shard"):
        run.read_features("key")
