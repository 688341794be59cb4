"""`gate init`: a CI workflow in the current folder, and an accepted result that its first job passes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.statuses import statuses_to_text
from latte_eval.files.environment import git
from latte_eval.files.whole_files import write_whole

ACCEPTED = Path("accepted.jsonl")
GITHUB = Path(".github/workflows/latte-eval.yml")
GITLAB = Path(".gitlab-ci.yml")
GITLAB_INCLUDED = Path("latte-eval.gitlab-ci.yml")

# How the first line of every workflow of ours begins.
MARK = "# latte-eval gate:"

GITLAB_HOST = re.compile(r"(//|@)[^/:\s]*gitlab")

RELEASED = "latte-eval"
REMOTE = re.compile(r"(https?|ssh|git)://[\w.@:/~+-]+")
COMMIT = re.compile(r"[0-9a-f]{7,64}")


def init(folder: Path, host: str | None = None, force: bool = False) -> list[str]:
    """Write accepted.jsonl and a workflow for `github` or `gitlab` (None: by what is here); return lines for a person.

    An accepted.jsonl that is here stays as it is. Raises `UsageError` for a workflow that is here and differs, unless
    `force`; `StoreError` where a file cannot be written: then no file is left.
    """
    workflow = workflow_path(folder, host or find_host(folder))
    text, baseline = workflow_text(folder, workflow), demo_baseline()
    if (folder / ACCEPTED).exists() and (folder / ACCEPTED).read_bytes() != baseline[ACCEPTED]:
        baseline = {}
    check_free(folder / workflow, text, force)
    write_all(folder, {**baseline, workflow: text})
    return [*written_lines(workflow, baseline), *remarks(folder, workflow, list(baseline)), *next_lines(workflow)]


def find_host(folder: Path) -> str:
    """`gitlab` where there is a .gitlab-ci.yml or a remote on a GitLab, else `github`."""
    remote = GITLAB_HOST.search(git("-C", str(folder), "remote", "-v"))
    return "gitlab" if remote or (folder / GITLAB).exists() else "github"


def workflow_path(folder: Path, host: str) -> Path:
    """Where the workflow goes: beside a .gitlab-ci.yml that is not ours, not in its place."""
    if host == "github":
        return GITHUB
    other = (folder / GITLAB).exists() and not (folder / GITLAB).read_text(errors="replace").startswith(MARK)
    return GITLAB_INCLUDED if other else GITLAB


def workflow_text(folder: Path, workflow: Path) -> bytes:
    """The template with the exit statuses, what pip installs, and whether files of Git LFS are fetched."""
    name = "github.yml" if workflow == GITHUB else "gitlab.yml"
    text = resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    attributes = folder / ".gitattributes"
    lfs = attributes.is_file() and "filter=lfs" in attributes.read_text(errors="replace")
    statuses = "\n".join(f"# {line}" for line in statuses_to_text().splitlines())
    values = {"@STATUSES@": statuses, "@INSTALL@": json.dumps(requirement()), "@LFS@": json.dumps(lfs)}
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text.encode()


def requirement() -> str:
    """What pip installs: the commit of this installation where it came from git, else the released package."""
    record = direct_url()
    remote, vcs = without_password(str(record.get("url", ""))), record.get("vcs_info") or {}
    commit = str(vcs.get("commit_id", ""))
    known = vcs.get("vcs") == "git" and REMOTE.fullmatch(remote) and COMMIT.fullmatch(commit)
    return f"{RELEASED} @ git+{remote}@{commit}" if known else RELEASED


def direct_url() -> dict[str, Any]:
    """Where latte-eval was installed from (PEP 610); empty for a package index, or where nothing tells."""
    try:
        found = json.loads(metadata.distribution("latte-eval").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def without_password(url: str) -> str:
    """A URL without its password or token; the user of ssh stays."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    kept = f"{user.partition(':')[0]}@" if user and parts.scheme == "ssh" else ""
    return urlunsplit(parts._replace(netloc=kept + host))


def demo_baseline() -> dict[Path, bytes]:
    """The accepted result of the demo checkpoint that ships with the package, and its features."""
    folder = resources.files("latte_eval.benchmarks.shapes")
    line = folder.joinpath(ACCEPTED.name).read_bytes()
    file = Path(json.loads(line.splitlines()[-1])["features"]["file"])
    return {file: folder.joinpath(*file.parts).read_bytes(), ACCEPTED: line}


def check_free(path: Path, text: bytes, force: bool) -> None:
    """Raise `UsageError` for a file that would be lost."""
    if path.exists() and not force and path.read_bytes() != text:
        raise UsageError(f"{path.name} is here already, at {path}: type --force to overwrite it")


def write_all(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Write every file, or none: what was made on the way to a failure is removed. Raises `StoreError`."""
    made: list[Path] = []
    for name, data in files.items():
        path = folder / name
        made += [each for each in (path, *path.parents) if not each.exists()]
        try:
            write_whole(path, data)
        except StoreError as error:
            remove(made)
            reason = getattr(error.__cause__, "strerror", None) or error
            raise StoreError(f"cannot write {path}: {reason}; nothing was written") from error


def remove(paths: list[Path]) -> None:
    """Remove files, then the folders that held them, deepest first."""
    for path in sorted((each for each in paths if each.exists()), key=lambda each: len(each.parts), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def written_lines(workflow: Path, baseline: Mapping[Path, bytes]) -> list[str]:
    """What was written and what was not."""
    if not baseline:
        return [f"wrote {workflow}", f"kept {ACCEPTED}, which is here already: the demo checkpoint cannot pass it, so "
                "change CKPT before the first job"]  # fmt: skip
    features = next(iter(baseline))
    return [f"wrote {workflow}", f"wrote {ACCEPTED} and {features}: the demo checkpoint, so that the first job passes"]


def remarks(folder: Path, workflow: Path, baseline: Sequence[Path]) -> list[str]:
    """What would keep the first job from running, or from passing."""
    lines, top = [], git("-C", str(folder), "rev-parse", "--show-toplevel")
    if workflow == GITLAB_INCLUDED:
        lines.append(f"{GITLAB} is not ours and stays as it is; add to it:  include: [{{local: {workflow}}}]  "
                     "(and test to its stages, if it names stages)")  # fmt: skip
    if top and Path(top) != folder.resolve():
        lines.append(f"this is not the top of the repository: CI looks for {workflow} in {top}")
    ignored = git("-C", str(folder), "check-ignore", *map(str, [*baseline, workflow])).splitlines()
    lines += [f"git ignores {name}: add it with git add -f" for name in ignored]
    if "dir_info" in direct_url():
        lines.append("latte-eval was installed from a folder here, CI installs it from the package index: change "
                     f"INSTALL in {workflow} if it is not there")  # fmt: skip
    return lines


def next_lines(workflow: Path) -> list[str]:
    """What to type for a checkpoint of one's own."""
    return [
        "",
        "Next, for a checkpoint of yours:",
        "  latte-eval fvd --ckpt CKPT --real VIDEOS --out runs/accepted",
        '  latte-eval gate accept runs/accepted --why "the first baseline"',
        f"then change CKPT and FAIL at the top of {workflow}.",
    ]
