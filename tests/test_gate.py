"""The gate: rules, boundaries, verdicts on results and on the shipped checkpoint, and what it writes."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from command_line import latte_eval
from result_makers import I3D, make_result, write_results

from latte_eval.accepted import read_accepted, recorded_key
from latte_eval.errors import StoreError, UsageError
from latte_eval.extract import Features
from latte_eval.gate_boundaries import rounds, spending_boundaries, student_boundary
from latte_eval.gate_contrast import compare_features, compare_numbers
from latte_eval.gate_rules import parse_rule, parse_rules
from latte_eval.result import Result
from latte_eval.store import RunFolder

CLIPS, DIMENSIONS = 256, 8
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((CLIPS, DIMENSIONS)).astype(np.float32)
REAL = RNG.standard_normal((CLIPS, DIMENSIONS)).astype(np.float32)
OLD = NOISE + 1.0


def write_run(folder: Path, fake: np.ndarray, **changes: Any) -> Path:
    """A run folder with features and one result, as `evaluate` leaves it."""
    name = changes.pop("name", "new")
    sides = {"fake": (fake, f"{name:f<64}"[:64]), "real": (REAL, "d" * 64)}
    for side, (rows, fingerprint) in sides.items():
        for start in range(0, CLIPS, 32):
            part = slice(start, start + 32)
            notes = {"groups": [f"{side}-{i}" for i in range(start, start + 32)], "rejected": []}
            arrays = {"indices": np.arange(start, start + 32), "features": rows[part]}
            RunFolder(folder).write_shard(recorded_key(fingerprint, I3D), start, start + 32, arrays, notes)
    value = float(((fake.mean(0) - REAL.mean(0)) ** 2).sum() + 1)
    known = {"value": value, "interval": [value - 0.5, value + 0.5], "standard_error": 0.25, "fake": CLIPS,
             "real": CLIPS, "fake_source": source("clips", sides["fake"][1]), "real_source": source("real", "d" * 64),
             "checkpoint": {"name": f"{name}.pt", "sha256": "a" * 64, "weights": "ema", "iteration": 100, "size": 256},
             "changes": {"fake_clips": CLIPS, "real_clips": CLIPS}}  # fmt: skip
    write_results(folder / "results.jsonl", make_result(**{**known, **changes}))
    return folder


def source(name: str, fingerprint: str) -> dict[str, Any]:
    return {"name": name, "fingerprint": fingerprint, "rejected": 0, "videos": CLIPS}


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    """An accepted file with one FVD and its features."""
    into = tmp_path / "accepted.jsonl"
    done = latte_eval("gate", "accept", write_run(tmp_path / "old", OLD, name="old"), "--into", into, "--why", "first")
    assert done.returncode == 0, done.stderr
    return into


def gate(new: Path, against: Path, *rules: str, **files: Any) -> Any:
    options = [text for rule in rules for text in ("--fail", rule)]
    options += [text for name, value in files.items() for text in (f"--{name}", str(value))]
    return latte_eval("gate", "--results", new, "--against", against, "--quiet", *options)


# The published study's table for three of its levels, looks at 1/8, 1/4, 1/2 and 1.
@pytest.mark.parametrize(
    ("alpha", "known"),
    [
        (0.05, (3.168, 2.801, 2.309, 1.707)),
        (0.025, (3.365, 3.022, 2.566, 2.025)),
        (0.01, (3.610, 3.294, 2.875, 2.393)),
    ],
)
def test_boundaries_are_those_of_the_study(alpha: float, known: tuple[float, ...]) -> None:
    assert spending_boundaries([1 / 8, 1 / 4, 1 / 2, 1], alpha) == pytest.approx(known, abs=0.011)


def test_boundaries_keep_the_error_over_all_looks() -> None:
    fractions = [0.25, 0.5, 1.0]
    steps = np.random.default_rng(1).standard_normal((400_000, 3)) * np.sqrt(np.diff([0, *fractions]))
    paths = steps.cumsum(axis=1) / np.sqrt(fractions)
    crossed = (paths > spending_boundaries(fractions, 0.05)).cumsum(axis=1) > 0
    assert crossed.mean(axis=0) == pytest.approx([0.05 / 16, 0.05 / 4, 0.05], rel=0.05)
    naive = (paths > 1.645).any(axis=1).mean()
    assert naive > 0.1


def test_information_has_to_grow() -> None:
    with pytest.raises(ValueError, match="must grow"):
        spending_boundaries([0.5, 0.5], 0.05)


def test_rounds() -> None:
    assert rounds(2048) == [512, 1024, 2048]
    assert rounds(64) == [16, 32, 64]
    assert rounds(20) == [16, 20] and rounds(12) == [12]


def test_few_groups_need_more() -> None:
    assert student_boundary(1.6449, 31) == pytest.approx(1.6955, abs=1e-3)


def test_rules() -> None:
    rule = parse_rule("fvd:+3%")
    assert (rule.metric, rule.margin(200.0), str(rule)) == ("fvd", 6.0, "fvd:+3%")
    assert parse_rule(" IS : -0.5 ").margin(20.0) == 0.5


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["fdv:+3%"], r"Did you mean fvd:\+3%\?"),
        (["fvd+3%"], r"Did you mean fvd:\+3%\?"),
        (["fvd:3%"], r"Did you mean fvd:\+3%\?"),
        (["fvd:-3%"], r"lower is better for fvd, so write fvd:\+3%"),
        (["is:+0.5"], r"higher is better for is, so write is:-0.5"),
        (["colour:+1"], "there is no metric 'colour'"),
        (["fvd:+3%", "fvd:+5%"], "fvd has a rule already"),
        ([], "at least one rule"),
        (["fvd:+nan"], "cannot be read"),
    ],
)
def test_rules_that_are_not(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_rules(texts)


def test_a_metric_without_direction() -> None:
    with pytest.raises(UsageError, match="no direction"):
        parse_rule("fvd:+3%").check_direction("")


def test_equal_passes(tmp_path: Path, accepted: Path) -> None:
    done = gate(write_run(tmp_path / "new", OLD + 0.001), accepted, "fvd:+10%")
    assert done.returncode == 0, done.stdout
    assert "PASS: new.pt against old.pt" in done.stdout and "clip against clip" in done.stdout


def test_worse_is_a_regression(tmp_path: Path, accepted: Path) -> None:
    done = gate(write_run(tmp_path / "new", NOISE + 1.3), accepted, "fvd:+10%")
    assert done.returncode == 1 and "REGRESSION" in done.stdout


def test_on_the_line_is_inconclusive(tmp_path: Path, accepted: Path) -> None:
    """Half as much distance again, with noise of its own: exactly what the rule allows."""
    unpaired = RNG.standard_normal((CLIPS, DIMENSIONS)).astype(np.float32)
    unpaired += -unpaired.mean(0) + np.sqrt(1.5) * OLD.mean(0) - (np.sqrt(1.5) - 1) * REAL.mean(0)
    done = gate(write_run(tmp_path / "new", unpaired), accepted, "fvd:+50%")
    assert done.returncode == 4, done.stdout


def test_a_rule_that_is_too_tight_is_refused_with_one_that_is_not(tmp_path: Path, accepted: Path) -> None:
    stranger = np.random.default_rng(3).permutation(OLD + 0.3 * RNG.standard_normal(OLD.shape)).astype(np.float32)
    stranger += OLD.mean(0) - stranger.mean(0)
    done = gate(write_run(tmp_path / "new", stranger), accepted, "fvd:+0.1%")
    assert done.returncode == 2 and "is tighter than what can be told" in done.stdout
    offered = done.stdout.partition("use --fail ")[2].split(",")[0]
    assert gate(tmp_path / "new", accepted, offered).returncode != 2


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


def numbers(value: float, error: float | None, **fields: Any) -> Result:
    interval = [value - 1, value + 1]
    return make_result(value=value, interval=interval, standard_error=error, **fields)


def test_numbers_by_hand() -> None:
    found = compare_numbers(parse_rule("fvd:+10%"), numbers(115.0, 3.0), numbers(100.0, 4.0))
    assert found.excess == pytest.approx(5.0) and found.standard_error == pytest.approx(np.hypot(3, 4.4))
    with pytest.raises(StoreError, match="neither features nor a standard error"):
        compare_numbers(parse_rule("fvd:+10%"), numbers(115.0, None), numbers(100.0, 4.0))


def test_scores_are_better_when_higher() -> None:
    details = {"splits": 10, "std": 0.3}
    new, old = (numbers(v, None, metric="is", better="higher", details=details) for v in (5.0, 6.0))
    found = compare_numbers(parse_rule("is:-0.5"), new, old)
    assert found.excess == pytest.approx(0.5) and found.standard_error == pytest.approx(0.1 * np.sqrt(2))


def table(rows: np.ndarray, name: str = "features") -> Features:
    return Features({name: rows}, list(range(len(rows))), [f"clip-{i}" for i in range(len(rows))], [])


@pytest.mark.parametrize("metric", ["fvd", "kvd"])
def test_pairing_narrows_what_is_not_known(metric: str) -> None:
    rule, other = parse_rule(f"{metric}:+5%"), RNG.standard_normal(NOISE.shape).astype(np.float32)
    paired = compare_features(rule, table(NOISE * 1.01 + 1), table(OLD), table(REAL))
    strangers = compare_features(rule, table(other + 1), table(OLD), table(REAL))
    assert paired.standard_error < strangers.standard_error / 2


def test_inception_scores_of_clips() -> None:
    sharp = np.eye(4)[np.arange(CLIPS) % 4] * 0.9 + 0.025
    blurred = sharp * 0.7 + 0.075
    worse = compare_features(parse_rule("is:-5%"), table(blurred, "probabilities"), table(sharp, "probabilities"), None)
    same = compare_features(parse_rule("is:-5%"), table(sharp, "probabilities"), table(sharp, "probabilities"), None)
    assert worse.statistic > 5 and same.statistic < -5


def test_collapse_does_not_hide_behind_a_shrinking_bias() -> None:
    """Narrower features are farther from the real ones, but their plug-in distance has less bias."""
    random = np.random.default_rng(5)
    real, noise = (random.standard_normal((60, 24)).astype(np.float32) for _ in range(2))
    rule = parse_rule("fvd:+0")
    found = compare_features(rule, table(noise * 0.75), table(noise), table(real))
    assert found.excess == pytest.approx(24 * 0.25**2, abs=1.2) and found.excess > 0


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


def test_accepting_says_who_when_and_why(accepted: Path) -> None:
    line = read_accepted(accepted)[-1]
    assert line.about["why"] == "first" and line.about["who"] and line.about["when"].endswith("Z")
    assert np.array_equal(line.sides()["fake"].outputs["features"], OLD)
    assert np.array_equal(line.sides()["real"].outputs["features"], REAL)


def test_the_newest_line_counts_and_a_bare_result_is_a_number(tmp_path: Path, accepted: Path) -> None:
    with accepted.open("a") as file:
        file.write(dataclasses.replace(read_accepted(accepted)[-1].result, checkpoint=None).to_json() + "\n")
    done = gate(write_run(tmp_path / "new", OLD), accepted, "fvd:+90%")
    assert "there are no features of the accepted one" in done.stdout


def test_accepted_features_that_were_changed_or_lost(tmp_path: Path, accepted: Path) -> None:
    file = next((tmp_path / "accepted.features").iterdir())
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    new = write_run(tmp_path / "new", OLD)
    assert "its sha256 differs" in gate(new, accepted, "fvd:+9%").stderr
    file.unlink()
    done = gate(new, accepted, "fvd:+9%")
    assert done.returncode == 1 and "keep that folder beside the accepted file" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "holds no accepted result"),
        (lambda text: text.replace('{"schema": 1', '{"schema": 9', 1), "schema 9, newer than the 1"),
        (lambda text: text.replace('{"schema": 1', '{"schema": 1, "schema": 1', 1), "the key 'schema' twice"),
        (lambda text: text.replace('"value":', '"value": 1, "value":', 1), "the key 'value' twice"),
        (lambda text: text[:-30], "not a whole JSON line"),
        (lambda text: '{"accepted": 3}\n', "is not an accepted result"),
        (lambda text: "[1]\n", "is not an accepted result"),
    ],
)
def test_bad_accepted_files(tmp_path: Path, accepted: Path, change: Any, said: str) -> None:
    accepted.write_text(change(accepted.read_text()))
    done = gate(write_run(tmp_path / "new", OLD), accepted, "fvd:+9%")
    assert done.returncode == 1 and said in done.stderr, done.stderr


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
    line = (new / "results.jsonl").read_text()
    (new / "results.jsonl").write_text(line + line.replace("new.pt", "other.pt"))
    assert "results of new.pt, other.pt: say which with --of" in gate(new, accepted, "fvd:+9%").stderr
    assert gate(new, accepted, "fvd:+9%", of="new.pt").returncode == 0
    assert "Did you mean new.pt?" in gate(new, accepted, "fvd:+9%", of="nwe.pt").stderr
    done = latte_eval("gate", "accept", new, "--into", accepted, "--why", "x", "--of", "other.pt")
    assert done.returncode == 0 and read_accepted(accepted)[-1].result.checkpoint["name"] == "other.pt"


def test_no_write_permission(tmp_path: Path, accepted: Path) -> None:
    new, locked = write_run(tmp_path / "new", OLD), tmp_path / "file"
    locked.write_text("")
    done = latte_eval("gate", "accept", new, "--into", locked / "accepted.jsonl", "--why", "x")
    assert done.returncode == 1 and "cannot write" in done.stderr
    done = gate(new, accepted, "fvd:+9%", junit=locked / "j.xml")
    assert done.returncode == 1 and "cannot write" in done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped checkpoint, accepted at 20 clips of 4 steps."""
    folder = tmp_path_factory.mktemp("demo")
    options = ("--clips", "20", "--steps", "4", "--out", folder / "run", "--quiet", "--device", "cpu")
    done = latte_eval("evaluate", "--metrics", "fvd,kvd", "--ckpt", "demo", *options)
    assert done.returncode == 0, done.stderr
    into = folder / "accepted.jsonl"
    assert latte_eval("gate", "accept", folder / "run", "--into", into, "--why", "demo").returncode == 0
    return into


