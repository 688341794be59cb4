"""Workflows and the action: published schemas, no injection, and their shell lines run as a runner runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import latte_eval
from gate_makers import DEMO_ACCEPTED, DEMO_RULE, sampled_demo
from repository import ROOT

from latte_eval.gate.record import read_verdicts

ACTION, REUSABLE, CI = ROOT / "action.yml", ROOT / ".github/workflows/gate.yml", ROOT / ".github/workflows/ci.yml"

# How far features are moved so that the truth lies on the line of `DEMO_RULE`.
ON_THE_LINE = 0.0255

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `gate init` writes for both hosts."""
    folder = tmp_path_factory.mktemp("generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for host in ("--github", "--gitlab"):
            assert latte_eval("gate", "init", host).returncode == 0
    return folder


def test_published_schemas_accept_every_file(generated: Path) -> None:
    pytest.importorskip("check_jsonschema")
    kinds = {
        "github-workflows": [REUSABLE, CI, generated / ".github/workflows/latte-eval.yml"],
        "github-actions": [ACTION],
        "gitlab-ci": [generated / ".gitlab-ci.yml"],
    }
    for schema, files in kinds.items():
        done = check_schema(schema, files)
        assert done.returncode == 0, done.stdout


def test_the_schemas_see_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    (tmp_path / "wrong.yml").write_text("on: push\njobs: {gate: {runs-on: x, steps: [{rn: echo}]}}\n")
    assert check_schema("github-workflows", [tmp_path / "wrong.yml"]).returncode == 1


def check_schema(schema: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True)


def scripts(node: Any) -> Iterator[str]:
    """Every shell script of a workflow."""
    if isinstance(node, dict):
        if isinstance(node.get("run"), str):
            yield node["run"]
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from scripts(child)


def test_nothing_from_outside_is_pasted_into_a_script(generated: Path) -> None:
    found = [
        text
        for file in (ACTION, REUSABLE, CI, generated / ".github/workflows/latte-eval.yml")
        for text in scripts(yaml.safe_load(file.read_text()))
    ]
    assert len(found) >= 10 and not [text for text in found if "${{" in text]


def test_workflows_may_read_the_repository_and_no_more(generated: Path) -> None:
    for file in (REUSABLE, CI, generated / ".github/workflows/latte-eval.yml"):
        workflow = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert "permissions" not in job and ("timeout-minutes" in job or "uses" in job)


def test_the_action_and_the_reusable_workflow_run_the_same_gate() -> None:
    assert step(ACTION, "Gate")["run"] == step(REUSABLE, "Gate")["run"]


def test_every_input_is_used_and_every_used_input_is_there() -> None:
    for file, inputs in ((ACTION, load(ACTION)["inputs"]), (REUSABLE, load(REUSABLE)[True]["workflow_call"]["inputs"])):
        assert set(re.findall(r"inputs\.([\w-]+)", file.read_text())) == set(inputs), file


def test_this_repository_gates_its_demo_as_it_says() -> None:
    given = next(step for step in load(CI)["jobs"]["gate"]["steps"] if step.get("uses") == "./")["with"]
    assert given == {"ckpt": "demo", "against": DEMO_ACCEPTED.relative_to(ROOT).as_posix(), "fail": DEMO_RULE}
    assert set(given) <= set(load(ACTION)["inputs"])
    assert f"--against {given['against']} --fail {DEMO_RULE}" in (ROOT / "noxfile.py").read_text()
    assert "nox --no-venv -s lint types docs gate" in (ROOT / ".ci/run").read_text()


def load(file: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(file.read_text()))


def step(file: Path, name: str) -> dict[str, Any]:
    """The step of an action or of a workflow's first job by its name."""
    whole = load(file)
    steps = (whole.get("runs") or next(iter(whole["jobs"].values())))["steps"]
    return dict(next(each for each in steps if each.get("name") == name))


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a job in an empty folder; the real command is on the path, and no sampling is left to do."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "latte-eval"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m latte_eval "$@"\n')
    command.chmod(0o755)
    job = tmp_path / "job"
    sampled_demo(job / "run")
    kept = {name: os.environ[name] for name in ("HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "PWD": str(job),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_ACTIONS": "true", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip


def execute(script: str, runner: dict[str, str], **env: str) -> subprocess.CompletedProcess[str]:
    """A script as GitHub runs it."""
    command = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, cwd=runner["PWD"], env={**runner, **env})


INPUTS = {
    "CKPT": "demo", "AGAINST": str(DEMO_ACCEPTED), "FAIL": DEMO_RULE, "MAX_CLIPS": "64", "CONFIDENCE": "0.95",
    "INCONCLUSIVE": "fail", "OUT": "run", "DEVICE": "cpu",
}  # fmt: skip


def test_the_inputs_above_are_those_of_the_action() -> None:
    assert set(step(ACTION, "Gate")["env"]) == set(INPUTS) == set(step(REUSABLE, "Gate")["env"])


@needs_bash
def test_the_gate_of_the_action_passes_and_tells_and_reports(runner: dict[str, str]) -> None:
    done = execute(step(ACTION, "Gate")["run"], runner, **INPUTS)
    assert done.returncode == 0, done.stderr
    assert Path(runner["GITHUB_OUTPUT"]).read_text() == "verdict=pass\nclips=16\nexit-code=0\n"
    assert "latte-eval gate: pass" in Path(runner["GITHUB_STEP_SUMMARY"]).read_text()
    assert "::notice title=latte-eval gate::" in done.stdout
    job = Path(runner["PWD"])
    assert (job / "run/gate.xml").is_file() and read_verdicts(job / "run")
    done = execute(step(ACTION, "Report")["run"], runner, OUT="run", REPORT="report")
    assert done.returncode == 0, done.stderr
    assert (job / "report/index.html").is_file()


@needs_bash
def test_an_inconclusive_gate_may_warn_instead_of_fail(runner: dict[str, str]) -> None:
    """Every feature is moved to where the accepted value and the allowance together are."""
    sampled_demo(Path(runner["PWD"]) / "run", ON_THE_LINE)
    done = execute(step(ACTION, "Gate")["run"], runner, **{**INPUTS, "INCONCLUSIVE": "warn"})
    assert done.returncode == 0, done.stdout
    assert "exit-code=4\n" in Path(runner["GITHUB_OUTPUT"]).read_text() and "::warning" in done.stdout


@needs_bash
def test_a_word_from_outside_stays_a_word(runner: dict[str, str]) -> None:
    """An input is never a command, an option or a pattern."""
    rude = {"CKPT": "--help; touch owned", "FAIL": "fvd:+1 `touch owned` $(touch owned) *"}
    done = execute(step(ACTION, "Gate")["run"], runner, **{**INPUTS, **rude})
    assert done.returncode == 2 and "cannot be read" in done.stderr
    assert not (Path(runner["PWD"]) / "owned").exists()
    assert Path(runner["GITHUB_OUTPUT"]).read_text() == "exit-code=2\n"


@needs_bash
def test_the_generated_github_job(runner: dict[str, str], generated: Path) -> None:
    file = generated / ".github/workflows/latte-eval.yml"
    shutil.copytree(generated, runner["PWD"], dirs_exist_ok=True)
    env = {name: defaulted(str(value)) for name, value in load(file)["env"].items()}
    done = execute(step(file, "Gate")["run"], runner, **env)
    assert done.returncode == 0 and "16 of 64 clips were needed" in done.stdout, done.stderr
    assert (Path(runner["PWD"]) / "gate.xml").is_file()


def defaulted(value: str) -> str:
    """What an expression with a default comes to where nothing is given."""
    found = re.fullmatch(r"\$\{\{ inputs\.\w+ \|\| '(.*)' \}\}", value)
    return found.group(1) if found else value


@needs_bash
def test_the_generated_gitlab_job(runner: dict[str, str], generated: Path) -> None:
    shutil.copytree(generated, runner["PWD"], dirs_exist_ok=True)
    job = load(generated / ".gitlab-ci.yml")["latte-eval"]
    install, script = job["script"]
    assert install == 'python -m pip install "$INSTALL"'
    done = execute(script, runner, **{name: str(value) for name, value in job["variables"].items()})
    assert done.returncode == 0, done.stderr
    written = Path(runner["PWD"])
    assert all((written / path).exists() for path in [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]])
