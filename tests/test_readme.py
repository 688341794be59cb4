"""Every command of the README and its Python are run, in a folder that has what they name, in miniature."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from command_line import latte_eval
from many_processes import torchrun
from repository import ROOT

from latte_eval.core.result import Result
from latte_eval.evaluation import pipeline
from latte_eval.evaluation.golden import verify
from latte_eval.evaluation.request import Request
from latte_eval.sampler.latte import Latte, LatteConfig

README = (ROOT / "README.md").read_text()

# Machines without the detector weights take seeded ones; a few clips and steps do.
SMALL = ["--detector", "seeded", "--steps", "2", "--vae", "vae-seeded", "--quiet"]
SMALL_SIZE = ["--param", "size=32"]
SMALL_FOR = {
    "fvd": [*SMALL, *SMALL_SIZE, "--clips", "4"],
    "evaluate": [*SMALL, *SMALL_SIZE, "--clips", "10", "--no-interval"],
    "stats": ["--detector", "seeded", "--clips", "4", "--quiet"],
    "sample": ["--steps", "2", "--vae", "vae-seeded", "--quiet"],
    "sweep": [*SMALL, *SMALL_SIZE, "--clips", "4"],
}  # fmt: skip


def commands() -> list[str]:
    """Lines of shell blocks, without those that install."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#") and "pip install" not in line]


def write_video(path: Path, frames: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.as_posix()))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(frames):
            image = random.integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's commands expect in the current folder."""
    from latte_eval.benchmarks.datasets.ucf101 import UCF101

    root = tmp_path_factory.mktemp("readme")
    for name in UCF101.classes:
        write_video(root / f"data/UCF-101/{name}/v_{name}_g01_c01.avi", 50)
    for i in range(4):
        write_video(root / f"generated/{i:03d}.mp4", 16)
    config = LatteConfig(
        input_size=4, patch=2, channels=4, width=64, depth=2, heads=4, frames=16, classes=len(UCF101.classes)
    )
    (root / "ckpts").mkdir()
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": config.heads}}, root / "ckpts/ucf101.pt")
    return root


def test_the_two_commands_set_up_everything() -> None:
    installing = [line for line in README.splitlines() if "pip install" in line]
    assert len(installing) == 2
    assert installing[0].endswith("latte-eval fvd --ckpt demo") and installing[1].endswith("pytest -q -n auto")


@pytest.mark.parametrize("command", commands())
def test_every_command_works(command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(workplace / "cache"))
    words = shlex.split(command)
    if words[0] == "torchrun":
        module, options = words.index("latte_eval"), SMALL_FOR[words[words.index("latte_eval") + 1]]
        launcher = ["2" if word == "8" else word for word in words[1:module]]
        done = torchrun(*launcher, *words[module:], *options, "--device", "cpu")
        assert done.returncode == 0, done.stderr[-3000:]
        return
    assert words[0] in ("latte-eval", "latte_eval"), command
    # One job computes all shares, into a bucket of this process.
    words = [{"3/64": "1/1"}.get(word, word.replace("s3://", "memory://")) for word in words]
    words = ["cpu" if word == "cuda" else word for word in words[: words.index(">")]] if ">" in words else words
    # The networks take a minute; CI runs them all in a session of its own.
    monkeypatch.setattr(verify, "SECTIONS", {name: verify.SECTIONS[name] for name in ("distances", "frames")})
    done = latte_eval(*words[1:], *SMALL_FOR.get(words[1], []))
    assert done.returncode == 0, done.stderr


def test_the_python_works(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def small(request: Request) -> list[Result]:
        return evaluate(dataclasses.replace(request, detectors=("seeded",), clips=4))

    evaluate = pipeline.evaluate
    monkeypatch.setattr(pipeline, "evaluate", small)
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(workplace / "cache"))
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(block, {})
    assert re.fullmatch(r"fvd [\d.]+ \[[\d.]+, [\d.]+\] clean-\S+\n", capsys.readouterr().out)
