"""Every command of the README and its Python are run, in a folder that has what they name, in miniature."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
from command_line import latte_eval
from many_processes import torchrun
from repository import ROOT
from workplace import SMALL_FOR, make_workplace

from latte_eval.evaluation import one_line
from latte_eval.evaluation.golden import verify

README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Lines of shell blocks, without those that install."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#") and "pip install" not in line]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workplace(tmp_path_factory.mktemp("readme"))


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
    monkeypatch.setattr(one_line, "evaluate", partial(one_line.evaluate, detectors=("seeded",), clips=4))
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(workplace / "cache"))
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(block, {})
    assert re.fullmatch(r"fvd [\d.]+ \[[\d.]+, [\d.]+\] clean-\S+\n", capsys.readouterr().out)
