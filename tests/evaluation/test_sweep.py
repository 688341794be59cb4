"""`latte-eval sweep`: a job for each checkpoint and benchmark, continued, in a table; on a Slurm that is none, too."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import Done, latte_eval
from repository import ROOT
from share_makers import measure_in_job, results_of, save_toy, toy_rows

from latte_eval.core.errors import CheckpointError, UsageError
from latte_eval.evaluation import cluster
from latte_eval.evaluation.cluster import Cluster, last_line, parse_slurm
from latte_eval.evaluation.sweep import chosen_benchmarks, find_checkpoints

# What is needed of Slurm: run the jobs of an array one after the other, run a command on a node, say states.
SBATCH = """#!/bin/bash
echo "$@" >> {calls}; file="${{@: -1}}"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$file")
(for i in $(seq 0 "$last"); do
  export SLURM_JOB_ID=77_$i SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$i SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1
  export SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_JOB_NODELIST=here
  bash "$file"
done) > {calls}.out 2>&1 < /dev/null &
echo "Submitted batch job 77"
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == *=* || "$1" == --unbuffered ]] && shift || shift 2; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"; for i in 0 1 2 3; do echo "77_$i|{state}|here"; done; echo "77|{state}|here"
"""


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with toy_rows():
        yield


@pytest.fixture
def ckpts(tmp_path: Path) -> Path:
    """A folder with two checkpoints."""
    for number in (1, 2):
        save_toy(tmp_path / "ckpts" / f"step{number}.pt", number)
    return tmp_path / "ckpts"


def sweep(ckpts: Path, runs: Path, *words: str | Path, status: int = 0) -> Done:
    done = latte_eval("sweep", ckpts, "--benchmarks", "stripes", "--metrics", "gap", "--heads", "4", "--clips", "6",
                      "--out", runs, *words)  # fmt: skip
    assert done.returncode == status, (done.stderr, done.stdout)
    return done


def test_a_sweep_ends_in_a_table_and_is_continued(ckpts: Path, tmp_path: Path) -> None:
    done = sweep(ckpts, tmp_path / "runs")
    assert "sweep: 0 of 2 are measured, 2 to run" in done.stderr and "2 of 2: step2.pt on stripes: gap" in done.stderr
    header, _, *rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert "GAP ↓" in header and "95 % interval" in header
    assert [row.split("|")[1].strip() for row in rows] == ["step1.pt", "step2.pt"] and "toy-stripes" in done.stdout
    save_toy(ckpts / "step3.pt", 3)
    again = sweep(ckpts, tmp_path / "runs", "--json")
    assert "sweep: 2 of 3 are measured, 1 to run" in again.stderr
    assert [each.checkpoint["name"] for each in results_of(again.stdout) if each.checkpoint] == [
        "step1.pt", "step2.pt", "step3.pt"]  # fmt: skip
    assert "sweep: 0 of 3 are measured" in sweep(ckpts, tmp_path / "runs", "--steps", "2").stderr


def test_a_checkpoint_that_fails_is_named_and_the_others_go_on(ckpts: Path, tmp_path: Path) -> None:
    (ckpts / "step0.pt").write_bytes(b"no checkpoint")
    done = sweep(ckpts, tmp_path / "runs", status=5)
    assert "1 of 3 jobs failed: step0.pt on stripes: " in done.stderr
    assert done.stdout.count("step1.pt") == done.stdout.count("step2.pt") == 1 and "- step0.pt on" in done.stdout
    assert "2 of 3 are measured, 1 to run" in sweep(ckpts, tmp_path / "runs", status=5).stderr


def test_all_benchmarks_are_those_that_fit_and_whose_clips_are_there(ckpts: Path, tmp_path: Path) -> None:
    done = latte_eval("sweep", ckpts, "--metrics", "gap", "--detector", "colours", "--heads", "4", "--clips",
                      "6", "--out", tmp_path / "runs")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "step1.pt does not belong to shapes" in done.stdout and "| stripes" in done.stdout
    assert "without faceforensics, skytimelapse, taichi-hd, ucf101" in done.stderr
    assert not (tmp_path / "runs" / "shapes").exists()
    with pytest.raises(UsageError, match="holds no clips of ucf101"):
        chosen_benchmarks("stripes,ucf101", tmp_path)
    (tmp_path / "UCF-101").mkdir()
    assert chosen_benchmarks("ucf101", tmp_path) == {"ucf101": tmp_path / "UCF-101"}
    assert "Did you mean stripes" in sweep(ckpts, tmp_path, "--benchmarks", "stripe", status=2).stderr


def test_checkpoints_get_labels_that_differ(tmp_path: Path) -> None:
    for name in ("a/1.pt", "b/1.pt", "b/note.txt", "b/.2.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_checkpoints([str(tmp_path / "a"), str(tmp_path / "b"), "hf://owner/repo/1.pt", "drive://abc"])
    assert list(found) == ["a-1.pt", "b-1.pt", "repo-1.pt", "drive:-abc"]
    assert found["repo-1.pt"] == "hf://owner/repo/1.pt" and found["drive:-abc"] == "drive://abc"
    with pytest.raises(CheckpointError, match="does not exist"):
        find_checkpoints([str(tmp_path / "absent.pt")])
    with pytest.raises(UsageError, match="no checkpoint in"):
        (tmp_path / "empty").mkdir()
        find_checkpoints([str(tmp_path / "empty")])


def test_without_submitit_there_is_one_line(ckpts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    done = sweep(ckpts, tmp_path / "runs", "--submit", "local", status=2)
    assert "pip install 'latte-eval[cluster]'" in done.stderr and len(done.stderr.splitlines()) == 1


def test_options_of_slurm_are_checked(ckpts: Path, tmp_path: Path) -> None:
    assert parse_slurm(["partition=gpu", "--gpus-per-node=2", "time=600"]) == {
        "partition": "gpu", "gpus_per_node": 2, "time": 600}  # fmt: skip
    for text, words in (("gpu", "NAME=VALUE"), ("time=10:00", "minutes")):
        with pytest.raises(UsageError, match=words):
            parse_slurm([text])
    assert "goes with --submit slurm" in sweep(ckpts, tmp_path, "--slurm", "partition=gpu", status=2).stderr


def test_the_end_of_a_log_says_what_happened() -> None:
    assert last_line("Job failed with trace:\n-----\nTraceback\nValueError: no\n-----\nYou can") == "ValueError: no"
    assert last_line("Job 3\nleft nothing\n-----\nits log") == "Job 3 left nothing"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs in processes of their own know the toy rows, too."""
    submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install 'latte-eval[cluster]'")
    monkeypatch.setattr(submitit.Job, "_results_timeout_s", 1)
    monkeypatch.setattr("latte_eval.cli.sweep.measure", measure_in_job)
    folders = [str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setattr(Cluster, "every", 0.1)


def test_jobs_run_as_processes_here_and_one_that_dies_is_named(ckpts: Path, tmp_path: Path, jobs: None) -> None:
    shutil.move(ckpts / "step2.pt", ckpts / "dies.pt")
    done = sweep(ckpts, tmp_path / "runs", "--submit", "local", "--array", "2", status=5)
    assert "1 of 2 jobs failed: dies.pt on stripes: " in done.stderr and "log: " in done.stderr
    assert Path(done.stderr.rpartition("(log: ")[2].partition(")")[0]).is_file()
    assert "step1.pt" in done.stdout and (tmp_path / "runs" / "stripes" / "step1.pt" / "results.jsonl").is_file()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of Slurm on the PATH that pretend; the folder of their notes."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    texts = {"sbatch": SBATCH.format(calls=folder / "calls"), "srun": SRUN,
             "sacct": SACCT.format(state="RUNNING")}  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_jobs_are_an_array_of_slurm(ckpts: Path, tmp_path: Path, jobs: None, slurm: Path) -> None:
    options = ["--submit", "slurm", "--array", "1", "--slurm", "partition=gpu", "--slurm", "reservation=night"]
    done = sweep(ckpts, tmp_path / "runs", *options, "--json")
    assert [each.metric for each in results_of(done.stdout)] == ["gap", "gap"]
    (call,) = (slurm / "calls").read_text().splitlines()
    text = next((tmp_path / "runs" / "jobs").glob("*submission*.sh")).read_text()
    for line in ("--array=0-1%1", "--partition=gpu", "--reservation=night", "--time=1440", "--job-name=latte-eval"):
        assert f"#SBATCH {line}" in text, text
    assert call and "2 of 2 are measured" in sweep(ckpts, tmp_path / "runs", *options).stderr
    assert len((slurm / "calls").read_text().splitlines()) == 1


