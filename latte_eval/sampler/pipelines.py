"""Pipelines of diffusers: which names mean one, the folder it lies in, its parts, and how it is called."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.choices import check_name
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import (
    CheckpointError,
    SamplerError,
    UsageError,
    WeightsError,
    first_line,
    kind_and_first_line,
)
from latte_eval.core.schemas import parse_json
from latte_eval.core.seeding import clip_generator
from latte_eval.sampler.pipeline_options import check_told
from latte_eval.sampler.samplers import SAMPLERS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# The task of pipelines that go on from images.
FIRST_FRAME = "first frame"
FRAME_NAMES = ("video_length", "num_frames")
# Larger files are told apart by size and time, or by the name that the hub's cache gives their content.
HASHED_BYTES = 1 << 20

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class PipelineSettings:
    """How a pipeline is called; None leaves a value to the pipeline.

    Attributes:
        told: what it is told besides, by the names of `PIPELINE_OPTIONS`.
    """

    frames: int | None = None
    size: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    dtype: str = "fp32"
    seed: int = 0
    told: dict[str, float] = field(default_factory=dict)


def is_pipeline(ckpt: str) -> bool:
    """Whether a checkpoint's name is a diffusers pipeline: a folder with model_index.json, or hf://owner/repo."""
    return bool(re.fullmatch(r"hf://[^/@]+/[^/@]+(@[^@]+)?", ckpt)) or (Path(ckpt) / "model_index.json").is_file()


