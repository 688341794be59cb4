"""`inspect`: what a checkpoint file is and what it can be evaluated on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latte_eval.cli.options import PLACE

if TYPE_CHECKING:
    from latte_eval.sampler.model import ModelConfig


@click.command(epilog="Example: latte-eval inspect demo")
@click.argument("ckpt", type=PLACE)
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout.")
def inspect(ckpt: str, as_json: bool) -> None:
    """What a checkpoint is: variant, size, patch, frames, classes, conditioning, EMA, parameters, FLOPs."""
    found, rows = inspect_pipeline(ckpt) if is_pipeline_folder(ckpt) else inspect_checkpoint(ckpt)
    if as_json:
        click.echo(json.dumps(found))
        return
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {text}".rstrip())


Rows = list[tuple[str, str]]


def inspect_checkpoint(ckpt: str) -> tuple[dict[str, Any], Rows]:
    """A checkpoint of Latte or VDT as data and as rows."""
    from latte_eval.sampler.checkpoint import load_checkpoint
    from latte_eval.sampler.inspection import configs_of, describe, description_rows

    found = describe(load_checkpoint(ckpt))
    uses = evaluated_on(configs_of(found), ckpt)
    rows = description_rows(found)
    rows += [("evaluate" if i == 0 else "", use) for i, use in enumerate(uses)]
    return {**found, "evaluate": uses}, rows


def evaluated_on(configs: Sequence[ModelConfig], ckpt: str) -> list[str]:
    """Commands that can measure a checkpoint of this config, and what the published protocols do not allow.

    Several configs differ in the heads, which then have to be typed.
    """
    from latte_eval.benchmarks.benchmark import BENCHMARKS

    named = f"{ckpt} --heads N" if len(configs) > 1 else ckpt
    fitting = [row for row in BENCHMARKS.rows() if any(map(row.fits, configs))]
    commands = [f"latte-eval fvd --ckpt {named} --benchmark {row.name}" + " --real DIR" * row.needs_folder
                for row in fitting]  # fmt: skip
    if fitting and not any(row.needs_folder for row in fitting):
        return commands
    return [*commands, f"latte-eval fvd --ckpt {named} --real DIR", *published_limits(configs[0])]


def published_limits(config: ModelConfig) -> list[str]:
    """What the published protocols do not allow."""
    notes = []
    if config.frames != 16:
        notes.append(f"clips have {config.frames} frames; published numbers are for 16")
    if config.frames < 9:
        notes.append("FVD needs at least 9 frames; fid works")
    if config.channels == 4 and config.input_size != 32:
        notes.append(f"frames have {8 * config.input_size} pixels a side; published numbers are for 256")
    return notes


def is_pipeline_folder(ckpt: str) -> bool:
    return (Path(ckpt) / "model_index.json").is_file()


def inspect_pipeline(ckpt: str) -> tuple[dict[str, Any], Rows]:
    """A diffusers pipeline in a folder. Raises `CheckpointError` for an index that is not JSON."""
    from latte_eval.core.errors import CheckpointError
    from latte_eval.core.schemas import parse_json
    from latte_eval.sampler.image_to_video import takes_images

    try:
        index = parse_json((Path(ckpt) / "model_index.json").read_bytes())
        parts = {name: value[1] for name, value in index.items() if isinstance(value, list) and value[1]}
    except (ValueError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{ckpt}/model_index.json is damaged: {error}") from error
    name = index.get("_class_name")
    kind, given = ("an image-to-video", "") if takes_images(name) else ("a text-to-video", " --prompts FILE")
    use = f"latte-eval fvd --ckpt {ckpt}{given} --real DIR"
    found = {"name": ckpt, "pipeline": name, "parts": parts, "evaluate": [use]}
    rows = [("folder", f"{ckpt}, {kind} pipeline of diffusers: {name}")]
    rows += [(name, text) for name, text in sorted(parts.items())]
    return found, [*rows, ("evaluate", use)]
