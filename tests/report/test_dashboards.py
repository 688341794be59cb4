"""`log`: what dashboards hold afterwards, read back by their own readers, and no network anywhere."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import latte_eval
from result_makers import SEEDED, make_result, write_results

from latte_eval.core.errors import StoreError
from latte_eval.core.result import Result
from latte_eval.report import dashboards
from latte_eval.report.series import results_to_series

TB = "pip install 'latte-eval[tensorboard]'"


def at_step(step: int, **fields: Any) -> Result:
    name = {"name": f"{step:04}.pt", "run": "train", "sha256": "a" * 64, "weights": "ema", "iteration": step}
    known: dict[str, Any] = {"value": 400.123 - step / 10, "interval": [300.0, 401.0], "checkpoint": name}
    return make_result(**{**known, **fields})


SCORE: dict[str, Any] = {"metric": "is", "better": "higher", "value": 70.0, "interval": None, "real": 0,
                         "real_source": None}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_ERROR_REPORTING": "false",
                        "MLFLOW_TRACKING_URI": (tmp_path / "ml").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true",
                        "MLFLOW_DISABLE_TELEMETRY": "true"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    own = {**(SEEDED), "name": "i3d=my weights(1).pt"}
    write_results(tmp_path / "own/results.jsonl", at_step(100, detector=own))
    write_results(tmp_path / "run/results.jsonl", at_step(200), at_step(100), at_step(100, **SCORE))
    return tmp_path / "run"


def test_a_series_is_what_was_measured_in_one_way() -> None:
    others = [at_step(100, detector=SEEDED, value=5.0, interval=None), at_step(100, stem="clean"),
              at_step(100, sampler={**(make_result().sampler or {}), "steps": 50}),
              make_result(checkpoint=None, sampler=None, seeds=None)]  # fmt: skip
    lines = results_to_series([at_step(200), at_step(100), at_step(100, **SCORE), *others])
    assert [len(line.points) for line in lines] == [4, 1, 1, 1] and len({line.name for line in lines}) == 4
    assert [point.step for point in lines[0].points] == [100, 100, 100, 200]
    assert lines[0].config["steps"] == 250 and lines[0].config["protocol.real_stride"] == 3
    assert {tag for point in lines[0].points for tag in point.scalars} == {
        "fvd/i3d/value", "fvd/i3d/low", "fvd/i3d/high", "is/i3d/value", "fvd/i3d-seeded/value",
    }  # fmt: skip
    assert results_to_series([at_step(100, real_source={**(make_result().real_source or {}), "fingerprint": "0" * 64}),
                             at_step(200)])[0].key == lines[0].key  # fmt: skip


def test_tensorboard_reads_what_was_logged_once(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=TB)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = latte_eval("log", run, "--tensorboard", tmp_path / "tb")
    assert (first.returncode, first.stdout) == (0, f"tensorboard {tmp_path / 'tb'}: 7 scalars of 1 run\n")
    write_results(run / "more/results.jsonl", at_step(300, interval=None))
    again = latte_eval("log", run, "--tensorboard", tmp_path / "tb")
    assert again.stdout.endswith(": 1 scalars of 1 run, 7 were there\n"), again
    (folder,) = (tmp_path / "tb").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert sorted(events.Tags()["scalars"]) == ["fvd/i3d/high", "fvd/i3d/low", "fvd/i3d/value", "is/i3d/value"]
    found = [(each.step, each.value) for each in events.Scalars("fvd/i3d/value")]
    assert found == [(step, pytest.approx(400.123 - step / 10, rel=1e-7)) for step in (100, 200, 300)]
    assert events.Scalars("is/i3d/value")[0].wall_time == results_to_series([at_step(1)])[0].points[0].time
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"protocol.real_stride" in content and b"lanczos" in content


def test_mlflow_reads_what_was_logged_once(run: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install 'latte-eval[mlflow]'")
    for said in ("7 scalars of 1 run", "0 scalars of 1 run, 7 were there"):
        done = latte_eval("log", run, "--mlflow", "--project", "ours")
        assert done.stdout == f"mlflow ours: {said}\n", done
    own = latte_eval("log", run.parent / "own", "--mlflow", "--project", "own weights")
    assert own.stdout == "mlflow own weights: 3 scalars of 1 run\n", own
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("ours").experiment_id])
    history = client.get_metric_history(found.info.run_id, "fvd/i3d/value")
    assert [(each.step, each.value) for each in history] == [(s, 400.123 - s / 10) for s in (100, 200)]
    assert found.data.params["protocol.fake_storage"] == "h264-crf5+jpeg75"


def test_wandb_offline_writes_a_folder(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="pip install 'latte-eval[wandb]'")
    done = latte_eval("log", run, "--wandb", "--project", "ours")
    assert (done.returncode, done.stdout) == (0, "wandb ours: 7 scalars of 1 run\n"), done
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    (line,) = results_to_series([at_step(100)])
    data = file.read_bytes()
    assert file.name == f"run-latte-{line.key}.wandb"
    for text in ("fvd/i3d/value", "380.123", "checkpoint_step", "protocol.real_stride", line.name, "latte_eval_logged"):
        assert text.encode() in data, text


def test_where_mlflow_writes_that_is_told_of_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    named, folder = {"MLFLOW_TRACKING_URI": "http://there"}, {"MLFLOW_TRACKING_URI": "file:./mlruns"}
    allowed = folder | {"MLFLOW_ALLOW_FILE_STORE": "true"}
    kept = folder | {"MLFLOW_ALLOW_FILE_STORE": "false"}
    for whole, before, after in ((False, {}, allowed), (True, {}, {}), (False, named, named), (True, folder, allowed),
                                 (False, kept, kept)):  # fmt: skip
        monkeypatch.setattr(dashboards, "has_distribution", {"mlflow": whole}.__getitem__)
        monkeypatch.setattr(os, "environ", dict(before))
        dashboards.name_mlflow_store()
        assert os.environ == after
        monkeypatch.undo()
    assert dashboards.has_distribution("pytest") and not dashboards.has_distribution("no-such-package")


def test_what_a_service_says_is_one_line_with_what_to_type() -> None:
    told = dashboards.told_as_store_error("wandb", KeyError, ValueError, advice="type this")
    with pytest.raises(StoreError, match="^wandb: No key. Log in; type this; what was logged before is kept$"), told:
        raise ValueError("No key. Log in.\nand more")


@pytest.mark.parametrize("extra", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_extra_is_named(extra: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [extra, *(each for each in sys.modules if each.startswith(f"{extra}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    done = latte_eval("log", run, f"--{extra}", *([tmp_path / "tb"] if extra == "tensorboard" else []))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and not done.stdout
    assert f"--{extra} takes {extra}: pip install 'latte-eval[{extra}]'" in done.stderr


def test_it_says_where_to_and_where_it_cannot(run: Path, tmp_path: Path) -> None:
    done = latte_eval("log", run)
    assert done.returncode == 2 and "--tensorboard DIR, --wandb or --mlflow" in done.stderr
    if importlib.util.find_spec("tensorboard"):
        (tmp_path / "file").write_text("x")
        done = latte_eval("log", run, "--tensorboard", tmp_path / "file")
        assert done.returncode == 5 and "file" in done.stderr and len(done.stderr.splitlines()) == 1
