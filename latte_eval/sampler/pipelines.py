"""Pipelines of diffusers: which names mean one, the folder it lies in, its parts, and how it is called."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latte_eval.core.choices import check_name
from latte_eval.core.errors import CheckpointError, SamplerError, UsageError, WeightsError, first_line
from latte_eval.sampler.samplers import SAMPLERS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FRAME_NAMES = ("video_length", "num_frames")
# Larger files are told apart by size and time, or by the name that the hub's cache gives their content.
HASHED_BYTES = 1 << 20

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class TextSettings:
    """How a pipeline is called; None leaves a value to the pipeline."""

    frames: int | None = None
    size: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    dtype: str = "fp32"
    seed: int = 0


def is_pipeline(ckpt: str) -> bool:
    """Whether a checkpoint's name is a diffusers pipeline: a folder with model_index.json, or hf://owner/repo."""
    return bool(re.fullmatch(r"hf://[^/@]+/[^/@]+(@[^@]+)?", ckpt)) or (Path(ckpt) / "model_index.json").is_file()


def pipeline_folder(ckpt: str) -> Path:
    """The local folder of a pipeline, downloaded where it is on the hub."""
    if importlib.util.find_spec("transformers") is None:
        raise UsageError("text-to-video needs transformers: pip install 'latte-eval[t2v]'")
    if not ckpt.startswith("hf://"):
        return Path(ckpt)
    from diffusers import DiffusionPipeline

    from latte_eval.files.download import is_offline

    repo, _, revision = ckpt.removeprefix("hf://").partition("@")
    try:
        return Path(DiffusionPipeline.download(repo, revision=revision or None, local_files_only=is_offline()))
    except Exception as error:
        raise WeightsError(
            f"{ckpt} cannot be had ({type(error).__name__}: {first_line(error)}); "
            "put a copy in a folder and give that as --ckpt"
        ) from error


def load_pipeline(folder: Path, dtype: str) -> Any:
    """Any diffusers pipeline. Raises `CheckpointError`."""
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging
    from transformers.utils import logging as text_logging

    logging.disable_progress_bar()
    text_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # Older releases know the argument under this name alone.
            warnings.simplefilter("ignore", FutureWarning)
            pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=DTYPES[dtype], local_files_only=True)
    except Exception as error:
        raise CheckpointError(f"{folder} is not a whole pipeline: {first_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def folder_digest(folder: Path) -> str:
    """sha256 (hex) of the names and contents of a pipeline's files; for large files, what stands for the content."""
    parts = [f"{file.relative_to(folder)} {content_mark(file)}" for file in sorted(folder.rglob("*")) if file.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def content_mark(file: Path) -> str:
    """The hash of a small file; of a large one the name of the hub's blob, or size and time."""
    state, blob = file.stat(), file.resolve()
    if state.st_size <= HASHED_BYTES:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return blob.name if blob.parent.name == "blobs" else f"{state.st_size} {state.st_mtime_ns}"


def dtype_name(codec: Any) -> str | None:
    """The type that a VAE decodes in, such as `float16`; None where it does not tell."""
    dtype = getattr(codec, "dtype", None)
    return str(dtype).removeprefix("torch.") if dtype else None


def set_scheduler(pipeline: Any, sampler: str) -> None:
    """Exchange the scheduler for the one of a sampler's name, keeping its betas. Raises `UsageError`."""
    import diffusers

    known = {name: row.scheduler for name, row in zip(SAMPLERS, SAMPLERS.rows(), strict=True) if row.scheduler}
    check_name("sampler", sampler, known)
    pipeline.scheduler = getattr(diffusers, known[sampler]).from_config(pipeline.scheduler.config)


def named_parameters(pipeline: Any) -> dict[str, inspect.Parameter]:
    """Parameters of a pipeline's call."""
    return dict(inspect.signature(type(pipeline).__call__).parameters)


def clip_frames(pipeline: Any, settings: TextSettings, default: int) -> int:
    """Frames of a clip: as asked for, else as the position table of the transformer has them, else the default.

    Raises `SamplerError` for a number that the table does not allow.
    """
    config = getattr(getattr(pipeline, "transformer", None), "config", None)
    table = getattr(config, "video_length", None)
    if settings.frames is not None and table not in (None, settings.frames):
        raise SamplerError(
            f"this pipeline makes clips of {table} frames, {settings.frames} were asked for; --param frames={table}"
        )
    return settings.frames or table or default


def clip_size(pipeline: Any, settings: TextSettings, default: int | None) -> int:
    """Side of a frame: as asked for, else as the transformer was trained, else the default of the call.

    Raises `SamplerError` where nothing tells the size.
    """
    config = getattr(getattr(pipeline, "transformer", None), "config", None)
    latents, factor = getattr(config, "sample_size", None), getattr(pipeline, "vae_scale_factor", None)
    trained = latents * factor if isinstance(latents, int) and isinstance(factor, int) else default
    size = settings.size or trained
    if size is None:
        raise SamplerError(f"{type(pipeline).__name__} does not tell the size of its frames; give --param size=N")
    return size


def call_arguments(pipeline: Any, settings: TextSettings) -> dict[str, Any]:
    """Arguments of every call. Raises `SamplerError` for a pipeline that makes no videos."""
    known = named_parameters(pipeline)
    frames = next((name for name in FRAME_NAMES if name in known), None)
    if frames is None:
        raise SamplerError(f"{type(pipeline).__name__} takes no number of frames: it is not a video pipeline")
    if "height" not in known or "width" not in known:
        raise SamplerError(f"{type(pipeline).__name__} takes no size of its frames")
    size = clip_size(pipeline, settings, known["height"].default)
    wanted = {
        frames: clip_frames(pipeline, settings, known[frames].default),
        "height": size,
        "width": size,
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance_scale,
        "output_type": "np",
        # Off without the packages that it needs, so that the text is not quietly another one.
        "clean_caption": all(importlib.util.find_spec(name) for name in ("bs4", "ftfy")),
    }
    return {name: value for name, value in wanted.items() if value is not None and name in known}
