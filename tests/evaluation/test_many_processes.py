"""Two real processes: every long command shares its clips, and gives what one process gives."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import latte_eval
from gate_makers import DEMO_ACCEPTED
from many_processes import COMMANDS, HANGS, free_port, start_rank, torchrun

from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig

SMALL = ("--device", "cpu", "--quiet")
SHAPES = LatteConfig(input_size=16, patch=8, channels=3, width=16, depth=2, heads=4, frames=16, classes=4)


def words_of(root: Path, name: str) -> list[list[object]]:
    """Long commands, with a folder of their own for what they write."""
    out = root / name
    clips = ("--clips", 4, "--steps", 2, "--no-interval", "--detector", "seeded", *SMALL)
    curve = ("curve", root / "ckpts", "--benchmark", "shapes", *clips, "--plot", out / "curve", "--json")
    gate = ("gate", "--ckpt", "demo", "--against", DEMO_ACCEPTED, "--fail", "fvd:+9", "--max-clips", 4, "--json")
    return [
        [*curve, "--out", out / "run"],
        [*gate, "--out", out / "gate", *SMALL],
        ["sample", "--ckpt", "demo", "--seeds", "0-5,9", "--steps", 2, "--out", out / "samples", *SMALL],
    ]


def what_counts(lines: list[str]) -> list[Any]:
    """What was measured, in the output of commands with --json."""
    records = [json.loads(line) for line in lines if line.startswith("{")]
    return [
        {key: each[key] for key in ("metric", "value", "fake", "verdict", "clips") if key in each} for each in records
    ]


def test_long_commands_one_after_the_other_in_one_group(tmp_path: Path) -> None:
    for step in (100, 200):
        torch.manual_seed(step)
        path = tmp_path / "ckpts" / f"{step:07d}.pt"
        path.parent.mkdir(exist_ok=True)
        torch.save({"ema": Latte(SHAPES).state_dict(), "config": SHAPES.to_dict()}, path)
    alone = [latte_eval(*map(str, words)) for words in words_of(tmp_path, "alone")]
    assert all(done.returncode in (0, 2, 4) for done in alone), alone
    joined = [word for words in words_of(tmp_path, "two") for word in (*words, "then")][:-1]
    (tmp_path / "commands.py").write_text(COMMANDS)
    two = torchrun("--nproc-per-node", 2, tmp_path / "commands.py", *joined)
    statuses = [line.split()[1:] for line in two.stderr.splitlines() if line.startswith("statuses")]
    assert two.returncode == 0, two.stderr[-3000:]
    assert sorted(statuses)[-1] == [str(done.returncode) for done in alone], two.stderr[-3000:]
    expected, found = (what_counts(text.splitlines()) for text in ("".join(done.stdout for done in alone), two.stdout))
    assert len(expected) == 3
    assert [each.pop("value", 0) for each in found] == pytest.approx([each.pop("value", 0) for each in expected], 1e-9)
    assert found == expected
    same_samples(tmp_path / "alone" / "samples", tmp_path / "two" / "samples")
    assert [path.name for path in (tmp_path / "two").rglob("alive/*")] == []
    results = sorted(
        path.relative_to(tmp_path / "two").as_posix() for path in (tmp_path / "two").rglob("results.jsonl")
    )
    assert results == ["gate/results.jsonl", "run/results.jsonl"]


def same_samples(one: Path, two: Path) -> None:
    files = [{path.name: path.read_bytes() for path in folder.glob("*.*4")} for folder in (one, two)]
    records = [json.loads((folder / "samples.json").read_text()) for folder in (one, two)]
    assert files[0] == files[1] and len(files[0]) == 7
    assert records[0] == records[1] and not list((two / ".samples").glob("*.json"))


def fvd(out: Path) -> list[str]:
    return [*map(str, ("evaluate", "--metrics", "fvd", "--ckpt", "demo", "--clips", 4, "--steps", 2, "--no-interval")),
            "--json", "--device", "cpu", "--out", str(out)]  # fmt: skip


def test_a_process_that_is_killed_is_named_and_survived(tmp_path: Path) -> None:
    hangs, works = tmp_path / "hangs.py", tmp_path / "works.py"
    hangs.write_text(HANGS + COMMANDS)
    works.write_text(COMMANDS)
    port = free_port()
    first = start_rank(0, 2, port, works, *fvd(tmp_path / "run"))
    victim = start_rank(1, 2, port, hangs, *fvd(tmp_path / "run"))
    try:
        assert victim.stdout and victim.stdout.readline().startswith("claimed")
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "run" / "features").rglob("*.safetensors"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert first.poll() is None  # it waits for what the other holds
        victim.send_signal(signal.SIGKILL)
        out, err = first.communicate(timeout=120)
    finally:
        for each in (first, victim):
            each.kill()
            each.communicate()
    assert f"Note: rank 1 on {victim_host()} (process {victim.pid}) is lost: its clips are taken over" in err
    (line,) = [line for line in out.splitlines() if line.startswith("{")]
    alone = latte_eval(*fvd(tmp_path / "alone"))
    assert json.loads(line)["value"] == pytest.approx(json.loads(alone.stdout)["value"], rel=1e-9)


def victim_host() -> str:
    from latte_eval.core.processes import host

    return host()
