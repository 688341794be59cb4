"""The ablation script: its arithmetic on made-up values, and every run's options on the training script."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from latte_eval.benchmarks.studies import ablations
from latte_eval.benchmarks.studies.ablations import ABLATIONS, RUNS, Ablation, Plan, page, put_between, verdict
from latte_eval.benchmarks.studies.train import main as train_command

PLAN = Plan(Path("runs"), steps=400, seeds=3, clips=8, batch_size=4)


def made_up(better: str, gap: float) -> dict[tuple[str, int], list[float]]:
    """Values of every run: 10, 9 and 8 give or take a tenth a seed, and `gap` less for one of them."""
    return {
        (run, seed): [value + seed / 10 - (gap if run == better else 0) for value in (10.0, 9.0, 8.0)]
        for run in RUNS
        for seed in range(3)
    }


def test_every_run_is_one_the_training_script_takes():
    for options in RUNS.values():
        assert isinstance(train_command.make_context("train", ["--out", "x", *options]), click.Context)
    assert {run for ablation in ABLATIONS for run in ablation.runs} == set(RUNS)


@pytest.mark.parametrize(
    ("better", "gap", "said"),
    [
        ("base", 1.0, "as in the paper"),
        ("base", 0.1, "not decided: within the spread of the seeds"),
        ("rotary", 1.0, "differs: rotary is better"),
    ],
)
def test_verdicts(better, gap, said):
    question = Ablation("Position", ("base", "rotary"), "absolute is better", "base")
    assert verdict(PLAN, made_up(better, gap), question) == said


def test_verdicts_without_a_winner():
    question = Ablation("Interval", ("base", "interval-2"), "no lasting difference", None)
    assert verdict(PLAN, made_up("base", 0.05), question) == "as in the paper: within the spread"
    assert verdict(PLAN, made_up("interval-2", 1), question) == "differs: interval-2 is better"


def test_one_seed_decides_nothing():
    plan = Plan(Path("runs"), 400, 1, 8, 4)
    question = Ablation("Position", ("base", "rotary"), "absolute is better", "base")
    assert verdict(plan, made_up("base", 5), question).startswith("not decided")


def test_the_page(tmp_path):
    text = page(PLAN, made_up("base", 1.0))
    assert "| Variant | base | 9.10 ± 0.10 | 8.10 ± 0.10 | 7.10 ± 0.10 |" in text
    assert text.count("| Variant |") == 5
    file = tmp_path / "page.md"
    file.write_text(f"before\n{ablations.BEGIN}\nold\n{ablations.END}\nafter\n")
    for _ in range(2):
        put_between(file, ablations.BEGIN, ablations.END, text)
        assert file.read_text() == f"before\n{ablations.BEGIN}\n{text}\n{ablations.END}\nafter\n"


def test_commands_name_runs_and_intervals():
    command = ablations.curve_command(PLAN, ["interval-2"], [0, 1], "interval")
    assert "runs/interval-2-seed1" in command and "--param=real_stride=2" in command
    assert not any("real_stride" in part for part in ablations.curve_command(PLAN, ["base"], [0], "x"))
    assert PLAN.kept == [100, 200, 400]


def test_the_figure_has_a_panel_a_question(tmp_path):
    ablations.draw_page(PLAN, made_up("base", 1.0), tmp_path / "page.svg")
    text = (tmp_path / "page.svg").read_text()
    assert text.count("<!-- rotary -->") == 1 and text.count("<!-- base -->") == 7
    assert all(f"<!-- {each.title} -->" in text for each in ABLATIONS)
