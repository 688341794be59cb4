"""The ablations of the Latte paper (figures 6 and 8), repeated at small size on the `shapes` benchmark.

    python -m latte_eval.benchmarks.studies.ablations --out RUNS --write docs/ablations.md

Every choice is trained for a few thousand steps with several seeds by `benchmarks/studies/train.py` and measured by
`latte-eval curve`. Run again, the command continues: finished runs and measured checkpoints are kept.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from latte_eval.evaluation.curve import COLOURS, MARKS

BEGIN, END = "<!-- begin ablations -->", "<!-- end ablations -->"

# Options of the training script that make each run; `base` is the demo model.
RUNS: dict[str, list[str]] = {
    "base": [],
    "variant-2": ["--variant", "2"],
    "variant-3": ["--variant", "3"],
    "variant-4": ["--variant", "4"],
    "compression": ["--patch-embedding", "compression"],
    "all-tokens": ["--conditioning", "all-tokens"],
    "rotary": ["--temporal-position", "rotary"],
    "interval-2": ["--interval", "2"],
    "interval-3": ["--interval", "3"],
    "small": ["--size", "small"],
    "large": ["--size", "large"],
    "images": ["--images", "4"],
}


@dataclass(frozen=True)
class Ablation:
    """One question of the paper.

    Attributes:
        title: of the question.
        runs: names in `RUNS`, the paper's choice first.
        finding: what the paper reports, in a sentence.
        better: the run that the paper finds best; None where it finds no lasting difference.
    """

    title: str
    runs: tuple[str, ...]
    finding: str
    better: str | None


ABLATIONS = (
    Ablation("Variant", ("base", "variant-2", "variant-3", "variant-4"), "variant 1 is best", "base"),
    Ablation("Patch embedding", ("base", "compression"), "uniform frames beat compression frames", "base"),
    Ablation("Conditioning", ("base", "all-tokens"), "S-AdaLN beats all tokens", "base"),
    Ablation("Temporal position", ("base", "rotary"), "absolute is slightly better than rotary", "base"),
    Ablation("Sampling interval", ("base", "interval-2", "interval-3"), "no lasting difference", None),
    Ablation("Size", ("large", "base", "small"), "larger is better", "large"),
    Ablation("Joint images", ("images", "base"), "training with images is better", "images"),
)


@dataclass(frozen=True)
class Plan:
    """How much is trained and measured."""

    out: Path
    steps: int
    seeds: int
    clips: int
    batch_size: int
    compiled: bool = True

    def folder(self, run: str, seed: int) -> Path:
        """Where the checkpoints of one training lie."""
        return self.out / f"{run}-seed{seed}"

    @property
    def kept(self) -> list[int]:
        """Steps that are measured: a quarter, a half, and the end."""
        return [self.steps // 4, self.steps // 2, self.steps]


def train_run(plan: Plan, run: str, seed: int) -> None:
    """Train one run with one seed, unless its last checkpoint is there."""
    folder = plan.folder(run, seed)
    if (folder / f"{plan.steps:07d}.pt").is_file():
        return
    command = [sys.executable, "-m", "latte_eval.benchmarks.studies.train", "--out", str(folder), "--seed", str(seed),
               "--steps", str(plan.steps), "--batch-size", str(plan.batch_size),
               "--keep", ",".join(map(str, plan.kept[:-1])),
               "--compile" if plan.compiled else "--no-compile"]  # fmt: skip
    subprocess.run([*command, *RUNS[run]], check=True)


def measure(plan: Plan, run: str, seed: int) -> list[float]:
    """FVD of the checkpoints of one training, in order of iteration."""
    done = subprocess.run(curve_command(plan, [run], [seed], "last"), check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line)["value"] for line in done.stdout.splitlines()]


def draw(plan: Plan, ablation: Ablation) -> None:
    """Plot all trainings of one ablation in one chart, if they are measured against the same real clips."""
    if not any(run.startswith("interval") for run in ablation.runs):
        plot = ablation.title.lower().replace(" ", "-")
        subprocess.run(
            curve_command(plan, ablation.runs, range(plan.seeds), plot), check=True, stdout=subprocess.DEVNULL
        )


def curve_command(plan: Plan, runs: Sequence[str], seeds: Sequence[int], plot: str) -> list[str]:
    """`latte-eval curve` over some runs. Clips of another interval are compared with real ones of that interval."""
    folders = [str(plan.folder(run, seed)) for run in runs for seed in seeds]
    intervals = {run.removeprefix("interval-") for run in runs if run.startswith("interval-")}
    stride = [f"--param=real_stride={interval}" for interval in intervals]
    return [sys.executable, "-c", "from latte_eval.cli import main; main()", "curve", *folders, "--benchmark", "shapes",
            "--detector", "seeded", "--clips", str(plan.clips), "--no-interval", "--json", *stride,
            "--out", str(plan.out / "measured"), "--plot", str(plan.out / plot)]  # fmt: skip


def table_rows(plan: Plan, values: dict[tuple[str, int], list[float]], ablation: Ablation) -> Iterator[str]:
    """Markdown rows of one ablation: mean and standard deviation over seeds at every measured iteration."""
    for run in ablation.runs:
        seeds = [values[run, seed] for seed in range(plan.seeds)]
        cells = [spread_text(column) for column in zip(*seeds, strict=True)]
        yield f"| {ablation.title} | {run} | " + " | ".join(cells) + " |"


def spread_text(values: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def verdict(plan: Plan, values: dict[tuple[str, int], list[float]], ablation: Ablation) -> str:
    """Whether the paper's finding shows at the last iteration, judged by twice the standard error of a difference."""
    last = {run: [values[run, seed][-1] for seed in range(plan.seeds)] for run in ablation.runs}
    best = min(last, key=lambda run: statistics.mean(last[run]))
    rest = [run for run in last if run != (ablation.better or best)]
    gaps = {run: gap_in_errors(last[ablation.better or best], last[run]) for run in rest}
    if ablation.better is None:
        return "as in the paper: within the spread" if max(gaps.values()) < 2 else f"differs: {best} is better"
    if min(gaps.values()) >= 2:
        return "as in the paper"
    if any(gap <= -2 for gap in gaps.values()):
        return f"differs: {best} is better"
    return "not decided: within the spread of the seeds"


