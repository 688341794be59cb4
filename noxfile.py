"""The checks of this repository: `nox` runs the usual ones, `nox --list` names all, `nox -s NAME` runs one.

`nox -t release` runs those of a release: the tests on every Python and with the lowest versions, and the wheel.
Each session makes an environment of its own. With `nox --no-venv` it uses the one that is active, and installs nothing.
"""

from __future__ import annotations

import configparser
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["tests-3.11", "lint", "types", "docs"]
# An environment with torch has several gigabytes; `nox --reuse-venv never` makes a new one.
nox.options.reuse_venv = "yes"

GATE = "latte-eval gate --ckpt demo --against benchmarks/shapes/accepted.jsonl --fail fvd:+1 --device cpu"


def requirements(section: str, option: str) -> list[str]:
    """Lines of setup.cfg, which alone says what is needed."""
    config = configparser.ConfigParser()
    config.read(Path(__file__).with_name("setup.cfg"))
    return config[section][option].strip().splitlines()


def install(session: nox.Session, *packages: str) -> None:
    """Install into the session's own environment, and never into one that belongs to the caller."""
    if session.venv_backend != "none":
        session.install(*packages)


@nox.session(python=["3.11", "3.12", "3.13"], tags=["release"])
def tests(session: nox.Session) -> None:
    """The test suite; what follows `--` goes to pytest: `nox -s tests-3.12 -- -x tests/gate`."""
    install(session, "-e", ".[test]")
    install(session, "-r", "tests/requirements-s3.txt")
    session.run("pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes, with ruff."""
    ruff = [line for line in requirements("options.extras_require", "test") if line.startswith("ruff")]
    install(session, *ruff)
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Type hints, with mypy, which reads those of the installed packages too."""
    install(session, "-e", ".[test]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Relative links of the pages point to files that exist, and the site builds without a warning: build/site."""
    install(session, "-e", ".[docs]")
    session.run("python", "tests/check_links.py")
    session.run("mkdocs", "build", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(python="3.11", tags=["release"])
def lowest(session: nox.Session) -> None:
    """The test suite with the lowest versions that setup.cfg allows a user; the tools of the tests are the newest."""
    tools = requirements("options.extras_require", "test")
    used = requirements("options", "install_requires") + requirements("options.extras_require", "t2v")
    # The newest of this tool needs a later click than it says.
    used += [line for line in tools if line.startswith("check-jsonschema")]
    install(session, "-e", ".[test]", *(line.replace(">=", "==") for line in used))
    session.run("pytest", "-q", "-n", "auto", *session.posargs)


# Never the environment of last time: pip does not replace a wheel by one of the same version.
@nox.session(python="3.13", tags=["release"], reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """The demo from a wheel, outside the checkout, on the newest Python."""
    with tempfile.TemporaryDirectory() as out:
        # Built from a copy: a folder `build` of an earlier day would go into the wheel.
        left_out = shutil.ignore_patterns(".git", ".venv", ".nox", "build", "*.egg-info", "__pycache__")
        source = shutil.copytree(Path(__file__).parent, Path(out) / "source", symlinks=True, ignore=left_out)
        session.run("pip", "wheel", "-q", "--no-deps", "-w", out, str(source))
        install(session, *map(str, Path(out).glob("*.whl")))
        session.chdir(out)
        session.run("latte-eval", "fvd", "--ckpt", "demo", "--out", "run")


@nox.session
def gate(session: nox.Session) -> None:
    """The embedded checkpoint against its accepted result."""
    install(session, "-e", ".")
    # A new folder each time: the gate would not sample again what an old one holds.
    with tempfile.TemporaryDirectory() as out:
        session.run(*GATE.split(), "--out", out)


@nox.session
def verify(session: nox.Session) -> None:
    """Every network, loop, distance and converter against its reference, on this machine."""
    install(session, "-e", ".")
    session.run("latte-eval", "doctor", "--verify", *session.posargs)


@nox.session
def siege(session: nox.Session) -> None:
    """Every siege with all its trials, before a release: about an hour. `nox -s siege -- --seed 1` draws others."""
    install(session, "-e", ".[test]")
    folder = Path(__file__).with_name("tests") / "siege"
    for file in sorted(path for path in folder.glob("*.py") if "\nSIEGE = " in path.read_text()):
        session.run("python", str(file), *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """The tests that need an accelerator; without one they are skipped with the reason."""
    install(session, "-e", ".[test]")
    session.run("pytest", "-q", "-m", "gpu", *session.posargs)
