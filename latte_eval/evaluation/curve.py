"""A metric over the checkpoints of one or several training runs: values, a table, a plot."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.compare.comparable import decisive, differences
from latte_eval.core.errors import CheckpointError, LatteEvalError, NotComparable, StoreError, UsageError
from latte_eval.core.notices import notice
from latte_eval.core.numbers import interval_to_text, number_to_text
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.evaluation.pipeline import evaluate, join_run
from latte_eval.evaluation.request import Request
from latte_eval.files.addresses import hub_advice, is_fetched
from latte_eval.sampler.checkpoint import iteration_of, load_checkpoint

# Colours that people with any colour vision can tell apart (Okabe and Ito 2008), and a mark for each.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX"


@dataclass(frozen=True)
class Point:
    """One checkpoint of a run."""

    run: str
    iteration: int
    path: str


@dataclass(frozen=True)
class Measured:
    """A point with its result."""

    point: Point
    result: Result


def find_points(names: Sequence[str]) -> list[Point]:
    """Checkpoints as points, sorted by run and iteration. A folder stands for all *.pt and *.safetensors in it.

    A run is named after its folder, with as many parent folders as are needed to tell runs apart.

    Raises:
        UsageError: no checkpoints, or two of the same run and iteration.
        CheckpointError: a file that is no checkpoint.
    """
    steps = {file: step for name in names for file, step in iterations(name).items()}
    if not steps:
        raise UsageError(f"there is no checkpoint in {', '.join(names)}")
    folders = run_names(sorted({str(Path(file).parent) for file in steps}))
    points = [Point(folders[str(Path(file).parent)], step, file) for file, step in steps.items()]
    points.sort(key=lambda point: (point.run, point.iteration))
    for one, other in zip(points, points[1:], strict=False):
        if (one.run, one.iteration) == (other.run, other.iteration):
            raise UsageError(f"{one.path} and {other.path} are both iteration {one.iteration} of one run")
    return points


def points_of_run(request: Request, names: Sequence[str]) -> list[Point]:
    """As `find_points`; under a launcher those that the first process finds: a training may be writing more."""
    team = join_run(request, request.run_folder.make())
    with team.first(team.number("curve")) as said:
        if team.rank == 0:
            said["points"] = [dataclasses.asdict(point) for point in find_points(names)]
    return [Point(**each) for each in said["points"]]


def iterations(name: str) -> dict[str, int]:
    """Files to training steps: of a file itself, of a folder the checkpoints in it.

    A training may be writing there: what is no whole checkpoint, and a second name of one that is numbered, such as
    latest.pt, are passed over with a notice.
    """
    if not Path(name).is_dir():
        return {name: iteration(name)}
    found: dict[str, int] = {}
    for file in sorted(checkpoint_files(Path(name)), key=lambda file: iteration_of({}, file) is None):
        try:
            step = iteration(str(file))
        except LatteEvalError as error:
            notice(f"{file.name} is passed over: {error}")
            continue
        if step in found.values() and iteration_of({}, file) is None:
            notice(f"{file.name} is passed over: it is iteration {step:,}, as another file is")
        else:
            found[str(file)] = step
    return found


def checkpoint_files(folder: Path) -> list[Path]:
    """Files that are named as checkpoints, in order; hidden ones are not, such as those that macOS adds."""
    files = (file for file in folder.iterdir() if file.suffix in (".pt", ".pth", ".safetensors"))
    return sorted(file for file in files if not file.name.startswith("."))


def iteration(file: str) -> int:
    """Training steps, by the name of the file or else by what it holds.

    Raises `CheckpointError` for a file that is absent, `UsageError` where neither tells.
    """
    if not is_fetched(file) and not Path(file).is_file():
        advice = hub_advice(file)
        raise CheckpointError(f"{file} {f'is no file here: {advice}' if advice else 'does not exist'}")
    found = iteration_of({}, Path(file))
    found = load_checkpoint(file).iteration if found is None else found
    if found is None:
        raise UsageError(f"neither {file} nor its name tells the iteration; call it such as 0010000.pt")
    return found


def run_names(folders: Sequence[str]) -> dict[str, str]:
    """Folders to the shortest tails of their paths that differ."""
    parts = {folder: Path(folder).resolve().parts for folder in folders}
    for length in range(1, max(len(each) for each in parts.values()) + 1):
        names = {folder: "/".join(each[-length:]) for folder, each in parts.items()}
        if len(set(names.values())) == len(names):
            break
    return names


def measure_curve(request: Request, points: Sequence[Point], reporter: Reporter) -> Iterator[Measured]:
    """Measure one point after the other; what a run folder holds is not sampled again.

    A file that is no whole checkpoint is passed over with a notice, unless no other is there. Processes of a launcher
    other than the first yield nothing. Raises `NotComparable` where checkpoints differ in what the protocol fixes, such
    as the size of a frame, and all that `evaluate` raises.
    """
    first: Result | None = None
    refused: list[CheckpointError] = []
    for place, point in enumerate(points, start=1):
        reporter.say(f"{place} of {len(points)}: {point.path}, iteration {point.iteration:,}")
        try:
            results = evaluate(dataclasses.replace(request, ckpt=point.path), reporter)
        except CheckpointError as error:
            notice(f"{point.path} is passed over: {error}")
            refused.append(error)
            continue
        for result in results:
            first = first or result
            if wrong := decisive(differences(result, first)):
                said = "; ".join(each.sentence("before it") for each in wrong)
                raise NotComparable(f"{point.path} was measured under {result.protocol}: {said}")
            yield Measured(point, result)
    if len(refused) == len(points):
        raise refused[0]


def curve_to_text(measured: Sequence[Measured]) -> str:
    """A table that a person reads."""
    head = ("run", "iteration", measured[0].result.metric.upper(), "95 % interval", "clips")
    rows = [head, *(table_row(each) for each in measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(aligned(row, widths)) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines), "", f"protocol  {measured[0].result.protocol}"])


def aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Cells padded to the width of their column; names and intervals to the left, numbers to the right."""
    pairs = enumerate(zip(row, widths, strict=True))
    return [cell.ljust(width) if column in (0, 3) else cell.rjust(width) for column, (cell, width) in pairs]


