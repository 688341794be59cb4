"""The gate on the shipped checkpoint and on broken ones, against the accepted result that ships with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import latte_eval
from gate_makers import DEMO_ACCEPTED, DEMO_RULE, corrupted
from result_makers import make_result

from latte_eval.compare.comparable import Conditions, differences
from latte_eval.compare.results import read_results
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result, json_line
from latte_eval.evaluation.request import Request
from latte_eval.files.run_folder import RunFolder
from latte_eval.gate.accepted import line_digest, read_accepted
from latte_eval.gate.record import read_verdicts
from latte_eval.gate.sampling import open_as_accepted
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig

# Noise on the weights, in parts of their own spread: FVD 1.8 and 3.0 at 16 clips, the demo has 0.9.
A_LITTLE, A_LOT = 0.12, 0.2


def gate_ckpt(ckpt: str | Path, run: Path, *more: str | Path, against: Path = DEMO_ACCEPTED) -> Any:
    options = ("--out", run, "--device", "cpu", "--quiet", "--json", *more)
    rules = () if "--fail" in more else ("--fail", DEMO_RULE)
    done = latte_eval("gate", "--ckpt", ckpt, "--against", against, *rules, *options)
    return done, json.loads(done.stdout) if done.stdout.startswith("{") else {}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a gate on the unchanged checkpoint leaves; it has passed."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    done, record = gate_ckpt("demo", folder)
    assert done.returncode == 0, done.stderr
    assert (record["clips"], record["budget"], record["saved"]) == (16, 64, 48)
    return folder


def test_the_accepted_checkpoint_passes_again_without_sampling(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    done, record = gate_ckpt("demo", run)
    assert done.returncode == 0 and "this is the accepted checkpoint itself" in record["rules"][0]["notes"][-1]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")} == before


def test_a_little_noise_on_the_weights_is_inconclusive(tmp_path: Path) -> None:
    done, record = gate_ckpt(corrupted(tmp_path, A_LITTLE), tmp_path / "run", "--max-clips", "20")
    assert done.returncode == 4, done.stdout
    assert [look["clips"] for look in record["rules"][0]["looks"]] == [16, 20]


def test_a_lot_of_noise_on_the_weights_is_a_regression(tmp_path: Path) -> None:
    done, record = gate_ckpt(corrupted(tmp_path, A_LOT), tmp_path / "run")
    assert done.returncode == 1, done.stdout
    assert (record["clips"], record["saved"]) == (16, 48)


def test_what_is_left_is_a_run(run: Path) -> None:
    """A result that says what was measured, and the features of both sides under the keys that it records."""
    accepted = read_accepted(DEMO_ACCEPTED)[-1]
    result = read_results(run / "results.jsonl")[0]
    protocol = Protocol.from_dict(accepted.result.protocol_fields).replace(fake_clips=16)
    assert (result.protocol, result.protocol_sha256, result.fake) == (protocol.id, protocol.sha256, 16)
    assert (result.real, result.real_source) == (64, accepted.result.real_source)
    assert result.checkpoint and accepted.result.checkpoint
    assert result.checkpoint["sha256"] == accepted.result.checkpoint["sha256"]
    assert all(as_json(result)[name] == as_json(accepted.result)[name] for name in ("sampler", "detector"))
    assert result.interval and result.interval[0] < result.value < result.interval[1] and result.seeds == [0, 15]
    fake, real = (RunFolder(run).features_of(result, side) for side in ("fake", "real"))
    assert fake is not None and real is not None and (len(fake), len(real)) == (16, 64)
    # Across processors clips agree to rounding, not to the bit.
    expected = accepted.sides()["fake"].first(16).outputs["features"]
    np.testing.assert_allclose(fake.outputs["features"], expected, rtol=0, atol=0.02 * float(np.abs(expected).max()))
    np.testing.assert_array_equal(real.outputs["features"], accepted.sides()["real"].outputs["features"])
    assert [verdict["verdict"] for verdict in read_verdicts(run)][0] == "pass"


def as_json(result: Result) -> dict[str, Any]:
    return result.to_record()


def test_two_rules_on_one_sampling_pass(run: Path, tmp_path: Path) -> None:
    options = ("--ckpt", "demo", "--clips", "16", "--out", run, "--quiet", "--device", "cpu")
    assert latte_eval("evaluate", "--metrics", "fvd,kvd", *options).returncode == 0
    into = tmp_path / "accepted.jsonl"
    assert latte_eval("gate", "accept", run, "--into", into, "--why", "two metrics").returncode == 0
    done, record = gate_ckpt("demo", run, "--fail", "fvd:+1", "--fail", "kvd:+1", against=into)
    assert done.returncode == 0, done.stderr
    assert [rule["metric"] for rule in record["rules"]] == ["fvd", "kvd"]
    assert [result.metric for result in read_results(run / "results.jsonl")[-2:]] == ["fvd", "kvd"]


def test_features_of_the_accepted_run_are_needed(tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text(read_accepted(DEMO_ACCEPTED)[0].result.to_json() + "\n")
    done, _ = gate_ckpt("demo", tmp_path / "run", against=bare)
    assert done.returncode == 5 and "has no features of both sides" in done.stderr


def changed_accepted(folder: Path, old: str, new: str) -> Path:
    """The demo's accepted file with its features and one change in its line."""
    text = DEMO_ACCEPTED.read_text()
    assert old in text
    features = folder / "accepted.features"
    features.symlink_to(DEMO_ACCEPTED.parent / "accepted.features")
    record = json.loads(text.replace(old, new))
    (folder / "accepted.jsonl").write_text(json_line({**record, "digest": line_digest(record)}) + "\n")
    return folder / "accepted.jsonl"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"codec": "identity"', '"codec": "vae"', "sampler codec is identity, accepted was vae"),
        ('"sha256": "14d72cf488e3', '"sha256": "ffffffffffff', "detector sha256 is 14d72cf488e3, accepted was ffff"),
        ('"frames": 16, "size": 16}', '"frames": 16, "size": 32}', "size is 16, accepted was 32"),
    ],
)
def test_what_cannot_be_as_it_was_is_not_comparable(tmp_path: Path, old: str, new: str, said: str) -> None:
    done, found = gate_ckpt("demo", tmp_path / "run", against=changed_accepted(tmp_path, old, new))
    assert done.returncode == 3 and said in found["rules"][0]["notes"][0], done.stderr
    assert [each["verdict"] for each in read_verdicts(tmp_path / "run")] == ["not comparable"]
    assert not (tmp_path / "run" / "results.jsonl").exists()


def test_classes_are_drawn_as_often_as_for_the_accepted_run(tmp_path: Path) -> None:
    """labels=dataset counts them on the real side, which a gate does not have."""
    config = LatteConfig(input_size=4, patch=2, channels=3, width=64, depth=2, heads=4, frames=4, classes=3)
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": config.heads}}, tmp_path / "three.pt")
    sampler = {"label_mode": "dataset", "label_frequencies": [2.0, 0.0, 1.0]}
    result = make_result(sampler=sampler, changes={"labels": "dataset"})
    opened = open_as_accepted(Request(ckpt=str(tmp_path / "three.pt"), vae="identity"), result)
    assert (opened.settings.label_mode, opened.settings.label_frequencies) == ("dataset", (2.0, 0.0, 1.0))
    accepted, new = ({"sampler": {**opened.sampler_record(), **more}} for more in (sampler, {}))
    assert not differences(Conditions(accepted), Conditions(new))


def test_a_run_folder_that_cannot_be_written_is_told_before_sampling(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done, _ = gate_ckpt("demo", tmp_path / "file" / "run")
    assert done.returncode == 5 and "cannot write to --out" in done.stderr