def test_jobs_that_wait_still_are_not_queued_twice(
    ckpts: Path, tmp_path: Path, jobs: None, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit")
    (slurm / "sbatch").write_text(f'#!/bin/bash\necho "$@" >> {slurm / "calls"}\necho Submitted batch job 77\n')
    (slurm / "sacct").write_text(SACCT.format(state="PENDING"))
    monkeypatch.setattr(submitit.SlurmJob, "done", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2):  # both are stopped from the keyboard
        done = sweep(ckpts, tmp_path / "runs", "--submit", "slurm", status=130)
        assert "the same command continues" in done.stderr
    assert len((slurm / "calls").read_text().splitlines()) == 1


def test_without_slurm_there_is_one_line(ckpts: Path, tmp_path: Path, jobs: None, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = sweep(ckpts, tmp_path / "runs", "--submit", "slurm", "--quiet", status=2)
    assert "srun" in done.stderr and len(done.stderr.splitlines()) == 1


def test_each_job_here_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    here = Cluster(cluster.LOCAL, tmp_path)
    given: list[dict[str, object]] = []
    executor = type("Executor", (), {"update_parameters": lambda _, **options: given.append(options)})()
    for number in range(3):
        here.choose_gpu(executor, number)
    assert here.at_once == 2 and [each["visible_gpus"] for each in given] == [(0,), (1,), (0,)]
