"""Metrics beside FVD, FID and IS as they are typed: small networks, whole commands, down to the gate and the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Done, latte_eval
from media_makers import write_frames

pytest.importorskip("transformers")

METRICS = "cd-fvd,fd-dinov2,kd-dinov2,jedi,prdc"
SEEDED = [word for name in ("videomae", "dinov2", "vjepa") for word in ("--detector", f"{name}-seeded")]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of clips: eight each of noise around a brightness."""
    root = tmp_path_factory.mktemp("more")
    for side, level in (("real", 90), ("fake", 120)):
        for i in range(8):
            random = np.random.default_rng([level, i])
            frames = random.integers(0, level + 10 * i, (16, 20, 20, 3)).astype(np.uint8)
            write_frames(root / side / f"{i}", frames)
    return root


@pytest.fixture(scope="module")
def run(sides: Path) -> Done:
    done = evaluate(sides, "--metrics", METRICS, *SEEDED, "--out", sides / "run")
    assert done.returncode == 0, done.stderr
    return done


def evaluate(root: Path, *words: str | Path, command: str = "evaluate") -> Done:
    typed = ("--fake", root / "fake", "--real", root / "real", "--param", "size=20", "--json", "--quiet")
    return latte_eval(command, *typed, *words)


def results(done: Done) -> dict[str, dict]:
    return {line["metric"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_one_pass_gives_every_metric(run: Done) -> None:
    found = results(run)
    names = ["cd-fvd", "fd-dinov2", "kd-dinov2", "jedi", "precision", "recall", "density", "coverage"]
    assert list(found) == names
    assert [found[name]["detector"]["name"] for name in names[:5]] == [
        "videomae-seeded", "dinov2-seeded", "dinov2-seeded", "vjepa-seeded", "videomae-seeded",
    ]  # fmt: skip
    for name in names:
        low, high = found[name]["interval"] or (0.0, 1.0)
        assert low <= found[name]["value"] <= high and not found[name]["detector"]["comparable"]
        assert bool(found[name]["interval"]) != ("no_interval" in found[name]["details"])
    assert all(found[name]["interval"] for name in names[:4])
    assert found["recall"]["details"]["k"] == 5 and found["cd-fvd"]["corrected"]["unidentified"]


def test_they_are_reported_compared_and_gated(run: Done, sides: Path) -> None:
    assert latte_eval("report", sides / "run", "-o", sides / "report", "--quiet").returncode == 0
    page = (sides / "report" / "index.html").read_text()
    for said in ("Content-debiased Fréchet video distance", "Recall: real clips", "DINOv2"):
        assert said in page, said
    table = latte_eval("compare", sides / "run", sides / "run").stdout
    assert "cd-fvd" in table and "coverage" in table
    into = sides / "accepted.jsonl"
    assert latte_eval("gate", "accept", sides / "run", "--into", into, "--why", "a test").returncode == 0
    rules = [word for rule in ("recall:-50%", "fd-dinov2:+50%") for word in ("--fail", rule)]
    done = latte_eval("gate", "--results", sides / "run", "--against", into, *rules, "--json", "--quiet")
    assert done.stdout, done.stderr
    judged = json.loads(done.stdout)["rules"]
    assert all(each["paired"] for each in judged) and done.returncode in (0, 4, 2), done.stderr


def test_a_command_of_its_own(sides: Path) -> None:
    done = evaluate(sides, "--detector", "videomae-seeded", "--no-interval", "--out", sides / "run", command="cd-fvd")
    assert list(results(done)) == ["cd-fvd"] and done.returncode == 0, done.stderr
    done = evaluate(sides, *SEEDED[:2], "--param", "frames=9", "--out", sides / "run", command="cd-fvd")
    assert (
        done.returncode
        and "videomae-seeded takes clips of 16 frames, the protocol compares 9: give --param frames=16" in done.stderr
    )


def test_the_divisor_is_a_field(run: Done, sides: Path) -> None:
    common = (*SEEDED[:2], "--no-interval", "--out", sides / "fields", "--param", "covariance=n-1")
    less = results(evaluate(sides, *common, command="cd-fvd"))["cd-fvd"]
    plain = results(run)["cd-fvd"]
    assert less["value"] > plain["value"] and less["protocol"] != plain["protocol"]
    why = latte_eval("explain", sides / "run", sides / "fields", "--metric", "cd-fvd").stdout
    assert "covariance" in why and "n-1" in why


def test_shares_over_any_features(sides: Path) -> None:
    words = ("--metrics", "prdc", "--no-interval", "--out", sides / "run")
    for detector in ("vjepa-seeded", "dinov2-seeded"):
        found = results(evaluate(sides, *words, "--detector", detector))
        assert {each["detector"]["name"] for each in found.values()} == {detector} and len(found) == 4
    for rule in ("first", "mean"):
        found = results(evaluate(sides, *words, "--detector", "dinov2-seeded", "--param", f"frame_rule={rule}"))
        assert found["recall"]["protocol_fields"]["frame_rule"] == rule
