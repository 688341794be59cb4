"""The house, counted: rooms, floors, arrows, circles. `python tests/house.py` prints them.

A room is a folder of `latte_eval/`, one of the top-level folders behind its links, or the studies below `benchmarks/`
that no installation holds. An arrow goes from a room to one that it imports, also inside functions and in strings like
"latte_eval.metrics.detectors.i3d:open_i3d".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from repository import ROOT

# Which rooms each room may import, one row per room, from the ground up.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "files": {"core"},
    "sampler": {"core", "files"},
    "metrics": {"core", "files"},
    "baselines": {"core"},
    "benchmarks": {"core", "files", "sampler"},
    "compare": {"core", "files", "sampler", "metrics", "baselines", "benchmarks"},
    "evaluation": {"core", "files", "sampler", "metrics", "baselines", "benchmarks", "compare"},
    "gate": {"core", "files", "metrics", "baselines", "benchmarks", "compare", "evaluation"},
    "report": {"core", "files", "sampler", "metrics", "baselines", "benchmarks", "compare", "evaluation", "gate"},
    "cli": {
        *("core", "files", "sampler", "metrics", "baselines", "benchmarks", "compare", "evaluation", "gate", "report"),
    },
    "studies": {"core", "files", "sampler", "metrics", "benchmarks", "evaluation", "gate", "cli"},
}
TOPS = ("latte_eval", "metrics", "baselines", "benchmarks")
STUDIES = ("speed", "simulations", "studies")
DOTTED = re.compile(r"latte_eval(\.\w+)+(:\w+)?")


def modules() -> Iterator[tuple[str, Path]]:
    """Room and path of every module; links are not followed, so each file comes once. The root is no room."""
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if top != "latte_eval":
                yield ("studies" if parts[1] in STUDIES else top), path
            elif len(parts) > 2:
                yield parts[1], path


def imported_names(text: str) -> Iterator[str]:
    """Dotted names that a module imports or holds as a text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            yield node.value.partition(":")[0]


def room_of(name: str) -> str | None:
    """The room that a dotted name of ours lies in; None for the root and for what is not ours."""
    parts = name.split(".")
    if parts[0] != "latte_eval" or len(parts) < 2 or parts[1] not in MAY_IMPORT:
        return None
    return "studies" if parts[1] == "benchmarks" and len(parts) > 2 and parts[2] in STUDIES else parts[1]


def arrows() -> dict[tuple[str, str], list[str]]:
    """(from, to) -> the files that make the arrow."""
    found: dict[tuple[str, str], list[str]] = {}
    for room, path in modules():
        targets = {target for name in imported_names(path.read_text()) if (target := room_of(name))}
        for target in sorted(targets - {room}):
            found.setdefault((room, target), []).append(str(path.relative_to(ROOT)))
    return found


def floors() -> dict[str, int]:
    """The floor of each room: one above the highest that it imports. Raises `RecursionError` for a circle."""
    below = {room: {target for source, target in arrows() if source == room} for room in MAY_IMPORT}

    def floor(room: str) -> int:
        return 1 + max((floor(each) for each in below[room]), default=0)

    return {room: floor(room) for room in MAY_IMPORT}


def module_circles() -> list[list[str]]:
    """Modules that import each other when they are loaded, in a circle."""
    graph = {module_name(path): loaded_names(path) for _, path in modules()}
    return [found for name in graph if (found := circle_from(name, graph))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    dotted = ".".join(parts if parts[0] == "latte_eval" else ("latte_eval", *parts))
    return dotted.removesuffix(".__init__")


def loaded_names(path: Path) -> set[str]:
    """Modules that are imported when this one is: not inside functions, not for type checkers alone."""
    body = ast.parse(path.read_text()).body
    top = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = set(imported_names("\n".join(ast.unparse(node) for node in top)))
    return {name for name in names if name.startswith("latte_eval.")} - {module_name(path)}


def circle_from(start: str, graph: dict[str, set[str]]) -> list[str]:
    """A way from a module back to itself; empty where there is none."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop()
        for following in graph.get(way[-1], set()):
            if following == start:
                return [*way, start]
            if following in graph and following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def main() -> None:
    """Print what a newcomer would count."""
    found, height, files = arrows(), floors(), list(modules())
    for room in sorted(MAY_IMPORT, key=lambda name: (height[name], name)):
        count = sum(each == room for each, _ in files)
        targets = ", ".join(target for source, target in found if source == room) or "nothing"
        print(f"floor {height[room]}  {room:<11} {count:3} files, imports {targets}")
    print(f"{len(MAY_IMPORT)} rooms, {max(height.values())} floors, {len(found)} arrows, "
          f"{len(module_circles())} circles of modules")  # fmt: skip


if __name__ == "__main__":
    main()
