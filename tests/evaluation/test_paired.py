"""LPIPS of a task from the command line: both anchors, the best of several samples, and what is refused at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from small_vdt import small_vdt

from latte_eval.sampler.vdt import VDTConfig


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A VDT of two frames of 32 pixels and one of 16, with four real videos."""
    root = tmp_path_factory.mktemp("files")
    for video in range(4):
        write_frames(root / "real" / str(video), moving_frames(2, 32, 64)[:, :, 4 * video : 4 * video + 32])
    for name, size in (("vdt.pt", 32), ("tiny.pt", 16)):
        config = VDTConfig(input_size=size, patch=16, channels=3, width=32, depth=1, heads=4, frames=2)
        torch.save({"ema": small_vdt(config).state_dict(), "args": {"num_heads": 4}}, root / name)
    return root


def run(files: Path, *arguments: str | Path, ckpt: str = "vdt.pt"):
    return latte_eval(
        "evaluate", "--metrics", "lpips,psnr", "--ckpt", files / ckpt, "--real", files / "real", "--given", "0",
        "--device", "cpu", "--steps", "2", "--out", files / "run", *arguments,
    )  # fmt: skip


def test_lpips_beside_its_anchors(files):
    done = run(files, "--detector", "lpips-seeded", "--samples", "2")
    assert done.returncode == 0, done.stderr
    assert "lpips-seeded; seeded random weights" in done.stdout and " best " in done.stdout
    lines = [json.loads(line) for line in (files / "run" / "results.jsonl").read_text().splitlines()]
    found = {line["metric"]: line for line in lines}["lpips"]
    table = {(row["shown"], row["positions"]): row for row in found["details"]["paired"]}
    model, whole = table["model", "generated"], table["model", "whole"]
    assert found["value"] == model["value"] and found["better"] == "lower" and not found["detector"]["comparable"]
    assert table["codec round trip of the truth", "generated"]["value"] == 0
    assert 0 < table["copy nearest given frame", "generated"]["value"] < model["best"] < model["value"]
    assert whole["value"] == pytest.approx(model["value"] / 2, rel=1e-6)  # one of two frames is given
    assert found["interval"][0] < found["value"] and "LPIPS 0.1, AlexNet" in found["details"]["variant"]


def test_what_cannot_be_is_said_before_anything_is_sampled(files, monkeypatch):
    done = run(files, "--detector", "lpips-seeded", ckpt="tiny.pt")
    assert done.returncode != 0 and "at least 31 pixels a side, these are 16x16; leave lpips out" in done.stderr
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(files / "nothing"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = run(files)
    assert done.returncode != 0 and "--detector lpips-seeded (not comparable" in done.stderr
    assert "run " not in done.stdout and "Traceback" not in done.stderr
    stats = "stats", "--metrics", "lpips", "--detector", "seeded", "--param", "frames=2", "--param", "size=32"
    done = latte_eval(*stats, "--real", files / "real", "--out", files / "s.safetensors", "--device", "cpu")
    assert done.returncode != 0 and "lpips-seeded compares clips with the real clips" in done.stderr
