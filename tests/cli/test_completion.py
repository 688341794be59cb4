"""What a shell completes: commands, options, and names out of the tables."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from command_line import latte_eval

from latte_eval.cli import COMMANDS, group
from latte_eval.core.protocols import PROTOCOLS


def completed(*words: str) -> list[str]:
    """What is offered for the last word."""
    *typed, last = words
    shell = ShellComplete(group, {}, "latte-eval", "_LATTE_EVAL_COMPLETE")
    return [item.value for item in shell.get_completions(list(typed), last)]


def test_commands_and_options() -> None:
    assert set(completed("")) == set(COMMANDS)
    assert completed("prot") == ["protocols"]
    assert {"--protocol", "--param", "--prompts", "--print-config"} == set(completed("fvd", "--p"))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("fvd", "--protocol", "t"), ["tats"]),
        (("fvd", "--protocol", ""), list(PROTOCOLS)),
        (("fvd", "--benchmark", "s"), ["skytimelapse", "shapes"]),
        (("fvd", "--detector", "i3d-p"), ["i3d-port", "i3d-port-seeded"]),
        (("fvd", "--decoder", ""), ["pyav", "decord"]),
        (("fvd", "--windows", "a"), ["all", "any"]),
        (("fvd", "--sampler", "dd"), ["ddpm", "ddim"]),
        (("evaluate", "--metrics", "fvd,pr"), ["fvd,precision", "fvd,prdc"]),
        (("curve", "--metric", "cd"), ["cd-fvd"]),
        (("protocols", "cd"), ["cd-fvd"]),
        (("completion", "z"), ["zsh"]),
        (("gate", "--weights", ""), ["ema", "model"]),
    ],
)
def test_names_come_from_the_tables(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell(shell: str) -> None:
    done = latte_eval("completion", shell)
    assert done.returncode == 0 and f"_LATTE_EVAL_COMPLETE={shell}_complete" in done.stdout
    assert "latte_eval_completion" in done.stdout and done.stderr == ""


def test_the_program_answers_a_shell() -> None:
    """As the script asks it: through the environment."""
    import os

    asked = {**os.environ, "_LATTE_EVAL_COMPLETE": "bash_complete", "COMP_WORDS": "latte-eval fvd --protocol t",
             "COMP_CWORD": "3"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", "from latte_eval.cli import main; main()"], env=asked,
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "plain,tats\n"), done.stderr
