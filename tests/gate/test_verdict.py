"""The gate on results that are there: verdicts, what it says and writes, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from command_line import latte_eval
from gate_makers import CLIPS, NOISE, OLD, REAL, gate, make_accepted, source, write_run
from result_makers import I3D, make_result

from latte_eval.compare.results import read_results
from latte_eval.files.run_folder import RunFolder
from latte_eval.gate.accepted import read_accepted
from latte_eval.gate.contrast import degrees_of


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    return make_accepted(tmp_path)


def test_equal_passes(tmp_path: Path, accepted: Path) -> None:
    done = gate(write_run(tmp_path / "new", OLD + 0.001), accepted, "fvd:+10%")
    assert done.returncode == 0, done.stdout
    assert "PASS: new.pt against old.pt" in done.stdout and "clip against clip" in done.stdout


def test_worse_is_a_regression(tmp_path: Path, accepted: Path) -> None:
    done = gate(write_run(tmp_path / "new", NOISE + 1.3), accepted, "fvd:+10%")
    assert done.returncode == 1 and "REGRESSION" in done.stdout


def test_a_torn_line_at_the_end_is_no_reason_to_judge_an_older_result(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD + 0.001)
    results = new / "results.jsonl"
    whole = results.read_text()
    results.write_text(whole + whole[:100])
    done = gate(new, accepted, "fvd:+10%")
    assert done.returncode == 5 and "what is newest cannot be told" in done.stderr and done.stdout == ""
    results.write_text(whole[:100] + "\n" + whole)
    done = gate(new, accepted, "fvd:+10%")
    assert done.returncode == 0 and f"Note: {results} line 1" in done.stderr


def test_on_the_line_is_inconclusive(tmp_path: Path, accepted: Path) -> None:
    """Half as much distance again, with noise of its own: exactly what the rule allows."""
    unpaired = np.random.default_rng(2).standard_normal(OLD.shape).astype(np.float32)
    unpaired += -unpaired.mean(0) + np.sqrt(1.5) * OLD.mean(0) - (np.sqrt(1.5) - 1) * REAL.mean(0)
    done = gate(write_run(tmp_path / "new", unpaired), accepted, "fvd:+50%")
    assert done.returncode == 4, done.stdout


def test_a_rule_that_is_too_tight_is_refused_with_one_that_is_not(tmp_path: Path, accepted: Path) -> None:
    random = np.random.default_rng(3)
    stranger = random.permutation(OLD + 0.3 * random.standard_normal(OLD.shape)).astype(np.float32)
    stranger += OLD.mean(0) - stranger.mean(0)
    done = gate(write_run(tmp_path / "new", stranger), accepted, "fvd:+0.1%")
    assert done.returncode == 2 and "is tighter than what can be told" in done.stdout
    offered = done.stdout.partition("use --fail ")[2].split(",")[0]
    assert gate(tmp_path / "new", accepted, offered).returncode != 2


def test_near_zero_a_rule_in_units_is_offered(tmp_path: Path) -> None:
    """A percentage of what cannot be told from 0 is never certain, however large; each offer would be refused again."""
    random = np.random.default_rng(4)
    old, new = (REAL[random.permutation(CLIPS)] + 0.02 * random.standard_normal(REAL.shape) for _ in range(2))
    into = tmp_path / "accepted.jsonl"
    done = latte_eval("gate", "accept", write_run(tmp_path / "old", old.astype(np.float32)), "--into", into,
                      "--why", "x")  # fmt: skip
    assert done.returncode == 0
    done = gate(write_run(tmp_path / "new", new.astype(np.float32)), into, "fvd:+5%")
    assert done.returncode == 2 and "too near 0 for a percentage" in done.stdout
    offered = done.stdout.partition("use --fail ")[2].split(",")[0]
    assert "%" not in offered and gate(tmp_path / "new", into, offered).returncode == 0


def test_other_protocol_detector_and_data_are_named(tmp_path: Path, accepted: Path) -> None:
    changes = {"fake_clips": CLIPS, "real_clips": CLIPS, "real_stride": 1}
    detector = {**I3D, "sha256": "e" * 64}
    new = write_run(tmp_path / "new", OLD, changes=changes, detector=detector, real_source=source("real", "9" * 64))
    done = gate(new, accepted, "fvd:+10%", junit=tmp_path / "j.xml")
    assert done.returncode == 3
    for said in ("real_stride is 1, accepted was 3", "detector sha256 is eeeeeeeeeeee", "real data is 999999999999"):
        assert said in done.stdout
    assert ElementTree.parse(tmp_path / "j.xml").getroot()[0].get("errors") == "1"


def test_another_sampler_is_not_comparable_but_another_seed_is(tmp_path: Path, accepted: Path) -> None:
    settings = make_result().sampler or {}
    assert gate(write_run(tmp_path / "a", OLD, sampler={**settings, "steps": 9}), accepted, "fvd:+9%").returncode == 3
    assert gate(write_run(tmp_path / "b", OLD, sampler={**settings, "seed": 7}), accepted, "fvd:+9%").returncode == 0


def test_without_features_numbers_are_compared_and_it_is_said(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD)
    for shard in (new / "features").rglob("*.safetensors"):
        shard.unlink()
    done = latte_eval("gate", "--results", new, "--against", accepted, "--fail", "fvd:+50%")
    assert "there are no features of the new result" in done.stdout and "number against number" in done.stdout


def test_parts_are_read_from_results_of_every_version() -> None:
    """Earlier results call them groups."""
    new, old = (make_result(details={name: {"real": 20, "fake": 8}}) for name in ("parts", "groups"))
    assert (degrees_of(new), degrees_of(old), degrees_of(make_result())) == (7, 7, 31)
    assert degrees_of(make_result(details={**new.details, "groups": {"real": 5}}), old) == 7


def test_outputs(tmp_path: Path, accepted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = write_run(tmp_path / "new", NOISE + 1.3, name="<script>|x")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = gate(new, accepted, "fvd:+10%", junit=tmp_path / "j.xml", summary=tmp_path / "s.md")
    assert "::error title=latte-eval gate::fvd:+10%25" in done.stdout
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    summary = (tmp_path / "s.md").read_text()
    assert "| fvd:+10% | ❌ regression |" in summary and "<script>" not in summary and "&lt;script&gt;\\|x" in summary
    done = latte_eval("gate", "--results", new, "--against", accepted, "--fail", "fvd:+10%", "--json")
    record = json.loads(done.stdout)
    assert (record["verdict"], record["exit_code"], record["rules"][0]["paired"]) == ("regression", 1, True)


def test_usage(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD)
    assert gate(new, accepted).returncode == 2
    assert "Did you mean fvd" in gate(new, accepted, "kvd:+3%", "fdv:+3%").stderr
    assert "Unknown metric" in gate(new, accepted, "kvd:+3%").stderr
    assert "one of --ckpt" in latte_eval("gate", "--fail", "fvd:+3%").stderr
    assert "--confidence 2" in gate(new, accepted, "fvd:+3%", confidence=2).stderr
    assert "gate accept" in gate(new, tmp_path / "no.jsonl", "fvd:+3%").stderr
    assert "--ckpt new.pt" in latte_eval("gate", "new.pt").stderr
    assert "--why is empty" in latte_eval("gate", "accept", new, "--why", " ").stderr


def test_a_run_of_several_checkpoints_needs_a_name(tmp_path: Path, accepted: Path) -> None:
    new = write_run(tmp_path / "new", OLD)
    (result,) = read_results(new / "results.jsonl")
    other = dataclasses.replace(result, checkpoint={**(result.checkpoint or {}), "name": "other.pt"})
    RunFolder(new).append_results([other])
    assert "results of new.pt, other.pt: say which with --of" in gate(new, accepted, "fvd:+9%").stderr
    assert gate(new, accepted, "fvd:+9%", of="new.pt").returncode == 0
    assert "Did you mean new.pt?" in gate(new, accepted, "fvd:+9%", of="nwe.pt").stderr
    done = latte_eval("gate", "accept", new, "--into", accepted, "--why", "x", "--of", "other.pt")
    assert done.returncode == 0 and read_accepted(accepted)[-1].result.checkpoint["name"] == "other.pt"


def test_what_was_assumed_of_a_model_is_told(tmp_path: Path, accepted: Path) -> None:
    checkpoint = {"name": "new.pt", "sha256": "e" * 64, "weights": "ema", "assumed": ["variant=1"]}
    new = write_run(tmp_path / "new", OLD + 0.001, checkpoint=checkpoint)
    said = "assumed of new.pt, whose file does not tell: variant=1"
    assert said in gate(new, accepted, "fvd:+10%").stdout
    done = latte_eval("gate", "--results", new, "--against", accepted, "--fail", "fvd:+10%", "--json",
                      "--summary", tmp_path / "summary.md")  # fmt: skip
    assert json.loads(done.stdout)["assumed"] == [said] and said in (tmp_path / "summary.md").read_text()
