"""The house: who may import whom, one module object a file, and a wheel that holds every package."""

from __future__ import annotations

import ast
import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from repository import ROOT

CODE = ("latte_eval", "metrics", "baselines", "benchmarks")

# Floors from the ground up; a module may import its own floor and those below.
FLOORS: list[set[str]] = [
    {"errors", "clips", "protocol", "result", "weights", "registry", "seeding", "distributed", "store", "storage",
     "media", "download", "reporter", "previews"},
    {"sampler", "metrics", "baselines"},
    {"benchmarks"},
    {"extract", "measure", "request", "sides", "stats", "pipeline", "demo", "explain", "explain_measure", "compare",
     "doctor", "curve", "tables", "table_runs", "accepted", "gate", "gate_boundaries", "gate_contrast", "gate_record",
     "gate_report", "gate_rules", "gate_sampling", "gate_init", "history"},
    {"report"},
    {"cli"},
]  # fmt: skip
NEVER = {("metrics", "sampler"), ("sampler", "metrics"), ("baselines", "metrics"), ("baselines", "sampler")}


def modules() -> list[tuple[str, Path]]:
    """Room and path of every module; links are not followed, so each file comes once."""
    found = []
    for top in CODE:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if "speed" in parts or "simulations" in parts or parts == ("benchmarks", "ablations.py"):
                continue
            room = parts[0] if top != "latte_eval" else Path(parts[1]).stem
            found.append((room, path))
    return found


def floor(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        rooms |= {name.split(".")[1] for name in names if name.startswith("latte_eval.")}
    return rooms


def test_every_room_has_a_floor() -> None:
    known = set().union(*FLOORS) | {"__init__", "__main__"}
    assert {room for room, _ in modules()} <= known


def test_imports_go_down() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {target}"
        for room, path in modules()
        if room not in ("__init__", "__main__")
        for target in imported_rooms(path)
        if floor(target) > floor(room) or (room, target) in NEVER
    ]
    assert not wrong


def test_the_layer_check_sees_a_wrong_import(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def f():\n    from latte_eval.cli.score import fvd\n")
    assert imported_rooms(tmp_path / "wrong.py") == {"cli"}
    assert floor("cli") > floor("metrics")


def declared_packages() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return set(config["options"]["packages"].split())


def test_setup_names_every_package() -> None:
    folders = {path.parent.relative_to(ROOT) for _, path in modules() if path.name == "__init__.py"}
    names = {".".join(folder.parts) for folder in folders}
    assert {name if name.startswith("latte_eval") else f"latte_eval.{name}" for name in names} == declared_packages()


def test_links_are_relative() -> None:
    for name in CODE[1:]:
        link = ROOT / "latte_eval" / name
        assert link.is_symlink() and str(link.readlink()) == f"../{name}"


def test_there_is_no_second_module_object() -> None:
    script = "import latte_eval.metrics, sys; assert 'metrics' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source") / "latte-eval"
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, source, symlinks=True, ignore=left_out)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    for _, path in modules():
        relative = path.relative_to(ROOT).as_posix()
        assert (relative if relative.startswith("latte_eval") else f"latte_eval/{relative}") in held
    assert {"latte_eval/py.typed", "latte_eval/baselines/published.toml"} <= held
    assert {f"latte_eval/sampler/embedded/{name}.pt" for name in ("demo", "demo_early")} <= held
    data = [path for top in ("benchmarks/shapes/accepted*", "latte_eval/gate/templates/*") for path in ROOT.glob(top)]
    data += list(ROOT.glob("benchmarks/shapes/accepted.features/*"))
    names = {path.relative_to(ROOT).as_posix() for path in data if path.is_file()}
    assert len(names) >= 4
    assert {name if name.startswith("latte_eval") else f"latte_eval/{name}" for name in names} <= held
    assert {name.split("/")[0] for name in held} == {"latte_eval"}


def test_the_wheel_imports_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import latte_eval.metrics.moments, latte_eval.benchmarks.readers, latte_eval.baselines.published as p;"
        f"assert p.__file__.startswith({str(tmp_path)!r}), p.__file__"
    )
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""})