def gap_in_errors(better: Sequence[float], worse: Sequence[float]) -> float:
    """How many standard errors the second mean lies above the first; spreads come from the seeds."""
    gap = statistics.mean(worse) - statistics.mean(better)
    if min(len(better), len(worse)) < 2:
        return 0.0
    error = (statistics.variance(better) / len(better) + statistics.variance(worse) / len(worse)) ** 0.5
    return gap / error if error else 0.0


def page(plan: Plan, values: dict[tuple[str, int], list[float]]) -> str:
    """The table and the findings, as Markdown."""
    head = ["question", "run", *(f"FVD at {step:,}" for step in plan.kept)]
    caption = (
        f"{plan.seeds} seeds, {plan.steps:,} steps of batch {plan.batch_size}, {plan.clips} clips, i3d-seeded; "
        "mean ± standard deviation over seeds."
    )
    lines = [caption, "", "| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for ablation in ABLATIONS:
        lines += table_rows(plan, values, ablation)
    lines += ["", "| question | the paper finds | here |", "| --- | --- | --- |"]
    lines += [f"| {a.title} | {a.finding} | {verdict(plan, values, a)} |" for a in ABLATIONS]
    return "\n".join(lines)


def draw_page(plan: Plan, values: dict[tuple[str, int], list[float]], path: Path) -> None:
    """One panel per question: mean over seeds against iteration, with the standard deviation as bars."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "latte-eval"
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    panels = list(figure.subplots(2, 4, sharex=True, sharey=True).flat)
    for axes, ablation in zip(panels, ABLATIONS, strict=False):
        for order, run in enumerate(ablation.runs):
            columns = list(zip(*(values[run, seed] for seed in range(plan.seeds)), strict=True))
            means = [statistics.mean(column) for column in columns]
            spread = [statistics.stdev(column) if len(column) > 1 else 0.0 for column in columns]
            # Side by side, so that bars do not hide each other.
            places = [step * (1 + 0.02 * order) for step in plan.kept]
            axes.errorbar(places, means, spread, color=COLOURS[order], marker=MARKS[order], label=run, capsize=2)
        axes.set_title(ablation.title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    for axes in panels[len(ABLATIONS) :]:
        axes.remove()
    figure.supxlabel("iteration")
    figure.supylabel("FVD (lower is better)")
    figure.savefig(path, metadata={"Date": None})


def put_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put the text between two marks of a page."""
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for runs, plots and features.")
@click.option("--steps", default=2000)
@click.option("--seeds", default=3, help="Trainings of every choice.")
@click.option("--clips", default=128)
@click.option("--batch-size", default=16)
@click.option("--compile/--no-compile", "compiled", default=True, help="Compile the models; needs a C++ compiler.")
@click.option("--write", type=click.Path(path_type=Path), help="Page whose table is replaced.")
def main(out: Path, steps: int, seeds: int, clips: int, batch_size: int, compiled: bool, write: Path | None) -> None:
    """Train and measure every choice of the paper's ablations on shapes."""
    plan = Plan(out, steps, seeds, clips, batch_size, compiled)
    values: dict[tuple[str, int], list[float]] = {}
    for run in RUNS:
        for seed in range(seeds):
            train_run(plan, run, seed)
            values[run, seed] = measure(plan, run, seed)
    for ablation in ABLATIONS:
        draw(plan, ablation)
    text = page(plan, values)
    if write is not None:
        picture = write.with_suffix(".svg")
        draw_page(plan, values, picture)
        put_between(write, BEGIN, END, f"![FVD against iteration for every question]({picture.name})\n\n{text}")
    click.echo(text)


if __name__ == "__main__":
    main()