def gate_ckpt(demo: Path, ckpt: str | Path, rule: str, *more: str | Path) -> Any:
    options = ("--max-clips", "20", "--out", demo.parent / "run", "--device", "cpu", "--quiet", "--json", *more)
    done = latte_eval("gate", "--ckpt", ckpt, "--against", demo, "--fail", rule, *options)
    return done, json.loads(done.stdout) if done.stdout.startswith("{") else {}


def test_the_accepted_checkpoint_passes_without_sampling(demo: Path) -> None:
    done, record = gate_ckpt(demo, "demo", "fvd:+20%")
    assert done.returncode == 0, done.stderr
    assert record["rules"][0]["notes"][-1] == "this is the accepted checkpoint itself"


def corrupted(folder: Path, share: float) -> Path:
    """The demo checkpoint with noise on its weights, in parts of their own spread."""
    from latte_eval.benchmarks import shapes

    file = Path(shapes.__file__).parent / "demo.pt"
    whole = torch.load(file, weights_only=True)
    generator = torch.Generator().manual_seed(0)

    def disturb(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: disturb(each) for name, each in value.items()}
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim > 1:
            noise = torch.randn(value.shape, generator=generator)
            return (value.float() + share * value.float().std() * noise).to(value.dtype)
        return value

    path = folder / f"corrupted-{share}.pt"
    torch.save(disturb(whole), path)
    return path


