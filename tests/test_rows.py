"""A toy metric, detector, benchmark, sampler and protocol, one row each in `toy_rows.py`, go through every room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import Done, latte_eval
from toy_rows import CONFIG, ROWS

from latte_eval.compare.results import load_results
from latte_eval.core.errors import UsageError
from latte_eval.metrics.rows import METRICS
from latte_eval.sampler.latte import Latte


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    for registry, name, row in ROWS:
        registry.register(name, row)
    yield
    for registry, name, _ in ROWS:
        del registry.entries[name]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two evaluations of one checkpoint, from two seeds."""
    root = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    torch.save({"ema": Latte(CONFIG).state_dict()}, root / "toy.pt")
    for seed in ("0", "1"):
        typed("evaluate", "--metrics", "gap", "--ckpt", root / "toy.pt", "--benchmark", "stripes", "--seed", seed,
              "--heads", "4", "--out", root / f"run{seed}")  # fmt: skip
    return root


def typed(*words: str | Path, status: int = 0) -> Done:
    done = latte_eval(*words, *([] if words[0] in ("compare", "explain") else ["--quiet"]))
    assert done.returncode == status, done.stderr + done.stdout
    return done


def test_a_result_says_which_rows_it_used(runs: Path) -> None:
    (result,) = load_results(runs / "run0")
    assert (result.metric, result.better, result.fake, result.real) == ("gap", "lower", 24, 24)
    assert result.protocol.startswith("toy-stripes-4f") and result.detector["name"] == "colours"
    assert result.sampler and (result.sampler["method"], result.sampler["steps"]) == ("halving", 3)
    assert result.value > 0


def test_they_are_compared_and_explained(runs: Path) -> None:
    table = typed("compare", runs / "run0", runs / "run1").stdout
    assert "| stripes" in table and "gap" in table and "other real clips" not in table
    why = typed("explain", runs / "run0", runs / "run1").stdout
    assert "real fingerprint" in why and "other real clips" in why


def test_they_are_gated(runs: Path, tmp_path: Path) -> None:
    into = tmp_path / "accepted.jsonl"
    latte_eval("gate", "accept", runs / "run0", "--into", into, "--why", "a toy")
    for new in (("--ckpt", runs / "toy.pt", "--heads", "4", "--out", tmp_path / "new"), ("--results", runs / "run0")):
        done = latte_eval("gate", *new, "--against", into, "--fail", "gap:+1", "--json", "--quiet")
        assert json.loads(done.stdout)["rules"][0]["paired"] and done.returncode == 0, done.stderr + done.stdout
    done = latte_eval("gate", "--results", runs / "run1", "--against", into, "--fail", "gap:+1", "--quiet")
    assert done.returncode == 3 and "real data is 0000" in done.stdout


def test_they_are_reported(runs: Path, tmp_path: Path) -> None:
    typed("report", runs / "run0", "-o", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    for said in ("Gap of the means", "The gap is the gap.", "halving", "stripes", "Nearest real clips"):
        assert said in page, said
    assert "What the distance is made of" not in page  # of a Fréchet distance only


def test_a_row_is_listed_where_names_are_typed(runs: Path) -> None:
    done = latte_eval("fvd", "--ckpt", runs / "toy.pt", "--benchmark", "stripe")
    assert done.returncode == 2 and "Did you mean stripes?" in done.stderr
    assert "--benchmark stripes" in latte_eval("inspect", runs / "toy.pt").stdout


def test_a_name_is_not_taken_twice() -> None:
    METRICS.register("gap", METRICS["gap"])
    with pytest.raises(UsageError, match="metric 'gap' is already"):
        METRICS.register("gap", METRICS["fvd"])