def table_row(measured: Measured) -> tuple[str, ...]:
    r, point = measured.result, measured.point
    bounds = interval_to_text(r.interval) if r.interval else ""
    return point.run, f"{point.iteration:,}", number_to_text(r.value), bounds, f"{r.fake:,}"


def draw_curve(measured: Sequence[Measured], paths: Sequence[Path]) -> None:
    """Value against iteration, one line per run, as PNG or SVG by the suffix. Raises `StoreError`."""
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A new figure each time: matplotlib 3.10 writes another SVG after a PNG of the same one.
            plot_curve(measured).savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error


def plot_curve(measured: Sequence[Measured]) -> Any:
    """The figure, without a window. # -> matplotlib.figure.Figure"""
    import matplotlib
    from matplotlib.figure import Figure

    # Equal curves give equal files.
    matplotlib.rcParams["svg.hashsalt"] = "latte-eval"
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, first = figure.subplots(), measured[0].result
    runs = list(dict.fromkeys(each.point.run for each in measured))
    for i, run in enumerate(runs):
        draw_run(axes, [each for each in measured if each.point.run == run], i)
    better = "lower is better" if first.better == "lower" else "higher is better"
    axes.set(xlabel="iteration", ylabel=f"{first.metric.upper()} ({better})")
    axes.set_title(f"{first.protocol}, {first.detector['name']}", fontsize=8)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def draw_run(axes: Any, points: Sequence[Measured], index: int) -> None:
    """One line, with the intervals as bars where there are some."""
    colour, mark = COLOURS[index % len(COLOURS)], MARKS[index % len(MARKS)]
    x, y = [each.point.iteration for each in points], [each.result.value for each in points]
    axes.plot(x, y, color=colour, marker=mark, label=points[0].point.run)
    for each in points:
        if each.result.interval:
            axes.vlines(each.point.iteration, *each.result.interval, color=colour, alpha=0.5)
