"""Options as a file: what is read, what wins, what is refused, and that what is written is read again."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command_line import latte_eval

from latte_eval.cli import COMMANDS, group
from latte_eval.cli.config import Configured, literal
from latte_eval.cli.score import to_request
from latte_eval.evaluation.request import Request

LONG = ("fvd", "cd-fvd", "fid", "is", "evaluate", "sample", "stats", "table1", "table2", "curve", "sweep", "gate")


def parsed(*words: str) -> dict[str, Any]:
    """The options of a command line."""
    command = group.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None
    return dict(command.make_context(words[0], list(words[1:])).params)


def requested(*words: str) -> Request:
    options = parsed(*words)
    return to_request(
        ("fvd",), **{name: options[name] for name in options if name not in ("as_json", "quiet", "shard")}
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "eval.toml"


def test_every_long_command_takes_a_file() -> None:
    assert {name for name in COMMANDS if isinstance(group.get_command(None, name), Configured)} == set(LONG)  # type: ignore[arg-type]


def test_a_file_says_what_would_be_typed(config: Path) -> None:
    config.write_text(
        """ckpt = "demo"
benchmark = "shapes"
protocol = "clean"
param = ["real_stride=2", "frames=12"]
steps = 5
guidance_scale = 7
clip-x0 = false
compile = true
no-interval = true
detector = ["seeded"]
"""
    )
    words = ["--ckpt", "demo", "--benchmark", "shapes", "--protocol", "clean", "--param", "real_stride=2", "--param",
             "frames=12", "--steps", "5", "--guidance-scale", "7", "--no-clip-x0", "--compile", "--no-interval",
             "--detector", "seeded"]  # fmt: skip
    assert requested("fvd", "--config", str(config)) == requested("fvd", *words)


def test_what_is_typed_wins_wherever_it_stands(config: Path) -> None:
    config.write_text('steps = 5\nparam = ["frames=12"]\nwindows = "all"\n')
    for words in (("--steps", "7", "--config", str(config)), ("--config", str(config), "--steps", "7")):
        found = parsed("fvd", *words, "--param", "size=64")
        assert (found["steps"], found["params"], found["windows"]) == (7, ("size=64",), "all")


def test_paths_count_from_the_folder_of_the_file(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    config.write_text('real = "videos"\nfake = "../fakes"\nout = "runs/a"\nvae = "owner/vae"\nckpt = "x.pt"\n')
    found = parsed("fvd", "--config", "../eval.toml")
    assert found["real"] == tmp_path / "videos" and found["fake"] == tmp_path.parent / "fakes"
    assert found["out"] == tmp_path / "runs" / "a"
    assert (found["vae"], found["ckpt"]) == ("owner/vae", str(tmp_path / "x.pt"))
    for name in ("demo", "hf://owner/repo/x.pt", "s3://bucket/x.pt", "/else/x.pt"):
        config.write_text(f'ckpt = "{name}"\n')
        assert parsed("fvd", "--config", str(config))["ckpt"] == name
    (tmp_path / "demo").mkdir()
    config.write_text('ckpt = "demo"\nout = "s3://bucket/run"\n')
    found = parsed("fvd", "--config", str(config))
    assert (found["ckpt"], found["out"]) == (str(tmp_path / "demo"), "s3://bucket/run")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\nstepz = 5", "line 3: fvd has no option 'stepz'. Did you mean steps?"),
        ("config = 'x'", "line 1: fvd has no option 'config'."),
        ("# c\nsteps = 'five'", 'line 2: steps is "five"; it takes a whole number'),
        ("steps = true", "line 1: steps is true; it takes a whole number"),
        ("steps = 5.5", "line 1: steps is 5.5; it takes a whole number"),
        ("eta = 'none'", 'line 1: eta is "none"; it takes a number'),
        ("protocol = 3", "line 1: protocol is 3; it takes a text in quotes"),
        ("quiet = 1", "line 1: quiet is 1; it takes true or false"),
        ("param = 'frames=12'", 'line 1: param takes a list, such as param = ["frames=12"]'),
        ("param = [12]", "line 1: param is 12; it takes a text in quotes"),
        ("real = ''", "line 1: --real is empty: give a path, or leave it out"),
        ("dtype = 'fp8'", "line 1: Invalid value for '--dtype': 'fp8' is not one of"),
        ("batch-size = 0", "line 1: Invalid value for '--batch-size': 0 is not in the range x>=1."),
        ("[fvd]\nsteps = 5", "line 1: [fvd] is a table; options stand by themselves, such as steps = 50"),
        ("guidance-scale = 7\ncfg-scale = 6", "line 2: cfg-scale stands there twice, under two of its names"),
        ("steps 5", "is not TOML: Expected '=' after a key in a key/value pair (at line 1, column 7)"),
        ("protocol = tats", "is not TOML: Invalid value (at line 1, column 12). Text stands in quotes: real ="),
        ("since = 2020-01-01", "line 1: fvd has no option 'since'."),
        ("protocol = 2020-01-01", 'line 1: protocol is "2020-01-01"; it takes a text in quotes'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str, config: Path) -> None:
    config.write_text(text)
    done = latte_eval("fvd", "--config", config)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    done = latte_eval("fvd", "--config", tmp_path / "absent.toml")
    assert done.returncode == 2 and "absent.toml cannot be read: No such file or directory" in done.stderr
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert latte_eval("fvd", "--config", tmp_path / "bytes.toml").returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ("fvd", "--ckpt", "demo", "--param", "real_stride=2", "--param", "fake_storage=none", "--no-interval"),
        ("fid", "--fake", 'my "clips"', "--real", "r\u00e9al", "--param", "fid_resize=clean", "--decoder", "decord"),
        ("evaluate", "--metrics", "fvd,prdc", "--generator", "odd_noise:Noise", "--clips", "4", "--no-clip-x0"),
        ("is", "--ckpt", "x.pt", "--eta", "0.1", "--guidance-interval", "0.3,5", "--samples", "2", "--compile"),
        ("fvd", "--ckpt", "svd", "--fps", "6", "--motion-bucket-id", "64", "--noise-aug-strength", "0.1"),
        ("sample", "--ckpt", "demo", "--seeds", "0-3", "--out", "samples"),
        ("stats", "--real", "videos", "--out", "s.safetensors", "--protocol", "tats"),
        ("curve", "a.pt", "b.pt", "--benchmark", "shapes", "--plot", "here/curve"),
        ("sweep", "ckpts", "--benchmarks", "shapes", "--slurm", "time=600"),
        ("table2", "--results", "runs", "--only", "ucf101"),
        ("gate", "--results", "runs", "--fail", "fvd:+3%", "--fail", "is:-0.5", "--confidence", "0.9"),
    ],
)
def test_what_is_written_is_read_again(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = latte_eval(*words, "--print-config")
    assert typed.returncode == 0, typed.stderr
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "eval.toml").write_text(typed.stdout, encoding="utf-8")
    again = latte_eval(words[0], "--config", "a/eval.toml", "--print-config")
    assert again.stdout == typed.stdout and again.stdout.startswith(f"# latte-eval {words[0]} --config FILE\n")
    found = {name: str(value) for name, value in parsed(words[0], "--config", "a/eval.toml").items()}
    assert {name: text.replace(f"{tmp_path}/", "") for name, text in found.items()} == {
        name: str(value) for name, value in parsed(*words).items()
    }


def test_it_goes_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("fvd", "--ckpt", "demo", "--steps", "5", "--windows", "all", "--seed", "3")
    monkeypatch.setattr(sys, "stdin", io.StringIO(latte_eval(*words, "--print-config").stdout))
    assert requested("fvd", "--config", "-") == requested(*words)


def test_printing_does_nothing_else(tmp_path: Path) -> None:
    done = latte_eval("fvd", "--fake", tmp_path / "absent", "--real", tmp_path / "absent", "--print-config")
    assert done.returncode == 0 and "# the fake side\nfake = " in done.stdout and "# the real side" in done.stdout


@pytest.mark.parametrize("value", ['a\\b\t\x7f\n"', 1e-9, 3, True, ["x", "y"], [], 0.1, float("inf")])
def test_values_are_toml(value: Any) -> None:
    assert tomllib.loads(f"x = {literal(value)}")["x"] == value
