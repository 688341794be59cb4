"""The tasks of the shipped VDT on the `shapes` benchmark: FVD, PSNR and SSIM beside both anchors, and pictures.

    python -m latte_eval.benchmarks.studies.tasks --write docs/vdt.md

Values are those of `latte-eval evaluate --metrics fvd,psnr,ssim --ckpt demo-vdt --task NAME`; the pictures, beside the
page, are of the first clip of every task, frame after frame: what is given, what the model makes of it, the real clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.benchmarks.studies.ablations import put_between
from latte_eval.core.numbers import interval_to_text, number_to_text
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.evaluation.pipeline import evaluate
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sides import open_sides
from latte_eval.metrics.paired import ANCHORS
from latte_eval.sampler.vdt.masks import TASKS

BEGIN, END = "<!-- begin tasks -->", "<!-- end tasks -->"
CHECKPOINT, METRICS = "demo-vdt", ("fvd", "psnr", "ssim")
HEADS = ("task", "FVD", "PSNR of the model", "PSNR of copying", "SSIM of the model", "SSIM of copying")
CONDITIONAL = TASKS[1:]
# Of the picture: pixels a pixel, between frames, of a task's name; what is to be generated.
SCALE, GAP, NAME_WIDTH = 2, 3, 92
HIDDEN, PAPER, INK = (120, 120, 120), (255, 255, 255), (20, 20, 20)


def measure(task: str, clips: int) -> dict[str, Result]:
    """The results of one task by metric; without given parts a clip has no truth of its own."""
    metrics = METRICS if task in CONDITIONAL else METRICS[:1]
    asked = Request(metrics=metrics, ckpt=CHECKPOINT, task=task, clips=clips)
    return {result.metric: result for result in evaluate(asked)}


def task_row(task: str, results: Mapping[str, Result]) -> str:
    """A row of the table, as Markdown."""
    cells = [task, with_interval(results["fvd"].value, results["fvd"].interval)]
    for metric in METRICS[1:]:
        for shown in ("model", ANCHORS[0]):
            row = anchor_row(results[metric], shown) if metric in results else None
            cells.append(with_interval(row["value"], row["interval"]) if row else "-")
    return f"| {' | '.join(cells)} |"


def anchor_row(result: Result, shown: str) -> dict[str, Any]:
    """Over generated positions."""
    rows: list[dict[str, Any]] = result.details["paired"]
    return next(row for row in rows if (row["shown"], row["positions"]) == (shown, "generated"))


def with_interval(value: float, interval: Sequence[float] | None) -> str:
    return number_to_text(value) + (f" ({interval_to_text(interval)})" if interval else "")


def clip_rows(task: str) -> list[Tensor]:  # three of [T, 3, H, W] uint8
    """Clip 0: what is given, on grey; what the model makes of it; the real clip."""
    fake = open_sides(Request(metrics=METRICS[:1], ckpt=CHECKPOINT, task=task, clips=2), Reporter())[2]
    made, real = fake.source.clips([0]).pixels[0], ShapesSource(2).clips([0]).pixels[0]
    assert fake.pairing is not None  # `CONDITIONAL`
    generated = fake.pairing.conditions.mask([0])[0].unsqueeze(1)
    hidden = torch.tensor(HIDDEN, dtype=torch.uint8)[:, None, None]
    return [torch.where(generated, hidden, real), made, real]


def draw_tasks(tasks: Sequence[str] = CONDITIONAL) -> Image.Image:
    """Three rows of frames a task, under each other."""
    shown = {task: clip_rows(task) for task in tasks}
    frames, _, height, width = shown[tasks[0]][0].shape
    step_x, step_y = width * SCALE + GAP, height * SCALE + GAP
    block = 3 * step_y + 3 * GAP
    picture = Image.new("RGB", (NAME_WIDTH + frames * step_x, len(tasks) * block), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, (task, rows) in enumerate(shown.items()):
        for line, (name, clip) in enumerate(zip(("given", "made", "real"), rows, strict=True)):
            top = number * block + line * step_y
            draw.multiline_text((2, top + (2 if line == 0 else 10)), f"{task}\n{name}" if line == 0 else name, INK)
            for frame in range(frames):
                picture.paste(frame_to_image(clip[frame]), (NAME_WIDTH + frame * step_x, top))
    return picture


def frame_to_image(frame: Tensor) -> Image.Image:  # [3, H, W] uint8
    pixels = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    image = Image.fromarray(pixels)
    return image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--clips", default=32)
@click.option("--write", type=click.Path(path_type=Path), help="Page whose table is replaced; the picture lies beside.")
def main(clips: int, write: Path | None) -> None:
    """Measure every task of the shipped VDT, print a Markdown table, and draw the tasks."""
    torch.set_num_threads(1)
    lines = [f"{clips} clips of `{CHECKPOINT}`, i3d-seeded; PSNR and SSIM over generated positions.", ""]
    lines += [f"| {' | '.join(HEADS)} |", f"|{' --- |' * len(HEADS)}"]
    lines += [task_row(task, measure(task, clips)) for task in TASKS]
    if write is not None:
        picture = write.with_name(f"{write.stem}-tasks.png")
        draw_tasks().save(picture, optimize=True)
        about = "What is given, what the model makes of it, and the real clip, of every task"
        put_between(write, BEGIN, END, "\n".join([f"![{about}]({picture.name})", "", *lines]))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