def test_a_corrupted_checkpoint(demo: Path, tmp_path: Path) -> None:
    done, record = gate_ckpt(demo, corrupted(tmp_path, 1.0), "fvd:+20%")
    assert done.returncode == 1, done.stderr
    assert (record["clips"], record["saved"]) == (16, 4)
    done, record = gate_ckpt(demo, corrupted(tmp_path, 0.02), "fvd:+1%")
    assert done.returncode in (2, 4) and record["clips"] == 20 and len(record["rules"][0]["looks"]) == 2


def test_other_sampling_cannot_be_asked_for_and_features_are_needed(demo: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text(read_accepted(demo)[0].result.to_json() + "\n")
    done, _ = gate_ckpt(bare, "demo", "fvd:+20%")
    assert done.returncode == 1 and "has no features of both sides" in done.stderr


def test_another_codec_is_not_comparable(demo: Path) -> None:
    record = json.loads(demo.read_text().splitlines()[0])
    record["result"]["sampler"]["codec"] = "vae"
    other = demo.parent / "other.jsonl"
    other.write_text(json.dumps(record) + "\n")
    done, found = gate_ckpt(other, "demo", "fvd:+20%")
    assert done.returncode == 3 and "sampler codec is identity, accepted was vae" in found["rules"][0]["notes"]


def test_the_simulation_small() -> None:
    """Equal and slightly worse pass, clearly worse and collapsed fail, and paired noise saves clips."""
    simulation = load_simulation()
    verdicts = {case.name: simulation.simulate(case, 6, simulation.World(16), 256) for case in simulation.CASES}
    assert verdicts["equal, same noise"][0]["regression"] == 0
    for name in ("clearly worse, same noise", "collapsed, same noise"):
        assert verdicts[name][0]["pass"] == 0 and verdicts[name][0]["regression"] >= 3
    assert verdicts["equal, same noise"][1] < verdicts["equal, unrelated noise"][1]


def load_simulation() -> ModuleType:
    import importlib.util
    import sys

    path = Path(__file__).parent.parent / "benchmarks" / "simulations" / "gate.py"
    spec = importlib.util.spec_from_file_location("gate_simulation", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["gate_simulation"] = module
    spec.loader.exec_module(module)
    return module