def pipeline_class(ckpt: str) -> str | None:
    """The class of a pipeline, as its model_index.json names it; None where that does not tell.

    Raises `WeightsError` for a repository that cannot be had.
    """
    if ckpt.startswith("hf://"):
        from latte_eval.files.download import fetch_hub_file

        repo, at, revision = ckpt.partition("@")
        index = fetch_hub_file(f"{repo}/model_index.json{at}{revision}")
    else:
        index = Path(ckpt) / "model_index.json"
    try:
        name = parse_json(index.read_bytes())["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def pipeline_folder(ckpt: str) -> Path:
    """The local folder of a pipeline, downloaded where it is on the hub."""
    if importlib.util.find_spec("transformers") is None:
        raise UsageError("pipelines of diffusers need transformers: pip install 'latte-eval[t2v]'")
    if not ckpt.startswith("hf://"):
        return Path(ckpt)
    from diffusers import DiffusionPipeline

    from latte_eval.files.download import is_offline

    repo, _, revision = ckpt.removeprefix("hf://").partition("@")
    try:
        return Path(DiffusionPipeline.download(repo, revision=revision or None, local_files_only=is_offline()))
    except Exception as error:
        raise WeightsError(
            f"{ckpt} cannot be had ({kind_and_first_line(error)}); put a copy in a folder and give that as --ckpt"
        ) from error


def load_pipeline(folder: Path, dtype: str) -> Any:
    """Any diffusers pipeline. Raises `CheckpointError`."""
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging
    from transformers.utils import logging as text_logging

    check_no_code(folder)
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


def check_no_code(folder: Path) -> None:
    """Raise `CheckpointError` for a pipeline with Python files: diffusers 0.34 runs them without a word."""
    if found := sorted(folder.rglob("*.py")):
        raise CheckpointError(
            f"{folder} has code of its own ({found[0].relative_to(folder)}), and nothing in a checkpoint is run: take "
            "it out if the pipeline works without it, or wrap the model and give it as --generator MODULE:NAME"
        )


def hub_commit(folder: Path) -> str | None:
    """The commit of a repository that a folder of the hub's cache holds; None for another folder."""
    return folder.name if folder.parent.name == "snapshots" and re.fullmatch("[0-9a-f]{40}", folder.name) else None


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


class PipelineSource:
    """A pipeline as a source of clips, one call a clip; implements `latte_eval.core.clips.ClipSource`.

    Args:
        pipeline: called as diffusers pipelines are; gives `frames` [1, T, H, W, 3] in 0..1.
        count: clips 0..count-1 exist.
        identity: sha256 (hex) of the pipeline's files.
        on_step: called with (steps done, steps in all) of a clip.

    Attributes:
        revision: the commit of the hub's repository that these files came from; None for other folders.
    """

    revision: str | None = None

    def __init__(
        self, pipeline: Any, count: int, settings: PipelineSettings, name: str, identity: str, on_step: OnStep | None
    ):
        self.pipeline, self.count, self.settings = pipeline, count, settings
        self.name, self.identity, self.on_step = name, identity, on_step
        if settings.sampler is not None:
            set_scheduler(pipeline, settings.sampler)
        check_told(settings.told, named_parameters(pipeline), type(pipeline).__name__)
        self.arguments = call_arguments(pipeline, settings) | settings.told
        if on_step is not None and "callback_on_step_end" in named_parameters(pipeline):
            self.arguments["callback_on_step_end"] = self.report_step

    def inputs(self, index: int) -> dict[str, Any]:
        """What a clip is made from, as arguments of the call."""
        raise NotImplementedError

    @property
    def origins(self) -> Any:
        """What all clips are made from, in JSON types: a part of the fingerprint."""
        raise NotImplementedError

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips that are made from the same are not independent."""
        raise NotImplementedError

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return next(int(self.arguments[name]) for name in FRAME_NAMES if name in self.arguments)

    @property
    def size(self) -> int:
        """Side of a frame in pixels: clips are square."""
        return int(self.arguments["height"])

    @property
    def fingerprint(self) -> str:
        scheduler = dict(self.pipeline.scheduler.config)
        plain = {key: value for key, value in self.arguments.items() if key != "callback_on_step_end"}
        # What it is told is among the arguments: settings have the form that earlier versions stored features under.
        settings = {key: value for key, value in asdict(self.settings).items() if key != "told"}
        parts = [self.identity, self.origins, settings, plain, scheduler]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def rejected(self) -> Sequence[Rejected]:
        return ()

    def __len__(self) -> int:
        return self.count

    def checkpoint_record(self) -> dict[str, Any]:
        """What a result says about the pipeline."""
        revision = {"revision": self.revision} if self.revision else {}
        return {"name": self.name, "sha256": self.identity, "weights": type(self.pipeline).__name__,
                "iteration": None, "frames": self.frames, "size": self.size, **revision}  # fmt: skip

    def sampler_record(self) -> dict[str, Any]:
        """What a result says about how clips were made."""
        steps = self.setting("num_inference_steps", self.settings.steps)
        codec = getattr(self.pipeline, "vae", None)
        return {"method": type(self.pipeline.scheduler).__name__, "steps": steps, "guidance_scale": self.guidance_scale,
                "clip_x0": False, "dtype": self.settings.dtype, "seed": self.settings.seed,
                "codec": type(codec).__name__, "codec_sha256": None, "codec_dtype": dtype_name(codec),
                **self.settings.told}  # fmt: skip

    @property
    def guidance_scale(self) -> Any:
        """As asked for, or the pipeline's own."""
        return self.setting("guidance_scale", self.settings.guidance_scale)

    def setting(self, name: str, given: Any) -> Any:
        """A setting, or the pipeline's own default."""
        known = named_parameters(self.pipeline)
        return known[name].default if given is None and name in known else given

    @exact_float32()
    def clips(self, indices: Sequence[int]) -> Clips:
        """One call of the pipeline per clip. Raises `SamplerError` for frames that are not what was asked for."""
        return Clips(torch.stack([self.clip(index) for index in indices]), tuple(indices))

    def clip(self, index: int) -> Tensor:  # -> [T, 3, H, W] uint8
        generator, inputs = clip_generator(self.settings.seed, index), self.inputs(index)
        try:
            given = self.pipeline(**inputs, generator=generator, **self.arguments).frames
        except (TypeError, ValueError) as error:
            raise SamplerError(f"{self.name} cannot make clip {index}: {first_line(error)}") from error
        frames = np.asarray(given)[0]
        shape = (self.frames, self.size, self.size, 3)
        if frames.shape != shape:
            raise SamplerError(f"{self.name} gave clip {index} as {frames.shape}, {shape} was asked for")
        if not np.isfinite(frames).all():
            raise SamplerError(f"clip {index} of {self.name} came out as NaN or infinite; try --dtype fp32")
        return torch.from_numpy((frames * 255).round().clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2)

    def report_step(self, pipeline: Any, step: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.on_step is not None:
            self.on_step(step + 1, pipeline.num_timesteps)
        return kwargs


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


def clip_frames(pipeline: Any, settings: PipelineSettings, default: int | None) -> int | None:
    """Frames of a clip: as asked for, as the position table of the transformer has them, the default, or a U-Net's.

    Raises `SamplerError` for a number that the table does not allow.
    """
    config = getattr(getattr(pipeline, "transformer", None), "config", None)
    table = getattr(config, "video_length", None)
    if settings.frames is not None and table not in (None, settings.frames):
        raise SamplerError(
            f"this pipeline makes clips of {table} frames, {settings.frames} were asked for; --param frames={table}"
        )
    return settings.frames or table or default or unet_value(pipeline, "num_frames")


def unet_value(pipeline: Any, name: str) -> Any:
    """A value of the config of a pipeline's U-Net; None where there is none."""
    return getattr(getattr(getattr(pipeline, "unet", None), "config", None), name, None)


def clip_size(pipeline: Any, settings: PipelineSettings, default: int | None) -> int:
    """Side of a frame: as asked for, as the transformer was trained, the default of the call, or a U-Net's.

    Raises `SamplerError` where nothing tells the size.
    """
    config = getattr(getattr(pipeline, "transformer", None), "config", None)
    latents, factor = getattr(config, "sample_size", None), getattr(pipeline, "vae_scale_factor", None)
    trained = latents * factor if isinstance(latents, int) and isinstance(factor, int) else default
    side = unet_value(pipeline, "sample_size")
    own = side * factor if isinstance(side, int) and isinstance(factor, int) else None
    size = settings.size or trained or own
    if size is None:
        raise SamplerError(f"{type(pipeline).__name__} does not tell the size of its frames; give --param size=N")
    return size


def call_arguments(pipeline: Any, settings: PipelineSettings) -> dict[str, Any]:
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
