"""The recipes of docs/clusters.md: shell that parses and asks for the right shares, YAML with the fields of a Job."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from repository import ROOT

from latte_eval.cli import COMMANDS
from latte_eval.cli.score import fvd
from latte_eval.cli.sweep import sweep
from latte_eval.evaluation.shares import Share

PAGE = (ROOT / "docs" / "clusters.md").read_text()
SCRIPTS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ARRAY, SUBMIT, NODES, TWO, COPY = SCRIPTS
(JOB,) = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]

# A program that writes down the words it was called with, one line a call.
NOTES = '#!/bin/bash\necho "$(basename "$0") $*" >> "$CALLS"\n'


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs on the PATH that only write down how they were called; the file of their calls."""
    more = {"sbatch": "echo 77\n", "scontrol": "printf 'node1\\nnode2\\n'\n", "srun": 'exec "$@"\n'}
    for name in ("latte-eval", "torchrun", "rsync", *more):
        (tmp_path / name).write_text(NOTES + more.get(name, ""))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def run(script: str, calls: Path, **variables: str) -> list[list[str]]:
    """The words of every call that a script makes."""
    subprocess.run(["bash", "-c", script], check=True, env={**os.environ, **variables}, cwd=calls.parent)
    return [shlex.split(line) for line in calls.read_text().splitlines()]


def options_of(words: list[str]) -> dict[str, object]:
    """What the command line makes of `latte-eval fvd ...`; it refuses an option that is none."""
    assert words[:2] == ["latte-eval", "fvd"]
    return fvd.make_context("fvd", words[2:]).params


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_parse(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_array_job_asks_for_its_share(calls: Path) -> None:
    first, last = map(int, re.search(r"--array=(\d+)-(\d+)", ARRAY).groups())  # type: ignore[union-attr]
    for number in (first, last):
        found = options_of(run(ARRAY, calls, SLURM_ARRAY_TASK_ID=str(number), RUN="there")[-1])
        share = Share.parse(str(found["shard"]))
        assert (share.number, share.of) == (number, last) and found["out"] == Path("there")


def test_the_merge_waits_for_the_array(calls: Path) -> None:
    first, second = run(SUBMIT, calls)
    assert first == ["sbatch", "--parsable", "shards.sbatch"] and "--dependency=afterany:77" in second
    assert " ".join(second).endswith("--wrap latte-eval merge runs/ucf101")


def test_nodes_meet_at_the_first(calls: Path) -> None:
    *_, words = run(NODES, calls, SLURM_JOB_NODELIST="node[1-2]", SLURM_NNODES="2", SLURM_JOB_ID="5")
    assert words[0] == "torchrun" and words[words.index("--rdzv-endpoint") + 1] == "node1:29500"
    assert words[words.index("--nnodes") + 1] == "2"
    at = words.index("latte_eval")
    assert words[at - 1] == "-m" and options_of(["latte-eval", *words[at + 1 :]])["shard"] is None


def test_two_machines_have_both_shares(calls: Path) -> None:
    *jobs, merge = run(TWO, calls)
    assert [options_of(words)["shard"] for words in jobs] == ["1/2", "2/2"]
    assert {str(options_of(words)["out"]) for words in jobs} == {merge[2]} and merge[:2] == ["latte-eval", "merge"]
    assert run(COPY, calls)[-2][0] == "rsync"


def test_the_job_of_kubernetes_is_indexed_and_every_index_has_a_share(calls: Path) -> None:
    spec = JOB["spec"]
    assert (JOB["apiVersion"], JOB["kind"]) == ("batch/v1", "Job") and spec["completionMode"] == "Indexed"
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["restartPolicy"] == "Never"  # what backoffLimitPerIndex asks for
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert container["command"] == ["bash", "-c"] and len(container["args"]) == 1
    # Kubernetes itself replaces $(NAME), and there is none.
    assert not re.search(r"\$\([A-Za-z_]", container["args"][0])
    for index in (0, spec["completions"] - 1):
        found = options_of(run(container["args"][0], calls, JOB_COMPLETION_INDEX=str(index))[-1])
        share = Share.parse(str(found["shard"]))
        assert (share.number, share.of) == (index + 1, spec["completions"]) and found["out"] == "s3://bucket/run"


def test_commands_between_the_scripts_are_commands() -> None:
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    latte-eval ")]
    assert len(lines) == 4 and all(line.split()[1] in COMMANDS for line in lines)
    for line in lines:
        words = shlex.split(line)
        if words[1] == "sweep":
            assert sweep.make_context("sweep", words[2:]).params["benchmarks"] == "all"
