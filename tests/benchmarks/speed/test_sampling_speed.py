"""The speed script of sampling runs, row after row; the speed itself is not tested."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from repository import ROOT

from latte_eval.sampler.latte.config import LatteConfig

SCRIPT = ROOT / "benchmarks" / "speed" / "sampling.py"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the speed scripts are not installed")


def tiny(name: str, classes: int) -> LatteConfig:
    return LatteConfig(8, 4, 4, 32, 2, 4, 4, classes)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, on a tiny model and without a compiler."""
    from latte_eval.benchmarks.speed import sampling

    monkeypatch.setattr(sampling, "latte_config", tiny)
    monkeypatch.setattr(sampling.torch, "compile", eager(torch.compile))
    return sampling


def eager(compiler: Any) -> Any:
    return lambda function, dynamic, mode=None: partial(compiler, dynamic=dynamic, backend="eager")(function)


def rows(script: ModuleType, *words: str) -> list[list[str]]:
    done = CliRunner().invoke(script.main, ["--device", "cpu", "--batch-sizes", "1,2", "--repeats", "1", *words])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]


def test_every_choice_has_a_row(script):
    head, *found = rows(script, "--parts", "steps")
    assert [row[0] for row in found] == [choice.title for choice in script.CHOICES]
    assert {len(row) for row in found} == {len(head)}, "a row that failed is shorter"
    assert found[0][5] == "1.00" and all(float(row[2]) > 0 for row in found)


def test_the_whole_loop(script):
    head, *found = rows(script, "--parts", "loop")
    assert len(found) == 6 and {len(row) for row in found} == {len(head)}


def test_a_choice_that_fails_costs_no_other(script, monkeypatch):
    monkeypatch.setattr("latte_eval.sampler.latte.attention.products", None)
    found = {row[0]: row for row in rows(script, "--parts", "steps")}
    assert found["bf16, products over time"][1].startswith("failed: TypeError")
    assert len(found["bf16, GELU inside the product"]) == 7


def test_past_its_time_no_row_is_started(script):
    _, *found = rows(script, "--parts", "steps", "--seconds", "0")
    assert {row[1] for row in found} == {"not started: no time left"}


def test_stand_ins_give_the_answers_of_what_they_stand_for(script):
    query, key, value = torch.randn(3, 5, 2, 16, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(script.sums_for_short(query, key, value), expected)
    flat = torch.nn.functional.gelu(torch.nn.functional.linear(query, key[0, 0], value[0, 0, :, 0]), approximate="tanh")
    # On a CPU this operation takes the exact GELU, which is up to 5e-4 from the tanh form.
    torch.testing.assert_close(script.linear_gelu(query, key[0, 0], value[0, 0, :, 0]), flat, rtol=0, atol=1e-3)
