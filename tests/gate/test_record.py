"""What a gate leaves in run folders: verdicts, read back; real features added to those that a run already has."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from gate_makers import NOISE, OLD, REAL, gate, make_accepted, write_run
from result_makers import make_result

from latte_eval.core.digests import with_digest
from latte_eval.core.errors import StoreError
from latte_eval.core.features import Features
from latte_eval.core.result import Result
from latte_eval.files.run_folder import RunFolder, feature_key
from latte_eval.gate.accepted import Accepted, read_accepted
from latte_eval.gate.record import append_verdict, read_verdicts
from latte_eval.gate.rules import parse_rule
from latte_eval.gate.sampling import Baseline
from latte_eval.gate.verdict import Verdict, gate_results


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    return make_accepted(tmp_path)


def test_every_verdict_on_a_run_is_kept(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", NOISE + 1.3)
    assert read_verdicts(new) == []
    gate(new, accepted, "fvd:+10%")
    gate(new / "results.jsonl", accepted, "fvd:+200%")
    first, second = read_verdicts(new)
    assert (first["verdict"], second["verdict"]) == ("regression", "pass")
    assert first["when"] <= second["when"] and first["when"].endswith("Z")
    assert first["rules"][0]["rule"] == "fvd:+10%" and first["new"] == "new.pt"


def test_results_outside_a_run_get_no_verdict(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD)
    file = (new / "results.jsonl").rename(new / "step-100.jsonl")
    assert gate(file, accepted, "fvd:+10%").returncode == 0
    assert not list(new.glob("gate*"))


def test_a_folder_that_cannot_be_written_loses_the_record_alone(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD)
    (new / "gate.jsonl").mkdir()
    done = latte_eval("gate", "--results", new, "--against", accepted, "--fail", "fvd:+10%")
    assert done.returncode == 0 and "PASS" in done.stdout
    assert "the verdict is not kept: cannot write" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"schema": 1, "verdict": "pa', "line 2 is not a whole JSON line"),
        ('{"schema": 2, "verdict": "pass"}', "line 2 has schema 2, newer than the 1"),
        ('{"schema": 1, "verdict": "pass"}', "line 2 is not a verdict"),
        ("[]", "line 2 is not a verdict"),
    ],
)
def test_lines_that_are_no_verdict_are_named(tmp_path: Path, accepted: Path, line: str, said: str) -> None:
    new = write_run(tmp_path / "new", OLD)
    gate(new, accepted, "fvd:+10%")
    with (new / "gate.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(StoreError, match=said):
        read_verdicts(new)


def append_often(run: Path, verdict: Verdict) -> None:
    for _ in range(50):
        append_verdict(run, verdict)


def test_two_jobs_at_once_lose_no_verdict(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD)
    verdict = gate_results(new, accepted, [parse_rule("fvd:+10%")])
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=append_often, args=(new, verdict)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(read_verdicts(new)) == 100


def real_side(count: int) -> Features:
    """Clips 1, 2, ... of a real side whose clip 0 could not be read."""
    indices = list(range(1, count + 1))
    return Features({"features": REAL[indices]}, indices, [f"real-{i}" for i in indices], [])


def real_key(result: Result) -> str:
    assert result.real_source
    return feature_key(result.real_source["fingerprint"], result.detector)


def test_accepted_real_features_become_shards_of_the_run(tmp_path: Path) -> None:
    result, run = make_result(real=70), RunFolder(tmp_path)
    run.keep_features(real_key(result), real_side(70))
    assert sorted(path.name for path in tmp_path.rglob("*.safetensors")) == [
        "000000-000032.safetensors", "000032-000064.safetensors", "000064-000071.safetensors",
    ]  # fmt: skip
    found = RunFolder(tmp_path).features_of(result, "real")
    assert found is not None and (found.indices[0], len(found), found.groups[69]) == (1, 70, "real-70")
    np.testing.assert_array_equal(found.outputs["features"], REAL[1:71])


def test_real_features_that_are_there_stay(tmp_path: Path) -> None:
    result, run = make_result(real=40), RunFolder(tmp_path)
    run.keep_features(real_key(result), real_side(40))
    first = min(tmp_path.rglob("*.safetensors"))
    os.utime(first, (1, 1))
    max(tmp_path.rglob("*.safetensors")).unlink()
    run.keep_features(real_key(result), real_side(40))
    assert first.stat().st_mtime == 1 and len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_a_metric_without_real_side_leaves_none(tmp_path: Path) -> None:
    line = Accepted(make_result(real_source=None), {}, None, tmp_path, 1)
    assert Baseline(parse_rule("is:-0.5"), line, real_side(4), None).against is None


def test_a_file_of_ten_thousand_results_is_gated_quickly(tmp_path: Path, accepted: Path) -> None:
    """The newest line is the one that is judged, and its features are looked up once."""
    new = write_run(tmp_path / "new", NOISE + 1.3)
    line: dict[str, Any] = json.loads((new / "results.jsonl").read_text())
    older = json.dumps(with_digest(line | {"value": 0.5, "interval": None}))
    (new / "results.jsonl").write_text("\n".join([older] * 9_999 + [json.dumps(line)]) + "\n")
    done = gate(new, accepted, "fvd:+10%")
    assert done.returncode == 1, done.stderr
    assert read_accepted(accepted)[-1].result.value != 0.5 and f"new {line['value']:.2f}" in done.stdout
