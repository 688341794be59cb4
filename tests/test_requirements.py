"""Every package that the code imports is one that setup.cfg names: nothing is there only because others bring it."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from repository import ROOT

ROOMS = ("latte_eval", "metrics", "baselines", "benchmarks")
NOT_INSTALLED = {"speed", "studies", "simulations"}


def imported() -> Iterator[tuple[str, Path]]:
    """Top-level names of modules, and where they are imported."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if NOT_INSTALLED & set(path.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level and node.module else []
            yield from ((name.partition(".")[0], path) for name in names)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """Distributions of setup.cfg: what everybody gets, and the extras for users."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = [lines for name, lines in config["options.extras_require"].items() if name not in ("test", "docs")]
    lines = "\n".join([config["options"]["install_requires"], *extras]).splitlines()
    return {plain(re.split(r"[\[<>=;~! ]", line.strip())[0]) for line in lines if line.strip()}


def test_what_is_imported_is_declared() -> None:
    known, brought = declared(), metadata.packages_distributions()
    own = {"latte_eval", *sys.stdlib_module_names}
    missing = {name: path.name for name, path in imported() if name not in own
               and not known & {plain(each) for each in brought.get(name, [name])}}  # fmt: skip
    assert not missing and len(known) > 20
