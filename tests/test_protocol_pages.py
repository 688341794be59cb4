"""Every command of docs/protocols.md and docs/config.md is run, on small videos."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from command_line import latte_eval
from media_makers import moving_frames, write_video
from repository import ROOT

from latte_eval.core.protocol import CHOICES, Protocol
from latte_eval.core.protocols import PROTOCOLS

PROTOCOLS_PAGE, CONFIG_PAGE = ((ROOT / "docs" / name).read_text() for name in ("protocols.md", "config.md"))

# A few clips, which need no weights.
SMALL = ["--detector", "seeded", "--clips", "2", "--no-interval", "--quiet", "--out", "run"]


def commands(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages expect in the current folder."""
    root = tmp_path_factory.mktemp("pages")
    for i in range(3):
        write_video(root / "generated" / f"{i}.mp4", moving_frames(16, 48, 64) // (i + 1))
        write_video(root / "videos" / f"{i}.mp4", moving_frames(20, 48, 64) // (i + 1))
    (block,) = re.findall(r"^```toml\n(.*?)^```", CONFIG_PAGE, re.DOTALL | re.MULTILINE)
    (root / "eval.toml").write_text(block)
    return root


@pytest.mark.parametrize("command", commands(PROTOCOLS_PAGE) + commands(CONFIG_PAGE))
def test_every_command_works(command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    if "decord" in command:
        pytest.importorskip("decord")
    words = shlex.split(command.partition(" > ")[0])
    small = SMALL if words[1] == "fvd" and "--print-config" not in words else []
    done = latte_eval(*words[1:], *small)
    assert done.returncode == 0 and done.stdout, done.stderr
    if "--print-config" in words:
        assert tomllib.loads(done.stdout)["fake"] == str(workplace / "generated")


def test_the_pages_know_every_protocol_and_choice() -> None:
    assert re.findall(r"^\| `([\w-]+)` \| .*(?:network|port) \|$", PROTOCOLS_PAGE, re.MULTILINE) == list(PROTOCOLS)
    for field in ("windows", "crop", "resample", "rounding", "fake_offset", "i3d_eps", "decoder", "counted"):
        (row,) = re.findall(rf"^\| `{field}` \| (.*?) \|", PROTOCOLS_PAGE, re.MULTILINE)
        assert row == ", ".join(f"`{value}`" for value in CHOICES[field])
    assert "skip_frames" in vars(Protocol())
