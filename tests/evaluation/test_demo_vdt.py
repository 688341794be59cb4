"""The shipped VDT on a machine with nothing: what it predicts is better than what can be had without a model."""

from __future__ import annotations

import json

import pytest
from command_line import latte_eval

from latte_eval.metrics.paired import ANCHORS


@pytest.mark.parametrize("task", ["predict", "interpolation"])
def test_predicted_frames_are_better_than_copies(task, tmp_path):
    done = latte_eval(
        "evaluate", "--metrics", "psnr,ssim", "--ckpt", "demo-vdt", "--task", task, "--clips", "16", "--steps", "10",
        "--device", "cpu", "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        rows = {(row["shown"], row["positions"]): row for row in json.loads(line)["details"]["paired"]}
        model, copied = rows["model", "generated"], rows[ANCHORS[0], "generated"]
        assert model["interval"][0] > copied["value"], line[:40]
        if task == "predict":
            assert model["interval"][0] > copied["interval"][1]
    assert "CC BY-NC" not in done.stdout + done.stderr
