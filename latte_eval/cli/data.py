"""`data list`, `data check` and `data prepare`: is this folder the right dataset, and how to convert it once."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from latte_eval.benchmarks.dataset import Dataset, datasets, find_dataset
from latte_eval.cli.bars import TerminalReporter, quiet_option
from latte_eval.cli.options import FOLDER
from latte_eval.cli.stopping import continues
from latte_eval.core.statuses import Status

if TYPE_CHECKING:
    from latte_eval.benchmarks.check import Report

SHOWN, WIDTH = 5, 110


@click.group(epilog="Example: latte-eval data check ucf101 /data/UCF-101")
def data() -> None:
    """Check or prepare a dataset folder; list the benchmarks."""


@data.command(name="list", epilog="Example: latte-eval data list")
def list_benchmarks() -> None:
    """The benchmarks: where their data comes from, under which licence, and the layouts that are understood."""
    click.echo("\n\n".join(benchmark_text(each) for each in datasets()))
    click.echo("\nshapes: drawn on the fly, needs no data: latte-eval fvd --ckpt demo")


def benchmark_text(benchmark: Dataset) -> str:
    """A benchmark in a few lines."""
    protocol = benchmark.protocol()
    places = [path or "." for layout in benchmark.layouts for path in layout.folders(benchmark.real_split)]
    fields = {
        "data": benchmark.origin,
        "licence": benchmark.licence,
        "counts": f"{benchmark.real_split} split, 16 frames at stride {protocol.real_stride}{class_text(benchmark)}",
        "checkpoint": f"{benchmark.checkpoint}, 250 DDPM steps, guidance {benchmark.guidance_scale:g}",
        "folders": ", ".join(places),
        "known": "; ".join(copy.title for copy in benchmark.copies.values()),
        "note": benchmark.advice,
    }
    return "\n".join([f"{benchmark.name}: {benchmark.title}", *field_lines(fields)])


def field_lines(fields: dict[str, str]) -> list[str]:
    """Named texts, wrapped beside their names; empty ones are left out."""
    return [
        textwrap.fill(text, WIDTH, initial_indent=f"  {key:<11} ", subsequent_indent=" " * 14, break_on_hyphens=False)
        for key, text in fields.items()
        if text
    ]


def class_text(benchmark: Dataset) -> str:
    return f", {len(benchmark.classes)} classes" if benchmark.classes else ""


@data.command(epilog="Example: latte-eval data check ucf101 /data/UCF-101")
@click.argument("name")
@click.argument("folder", type=FOLDER)
@click.option("--split", metavar="NAME", help="Another split than the one of the published numbers.")
@click.option("--decode", is_flag=True, help="Decode every frame: slow, and finds all damage.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout.")
@quiet_option
def check(name: str, folder: Path, split: str | None, decode: bool, as_json: bool, quiet: bool) -> None:
    """Whether FOLDER, a folder or zip archive, can serve the benchmark NAME. Exit status 0 if it can, else 5."""
    benchmark = find_dataset(name)
    from latte_eval.benchmarks.check import Inspection

    inspection = Inspection.open(benchmark, folder, split)
    with TerminalReporter(quiet).bar(f"check {folder.name}", len(inspection)) as advance:
        report = inspection.report(decode, advance)
    click.echo(json.dumps(report.to_dict()) if as_json else report_text(report))
    sys.exit(Status.OK if report.serves else Status.FAILED)


def report_text(report: Report) -> str:
    """One screen: what was found, and whether it can serve."""
    benchmark, found = report.benchmark, report.found
    fields = {
        "layout": f"{found.layout.title}: {found.path}{f' in {found.within}' if found.within else ''}",
        "split": found.split + listed_text(report),
        "videos": videos_text(report),
        "frames": frames_text(report),
        "sizes": ", ".join(f"{width}x{height}: {count:,}" for (width, height), count in report.sizes.items()) or "-",
        "classes": classes_text(report),
        "too short": few([f"{video.path} ({video.frames})" for video in report.too_short]),
        "unreadable": few([f"{each.path}: {each.reason}" for each in report.unreadable]),
        "left out": few([f"{path} ({reason_dropped(benchmark, path)})" for path in report.dropped]),
        "empty": few(report.empty),
        "other files": f"{report.others:,}" if report.others else "",
        "known copy": report.copy.title if report.copy else "none that is known by its frame size",
        "comparable": report.comparable,
        "note": benchmark.advice,
        "can serve": served_text(report),
    }
    return "\n".join([f"{benchmark.title} for the protocol {report.protocol.id}", *field_lines(fields)])


def listed_text(report: Report) -> str:
    """`; official lists: train 9,537 of 9,537, ...` where the lists are."""
    parts = [f"{split} {there:,} of {listed:,}" for split, (there, listed) in report.listed.items()]
    return f"; official lists: {', '.join(parts)}" if parts else ""


def videos_text(report: Report) -> str:
    expected = report.benchmark.expected.get(report.found.split)
    of = f" of {expected:,} expected" if expected else ", no count is published"
    return f"{len(report.videos):,}{of}; {len(report.usable):,} with the {report.needed} frames that a clip needs"


def frames_text(report: Report) -> str:
    frames = report.to_dict()["frames"]
    return (f"{frames['shortest']:,} to {frames['longest']:,} per video, median {frames['median']:,.0f}; "
            f"{frames['total']:,} in all")  # fmt: skip


def classes_text(report: Report) -> str:
    count = len(report.benchmark.classes)
    return f"{count - len(report.missing_classes)} of {count}" if count else ""


def reason_dropped(benchmark: Dataset, path: str) -> str:
    """Why the benchmark leaves a video out."""
    return next(reason for name, reason in benchmark.bad_videos.items() if name in path)


def few(items: list[str]) -> str:
    """How many there are and the first ones by name; empty for none."""
    more = f", and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return f"{len(items):,}: {', '.join(items[:SHOWN])}{more}" if items else ""


def served_text(report: Report) -> str:
    if report.problems:
        return "no: " + "; ".join(report.problems)
    most = report.protocol.real_clips or len(report.usable)
    return f"yes: {min(most, len(report.usable)):,} real clips, one per video"


@data.command(epilog="Example: latte-eval data prepare skytimelapse /data/sky_timelapse.zip /data/sky-256 --store jpg")
@click.argument("name")
@click.argument("source", type=FOLDER)
@click.argument("target", type=FOLDER)
@click.option("--store", type=click.Choice(["video", "png", "jpg"]), default="video", show_default=True,
              help="video: lossless H.264; png, jpg: frames, jpg as the published converters write them.")  # fmt: skip
@click.option("--size", type=click.IntRange(min=1), default=256, show_default=True, help="Side of the frames.")
@click.option("--crop", type=click.Choice(["crop-resize", "resize-crop"]), default="crop-resize", show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), help="Videos at once.  [default: one per processor]")
@quiet_option
def prepare(
    name: str, source: Path, target: Path, store: str, size: int, crop: str, jobs: int | None, quiet: bool
) -> None:
    """Crop and resize the videos of SOURCE into TARGET. Run again to continue; SOURCE is only read."""
    benchmark = find_dataset(name)
    from latte_eval.benchmarks.convert import Preparation

    preparation = Preparation.open(benchmark, source, target, store, size, crop)
    kept = continues(f"finished videos are kept in {target}, and the same command continues")
    with kept, TerminalReporter(quiet).bar(f"prepare {benchmark.name}", len(preparation), "videos") as advance:
        done = preparation.run(jobs, advance)
    for rejected in done.unreadable:
        click.echo(f"left out {rejected.path}: {rejected.reason}")
    click.echo(f"{target}: {done.written:,} written, {done.kept:,} were there, {len(done.unreadable):,} left out")
    sys.exit(Status.OK if done.written + done.kept else Status.FAILED)
