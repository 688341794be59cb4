"""The command line as a person meets it: help, errors, exit statuses, what goes to which stream."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
import torch
from command_line import latte_eval

from latte_eval.cli import COMMANDS, group
from latte_eval.cli.statuses import one_line


def fails_with(status: int, *arguments: str | Path) -> str:
    """The one line on stderr of a command that must fail."""
    done = latte_eval(*arguments, "--quiet")
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stdout == "" and "Traceback" not in done.stderr
    *usage, message = done.stderr.strip().splitlines()
    assert message.startswith("Error: ") and (not usage or usage[0].startswith("Usage: "))
    return message


def all_commands() -> list[tuple[str, click.Command]]:
    """Every command and sub-command with its full name."""
    context, found = click.Context(group), []
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", member) for sub, member in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), all_commands(), ids=[name for name, _ in all_commands()])
def test_every_command_has_help_and_a_runnable_example(name: str, command: click.Command) -> None:
    text = (command.help or "") + (command.epilog or "")
    assert command.help and "Example: latte-eval " in text
    example = text.split("Example: latte-eval ")[1].split()
    assert " ".join(example).startswith(name.split()[0])


def test_help_is_quick_and_imports_no_torch() -> None:
    script = "import sys; sys.argv = ['latte-eval', *sys.argv[1:]]\ntry:\n    from latte_eval.cli import main; main()\n"
    script += "finally:\n    assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    for arguments in (["-h"], *([*name.split(), "-h"] for name, _ in all_commands())):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
        assert done.returncode == 0 and "Usage: latte-eval" in done.stdout, done.stderr


def test_a_misspelt_command_gets_a_suggestion() -> None:
    assert "Did you mean doctor" in latte_eval("docter").stderr


def test_error_text_is_one_printable_line() -> None:
    assert one_line("a\nb\x1b[31m  c") == "a b?[31m c"


def test_neither_or_both_sides_is_a_usage_error(tmp_path: Path) -> None:
    assert "--ckpt" in fails_with(2, "fvd", "--real", tmp_path)
    assert "not both" in fails_with(2, "fvd", "--real", tmp_path, "--ckpt", "demo", "--fake", tmp_path)
    assert "--real" in fails_with(2, "fvd", "--fake", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--detector", "i3d-sedeed"], "Did you mean i3d-seeded"),
        (["--benchmark", "ufc101"], "Did you mean ucf101"),
        (["--protocol", "late"], "Did you mean latte"),
        (["--param", "strid=3"], "Did you mean"),
        (["--param", "real_stride=x"], "whole number"),
        (["--clips", "1"], "at least 2"),
        (["--device", "tpu"], "unknown"),
        (["--sampler", "dppm"], "ddpm"),
        (["--steps", "0"], "2..1000"),
    ],
)
def test_misspelt_options_say_what_to_type(arguments: list[str], words: str, tmp_path: Path) -> None:
    assert words in fails_with(2, "fvd", "--ckpt", "demo", "--out", tmp_path / "run", *arguments)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    assert "nothing.pt" in fails_with(5, "fvd", "--ckpt", tmp_path / "nothing.pt", "--benchmark", "shapes")


class Harmful:
    """A pickle that touches a file when it is loaded the unsafe way."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def bad_checkpoints(folder: Path) -> dict[str, Path]:
    paths = {name: folder / f"{name}.pt" for name in ("text", "empty", "truncated", "harmful", "foreign")}
    paths["text"].write_text("not a checkpoint\n" * 50)
    paths["empty"].touch()
    torch.save({"ema": {"weight": torch.zeros(1000)}}, paths["truncated"])
    paths["truncated"].write_bytes(paths["truncated"].read_bytes()[:1500])
    paths["harmful"].write_bytes(pickle.dumps({"ema": Harmful(folder / "ran")}))
    torch.save({"ema": {"conv.weight": torch.zeros(3, 3)}}, paths["foreign"])
    return paths


def test_bad_checkpoints_fail_in_one_line_and_run_no_code(tmp_path: Path) -> None:
    for name, path in bad_checkpoints(tmp_path).items():
        assert path.name in fails_with(5, "fvd", "--ckpt", path, "--benchmark", "shapes"), name
    assert not (tmp_path / "ran").exists()


def test_an_unwritable_run_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "--out" in fails_with(5, "fvd", "--ckpt", "demo", "--out", tmp_path / "file" / "run")


def test_an_empty_or_missing_real_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fake = ["fvd", "--fake", tmp_path / "empty", "--detector", "i3d-seeded"]
    assert "empty" in fails_with(5, *fake, "--real", tmp_path / "empty")
    assert "gone" in fails_with(2, *fake, "--real", tmp_path / "gone")


def test_absent_detector_weights_name_file_hash_place_and_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_EVAL_OFFLINE", "1")
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    message = fails_with(5, "fvd", "--ckpt", "demo", "--detector", "i3d")
    for word in ("i3d_torchscript.pt", "bec6519f66ea534e", str(tmp_path / "cache"), "--detector i3d-seeded"):
        assert word in message


def test_a_corrupt_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/0.png", b"x" * 1000)
    path.write_bytes(path.read_bytes()[:200])
    assert "clips.zip" in fails_with(5, "fvd", "--fake", path, "--real", path, "--detector", "i3d-seeded")


def test_the_demo_is_one_json_line_whose_rows_come_in_the_right_order(tmp_path: Path) -> None:
    done = latte_eval("fvd", "--ckpt", "demo", "--clips", "16", "--steps", "12", "--json", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    record = json.loads(line)
    assert record["metric"] == "fvd" and record["fake"] == record["real"] == 16
    rows = {row["row"]: row["fvd"] for row in record["details"]["table"]}
    assert list(rows) == ["real against real", "trained checkpoint", "early checkpoint", "pure noise"]
    assert list(rows.values()) == sorted(rows.values())
    assert rows["early checkpoint"] > 1.5 * rows["trained checkpoint"]
    assert record["value"] == rows["trained checkpoint"]
    assert "Warning" not in done.stderr
