"""The house: who may import whom, one module object per file, and a wheel that holds every package."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import house
import pytest
from repository import ROOT

# All that may lie beside the rooms.
ROOT_FILES = {"__init__.py", "__main__.py", "py.typed"}
FOLDERS = {"core", "files", "sampler", "compare", "evaluation", "gate", "report", "cli"}
LINKS = {"metrics", "baselines", "benchmarks"}


def test_the_root_holds_rooms_only() -> None:
    found = {path.name: path for path in (ROOT / "latte_eval").iterdir() if path.name != "__pycache__"}
    assert set(found) == ROOT_FILES | FOLDERS | LINKS
    assert {name for name, path in found.items() if path.is_symlink()} == LINKS


def test_every_module_lies_in_a_room() -> None:
    assert {room for room, _ in house.modules()} == set(house.MAY_IMPORT)


def test_imports_go_down() -> None:
    """Imports inside functions and names in strings, such as those of the registries, count too."""
    wrong = [f"{files[0]}: {source} imports {target}" for (source, target), files in house.arrows().items()
             if target not in house.MAY_IMPORT[source]]  # fmt: skip
    assert not wrong


def test_the_table_names_no_room_above() -> None:
    """The table itself goes down: a room stands below all that may import it."""
    order = list(house.MAY_IMPORT)
    for room, below in house.MAY_IMPORT.items():
        assert all(order.index(each) < order.index(room) for each in below), room


def test_entry_points_go_to_the_command_line() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    targets = [line.partition("=")[2].strip() for line in config["options.entry_points"]["console_scripts"].split("\n")]
    assert {house.room_of(target.partition(":")[0]) for target in targets if target} == {"cli"}


def test_there_is_no_circle() -> None:
    assert max(house.floors().values()) <= 10 and house.module_circles() == []


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    from latte_eval.cli.score import fvd\n",
        "def f():\n    from latte_eval import cli\n",
        "import latte_eval.cli\n",
        'ROWS = {"x": "latte_eval.cli.score:fvd"}\n',
        'importlib.resources.files("latte_eval.cli")\n',
    ],
)
def test_the_layer_check_sees_a_wrong_arrow(text: str) -> None:
    rooms = {room for name in house.imported_names(text) if (room := house.room_of(name))}
    assert rooms == {"cli"} and "cli" not in house.MAY_IMPORT["metrics"]


def test_a_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert house.circle_from("a", graph) == ["a", "b", "c", "a"] and house.circle_from("d", graph) == []


def shipped() -> list[Path]:
    """Modules that an installation holds."""
    root = [ROOT / "latte_eval" / name for name in ROOT_FILES if name.endswith(".py")]
    return [*root, *(path for room, path in house.modules() if room != "studies")]


def declared_packages() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return set(config["options"]["packages"].split())


def test_setup_names_every_package() -> None:
    folders = {path.parent.relative_to(ROOT) for path in shipped() if path.name == "__init__.py"}
    names = {".".join(folder.parts) for folder in folders}
    assert {name if name.startswith("latte_eval") else f"latte_eval.{name}" for name in names} == declared_packages()


def test_links_are_relative() -> None:
    for name in LINKS:
        link = ROOT / "latte_eval" / name
        assert link.is_symlink() and str(link.readlink()) == f"../{name}"


def test_there_is_no_second_module_object() -> None:
    script = "import latte_eval.metrics, sys; assert 'metrics' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source") / "latte-eval"
    left_out = shutil.ignore_patterns(".git", ".venv", ".nox", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, source, symlinks=True, ignore=left_out)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    for path in shipped():
        relative = path.relative_to(ROOT).as_posix()
        assert (relative if relative.startswith("latte_eval") else f"latte_eval/{relative}") in held
    assert {"latte_eval/py.typed", "latte_eval/baselines/published.toml"} <= held
    assert {f"latte_eval/sampler/embedded/{name}.pt" for name in ("demo", "demo_early", "demo_vdt")} <= held
    data = [path for top in ("benchmarks/shapes/accepted*", "latte_eval/gate/templates/*") for path in ROOT.glob(top)]
    data += list(ROOT.glob("benchmarks/shapes/accepted.features/*"))
    names = {path.relative_to(ROOT).as_posix() for path in data if path.is_file()}
    assert len(names) >= 4
    assert {name if name.startswith("latte_eval") else f"latte_eval/{name}" for name in names} <= held
    assert {name.split("/")[0] for name in held} == {"latte_eval"}
    assert not [name for name in held if any(f"benchmarks/{folder}/" in name for folder in house.STUDIES)]


def test_the_wheel_imports_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import latte_eval.metrics.moments, latte_eval.benchmarks.readers, latte_eval.baselines.published as p;"
        f"assert p.__file__.startswith({str(tmp_path)!r}), p.__file__"
    )
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""})


# What Windows lacks.
WITHOUT_UNIX = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.modules.pop("fcntl", None)
"""


def run_without_unix(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_UNIX + script]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_it_imports_where_there_is_no_fcntl() -> None:
    names = [house.module_name(path) for path in shipped() if path.name != "__main__.py"]
    done = run_without_unix(f"import importlib\nfor name in {names}: importlib.import_module(name)\n")
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_command_line_helps_where_there_is_no_fcntl() -> None:
    done = run_without_unix("sys.argv = ['latte-eval', '--help']\nfrom latte_eval.cli import main\nmain()\n")
    assert done.returncode == 0 and "Commands:" in done.stdout, done.stderr


def test_public_names_are_there_and_cost_nothing() -> None:
    script = (
        "import latte_eval, sys; assert not {'torch', 'numpy'} & set(sys.modules);"
        "assert all(getattr(latte_eval, name) for name in latte_eval.__all__); assert set(latte_eval.__all__) ==  set("
        "latte_eval.HOMES); from latte_eval.clips import Clips, ClipSource; assert Clips is latte_eval.Clips;"
        "from latte_eval import evaluate; assert callable(evaluate);"
        "from latte_eval.sampler import Latte, load_checkpoint; from latte_eval.metrics.detectors import I3D, C3D"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
