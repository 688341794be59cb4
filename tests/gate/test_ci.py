"""`gate init`: what it writes where, what it keeps, and that a failure leaves nothing."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from command_line import Done, latte_eval
from gate_makers import DEMO_ACCEPTED

from latte_eval.gate import ci as gate_init
from latte_eval.gate.accepted import read_accepted
from latte_eval.gate.ci import demo_baseline, requirement, without_password

WORKFLOW = Path(".github/workflows/latte-eval.yml")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder that is in no repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def init(*options: str) -> Done:
    return latte_eval("gate", "init", *options)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if ".git/" not in f"{path}/"}


def test_a_workflow_and_a_baseline_that_can_be_read(here: Path) -> None:
    done = init()
    assert done.returncode == 0 and str(WORKFLOW) in done.stdout and "latte-eval gate accept" in done.stdout
    line = read_accepted(here / "accepted.jsonl")[-1]
    assert set(line.sides()) == {"fake", "real"} and line.about["who"] == "latte-eval"
    assert (here / "accepted.jsonl").read_bytes() == DEMO_ACCEPTED.read_bytes()
    assert yaml.safe_load((here / WORKFLOW).read_text())["env"]["LATTE_EVAL_CACHE"]


def test_the_same_command_again_changes_nothing(here: Path) -> None:
    init()
    before = files(here)
    done = init()
    assert done.returncode == 0 and "so that the first job passes" in done.stdout and files(here) == before


def test_a_workflow_that_is_here_is_not_overwritten(here: Path) -> None:
    init()
    (here / WORKFLOW).write_text("mine")
    done = init()
    assert done.returncode == 2 and "latte-eval.yml is here already" in done.stderr and "--force" in done.stderr
    assert (here / WORKFLOW).read_text() == "mine"
    assert init("--force").returncode == 0 and (here / WORKFLOW).read_text() != "mine"


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_baseline_that_is_here_is_kept(here: Path, options: tuple[str, ...]) -> None:
    (here / "accepted.jsonl").write_text("mine")
    done = init(*options)
    assert done.returncode == 0 and "kept accepted.jsonl" in done.stdout and "change CKPT" in done.stdout
    assert (here / "accepted.jsonl").read_text() == "mine" and not (here / "accepted.features").exists()


def test_gitlab_by_flag_or_file_or_remote(here: Path) -> None:
    assert init("--gitlab").returncode == 0 and (here / ".gitlab-ci.yml").is_file()
    assert init().returncode == 0, "its own file is not somebody else's"
    assert not (here / "latte-eval.gitlab-ci.yml").exists()
    (here / ".gitlab-ci.yml").write_text("stages: [build]\n")
    done = init()
    assert (here / ".gitlab-ci.yml").read_text() == "stages: [build]\n"
    assert "include: [{local: latte-eval.gitlab-ci.yml}]" in done.stdout
    assert (here / "latte-eval.gitlab-ci.yml").is_file() and not (here / ".github").exists()


@pytest.mark.parametrize(
    ("remote", "host"),
    [
        ("git@gitlab.example.com:team/models.git", "gitlab"),
        ("https://gitlab.com/team/models", "gitlab"),
        ("https://github.com/team/gitlab-models", "github"),
    ],
)
def test_the_remote_tells_the_host(here: Path, remote: str, host: str) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "origin", remote], check=True)
    init()
    assert (here / ".gitlab-ci.yml").exists() == (host == "gitlab") and (here / WORKFLOW).exists() == (host == "github")


def test_what_keeps_the_first_job_from_running_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    (here / ".gitignore").write_text("*.safetensors\n")
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    said = init().stdout
    assert "git add -f" in said and "accepted.features/" in said and f"in {here}" in said


def test_lfs_is_fetched_where_the_repository_uses_it(here: Path) -> None:
    checkout = lambda: yaml.safe_load((here / WORKFLOW).read_text())["jobs"]["gate"]["steps"][0]  # noqa: E731
    init()
    assert checkout()["with"]["lfs"] is False
    (here / ".gitattributes").write_text("*.pt filter=lfs diff=lfs merge=lfs -text\n")
    init("--force")
    assert checkout()["with"]["lfs"] is True


def test_both_hosts_at_once_is_a_usage_error() -> None:
    done = init("--github", "--gitlab")
    assert done.returncode == 2 and "one of --github and --gitlab" in done.stderr


@pytest.mark.parametrize("blocked", [".github", ".github/workflows", "accepted.features"])
def test_a_failure_leaves_nothing_half_written(here: Path, blocked: str) -> None:
    """A file where a folder must go: as no permission, but for root too."""
    (here / blocked).parent.mkdir(parents=True, exist_ok=True)
    (here / blocked).write_text("")
    before = files(here)
    done = init("--github")
    assert done.returncode == 5 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "cannot write" in done.stderr and "nothing was written" in done.stderr
    assert files(here) == before


def installed_from(monkeypatch: pytest.MonkeyPatch, record: object) -> str:
    """What pip installs in CI, where latte-eval came from what `direct_url.json` says."""
    text = None if record is None else json.dumps(record)
    distribution = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
    monkeypatch.setattr(metadata, "distribution", lambda name: distribution)
    return requirement()


def from_git(url: str, commit: str = "a" * 40) -> dict[str, object]:
    return {"url": url, "vcs_info": {"vcs": "git", "commit_id": commit, "requested_revision": "main"}}


def test_an_installation_from_git_is_repeated_at_its_commit(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    found = installed_from(monkeypatch, from_git("https://token:x-oauth@git.example.com/team/latte-eval.git"))
    assert found == f"latte-eval @ git+https://git.example.com/team/latte-eval.git@{'a' * 40}"
    init()
    assert yaml.safe_load((here / WORKFLOW).read_text())["env"]["INSTALL"] == found


@pytest.mark.parametrize(
    "record",
    [
        None,
        {"url": "file:///home/ada/latte-eval", "dir_info": {"editable": True}},
        from_git("file:///home/ada/latte-eval"),
        from_git("https://git.example.com/${{ secrets.X }}"),
        from_git("https://git.example.com/x", "main; rm"),
        {"url": "https://files.example.com/latte_eval.whl", "archive_info": {}},
        [],
    ],
)
def test_a_path_of_this_machine_never_gets_into_a_workflow(monkeypatch: pytest.MonkeyPatch, record: object) -> None:
    assert installed_from(monkeypatch, record) == "latte-eval"


def test_passwords_stay_here() -> None:
    assert without_password("https://user:secret@host/x") == "https://host/x"
    assert without_password("ssh://git@host:22/x") == "ssh://git@host:22/x"
    assert without_password("ssh://git:secret@host/x") == "ssh://git@host/x"


def test_the_shipped_baseline_names_no_machine() -> None:
    data = b"".join(demo_baseline().values()).decode(errors="replace")
    for word in ("/home", "/root", "/tmp", "/work", "localhost", "@"):
        assert word not in data.split('"result"')[-1], word
    env = read_accepted(DEMO_ACCEPTED)[-1].result.env
    assert env["platform"].split("-")[0] == "Linux" and len(env["platform"].split("-")) == 4
    assert gate_init.ACCEPTED.name == DEMO_ACCEPTED.name
