"""Every block of code of the docs runs, in a folder that has what the pages name, in miniature.

A command that would take minutes or needs what no machine of the tests has is read by its own parser instead, which
knows every option and every choice; `READ_ONLY` says which and why. Pages with a test of their own are in `ELSEWHERE`.
"""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
import torch
from command_line import Done, latte_eval
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from repository import ROOT
from small_vdt import small_vdt
from workplace import SMALL_FOR, SMALL_SIZE, make_workplace, write_video

from latte_eval.cli import group
from latte_eval.sampler.vdt import VDTConfig

DOCS = ROOT / "docs"
ELSEWHERE = {
    "clusters.md": "tests/test_clusters_page.py",
    "coming-from.md": "tests/test_coming_from_page.py",
    "config.md": "tests/test_protocol_pages.py",
    "dashboards.md": "tests/test_dashboards_page.py",
    "protocols.md": "tests/test_protocol_pages.py",
    "python.md": "tests/test_python_page.py",
    "training.md": "tests/test_dashboards_page.py",
}

# Python of the pages, as the module that their commands name.
MODULES = {"generators.md": "my_model", "recipes.md": "stills"}

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    ((?:latte-eval|torchrun|python|pip) .*(?:\n        .*)*)", re.MULTILINE)

# Commands that are only read, by a text in them.
READ_ONLY = {
    "torchrun": "tests/evaluation/test_many_processes.py starts two processes",
    "hf://": "there is no hub",
    "drive://": "there is no Google Drive",
    "--metrics fvd,cd-fvd,fid": "seven networks",
    "fvd --ckpt demo": "a minute; tests/cli/test_cli.py runs it",
    "runs/accepted": "what was accepted of that run",
    "latte_eval.benchmarks.studies": "minutes to hours",
    "benchmarks/simulations": "minutes",
    "tests/siege": "minutes; tests/siege/test_siege.py runs a slice",
    "pip install": "the environment of the tests is that",
}
SMALL = {
    **SMALL_FOR,
    "evaluate": SMALL_FOR["fvd"],
    "curve": SMALL_FOR["fvd"],
    "stats": [*SMALL_FOR["stats"], *SMALL_SIZE],
    "gate": ["--max-clips", "8", "--quiet"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workplace of the README, with the names that pages of the docs use besides."""
    root = make_workplace(tmp_path_factory.mktemp("docs"))
    for name in ("X", "X.pt", "step40000.pt", "step50000.pt"):
        (root / name).symlink_to(root / "ckpts" / "ucf101.pt")
    (root / "checkpoints").mkdir()
    for name in ("0040000.pt", "0050000.pt"):
        (root / "checkpoints" / name).symlink_to(root / "ckpts" / "ucf101.pt")
    for i in range(4):
        write_video(root / "DIR" / f"{i}.mp4", 32)
    vdt = VDTConfig(input_size=4, patch=2, channels=4, width=32, depth=2, heads=4, frames=16)
    torch.save({"ema": small_vdt(vdt).state_dict(), "args": {"num_heads": 4}}, root / "vdt.pt")
    for page, module in MODULES.items():
        (code,) = python_of(page)
        (root / f"{module}.py").write_text(code.replace("size=256", "size=32"))
    make_pipeline(root / "pipeline")
    return root


def make_pipeline(folder: Path) -> None:
    """A diffusion pipeline for images of 32 pixels, with random weights."""
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    network = UNet2DModel(sample_size=32, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, **blocks)
    DDIMPipeline(network, DDIMScheduler()).save_pretrained(folder)


def python_of(page: str) -> list[str]:
    return [code for kind, code in FENCE.findall((DOCS / page).read_text()) if kind == "python"]


def pages() -> list[str]:
    return sorted(path.name for path in DOCS.glob("*.md") if path.name not in ELSEWHERE)


def commands_of(page: str) -> list[str]:
    """Lines of shell, in order; a comment or an exit status behind one is dropped."""
    text = (DOCS / page).read_text()
    blocks = [code for kind, code in FENCE.findall(text) if kind == "sh"] + INDENTED.findall(text)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def words_of(line: str) -> list[str]:
    """The words of a command, up to where its output goes, with `*` as a shell reads it."""
    words = shlex.split(line, comments=True)
    words = words[: words.index(">")] if ">" in words else words
    return [name for word in words for name in (found(word) if "*" in word else [word])]


def found(pattern: str) -> list[str]:
    return sorted(map(str, Path().glob(pattern)))


def read(words: list[str]) -> None:
    """Let the parser of a program read its options: it refuses names and values that it does not know."""
    if words[0] == "torchrun":
        words = ["latte-eval", *words[words.index("latte_eval") + 1 :]]
    if words[0] == "latte-eval":
        read_command(group, words[1:], click.Context(group, info_name="latte-eval"))
    elif words[:2] == ["python", "-m"]:
        importlib.import_module(words[2]).main.make_context(words[2], words[3:])
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
    else:
        assert words[0] == "pip"


def read_command(command: click.Command | None, words: list[str], context: click.Context) -> None:
    assert command is not None, words
    if isinstance(command, click.Group) and (below := command.get_command(context, words[0])):
        read_command(below, words[1:], context)
    else:
        command.make_context(command.name, words, parent=context)


def run(words: list[str]) -> Done:
    """Run a command, made small."""
    assert words[0] == "latte-eval", words
    verb = words[1] if "--ckpt" in words or words[1] != "gate" else "verdict"
    return latte_eval(*words[1:], *SMALL.get(verb, []))


@pytest.mark.parametrize("page", pages())
def test_the_commands_of_a_page(page: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in place.iterdir():
        (tmp_path / name.name).symlink_to(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(place / "cache"))
    for line in commands_of(page):
        words = words_of(line)
        if any(text in line for text in READ_ONLY):
            read(words)
        else:
            done = run(words)
            assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_no_block_of_python_is_left_out() -> None:
    assert {page for page in pages() if python_of(page)} == set(MODULES)
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())


CONSOLE = [
    pytest.param(command, answer, id=command.removeprefix("latte-eval ")[:60])
    for command, answer in re.findall(r"^\$ (.+)\n(.+)\n```", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def trouble(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the errors of the page need besides."""
    root = tmp_path_factory.mktemp("trouble")
    for path in place.iterdir():
        (root / path.name).symlink_to(path)
    (root / "ckpts").unlink()
    (root / "ckpts").mkdir()
    whole = (place / "ckpts" / "ucf101.pt").read_bytes()
    (root / "ckpts" / "cut.pt").write_bytes(whole[: len(whole) // 2])
    torch.save({"ema": torch.load(place / "ckpts" / "ucf101.pt")["ema"]}, root / "ckpts" / "no-heads.pt")
    for i in range(3):
        write_video(root / "short" / f"{i}.mp4", 8)
    return root


@pytest.mark.parametrize(("command", "answer"), CONSOLE)
def test_errors_are_as_the_page_shows_them(
    command: str, answer: str, trouble: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`...` stands for what differs from machine to machine, and numbers of bytes for any."""
    monkeypatch.chdir(trouble)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(trouble / "cache"))
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(trouble))
    done = latte_eval(*shlex.split(command)[1:])
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode in (2, 3, 5) and re.fullmatch(pattern_of(answer), last), last


def pattern_of(answer: str) -> str:
    text = re.escape(answer).replace(re.escape("..."), ".*")
    return re.sub(r"[\d,]+\\ bytes", r"[\\d,]+\\ bytes", text)
