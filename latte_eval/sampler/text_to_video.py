"""Text-to-video through diffusers: a pipeline and a file of prompts as a source of clips.

    latte-eval fvd --ckpt hf://maxin-cn/Latte-1 --prompts prompts.txt --real DIR

Clip i is made from prompt i, with a generator of its own, in a call of its own: pipelines may treat one prompt and
several differently (LattePipeline masks the padding of the text only where there are several).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import NotEnoughClips, SamplerError, UsageError, first_line
from latte_eval.core.seeding import clip_generator
from latte_eval.files.pipes import is_waiting_pipe
from latte_eval.sampler.pipelines import (
    FRAME_NAMES,
    OnStep,
    TextSettings,
    call_arguments,
    dtype_name,
    folder_digest,
    load_pipeline,
    named_parameters,
    pipeline_folder,
    set_scheduler,
)


def read_prompts(path: Path) -> list[str]:
    """One prompt per line, UTF-8. Raises `UsageError` that names the wrong line."""
    if is_waiting_pipe(path):
        raise UsageError(f"--prompts {path} is a named pipe; give a file, or <(command)")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--prompts {path}: {error.strerror}") from error
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"--prompts {path} is not UTF-8 in line {line}; save it as UTF-8") from error
    prompts = [line.strip() for line in lines]
    if not prompts:
        raise UsageError(f"--prompts {path} is empty; it holds one prompt a line")
    if "" in prompts:
        raise UsageError(f"--prompts {path}: line {prompts.index('') + 1} is empty; it holds one prompt a line")
    if any("\0" in prompt for prompt in prompts):
        raise UsageError(f"--prompts {path} holds zero bytes; save it as UTF-8 text")
    return prompts


def open_text_to_video(
    ckpt: str,
    prompts_file: Path | None,
    settings: TextSettings,
    *,
    clips: int | None = None,
    device: str = "cpu",
    on_step: OnStep | None = None,
) -> PromptSource:
    """A diffusers pipeline and a prompt file as a clip source.

    Args:
        ckpt: a folder with model_index.json, or `hf://owner/repo[@revision]`.
        prompts_file: one prompt per clip.
        clips: how many are wanted; None takes one per prompt.

    Raises:
        UsageError: no prompts, a bad prompt file, or the packages of the extra `t2v` are absent.
        NotEnoughClips: fewer prompts than clips.
        CheckpointError, WeightsError: a folder that is no pipeline; a repository that cannot be had.
    """
    if prompts_file is None:
        raise UsageError(f"{ckpt} is a text-to-video pipeline; give its prompts with --prompts FILE, one a line")
    prompts = read_prompts(prompts_file)
    if clips is not None and len(prompts) < clips:
        raise NotEnoughClips(
            f"{prompts_file} holds {len(prompts)} prompts, {clips} clips were asked for. Use --clips {len(prompts)}"
        )
    folder = pipeline_folder(ckpt)
    pipeline = load_pipeline(folder, settings.dtype).to(device)
    return PromptSource(pipeline, prompts[:clips], settings, ckpt, folder_digest(folder), on_step)


class PromptSource:
    """A pipeline and prompts; implements `latte_eval.core.clips.ClipSource`.

    Args:
        pipeline: called as diffusers pipelines are; gives `frames` [1, T, H, W, 3] in 0..1.
        identity: sha256 (hex) of the pipeline's files.
        on_step: called with (steps done, steps in all) of a clip.
    """

    def __init__(
        self,
        pipeline: Any,
        prompts: Sequence[str],
        settings: TextSettings,
        name: str,
        identity: str,
        on_step: OnStep | None = None,
    ):
        self.pipeline, self.prompts, self.settings = pipeline, list(prompts), settings
        self.name, self.identity, self.on_step = name, identity, on_step
        if settings.sampler is not None:
            set_scheduler(pipeline, settings.sampler)
        self.arguments = call_arguments(pipeline, settings)
        if on_step is not None and "callback_on_step_end" in named_parameters(pipeline):
            self.arguments["callback_on_step_end"] = self.report_step

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
        parts = [self.identity, self.prompts, asdict(self.settings), plain, scheduler]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def rejected(self) -> Sequence[Rejected]:
        return ()

    def __len__(self) -> int:
        return len(self.prompts)

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips of one prompt are not independent."""
        return [self.prompts[index] for index in indices]

    def checkpoint_record(self) -> dict[str, Any]:
        """What a result says about the pipeline."""
        return {"name": self.name, "sha256": self.identity, "weights": type(self.pipeline).__name__,
                "iteration": None, "frames": self.frames, "size": self.size}  # fmt: skip

    def sampler_record(self) -> dict[str, Any]:
        """What a result says about how clips were made."""
        steps = self.setting("num_inference_steps", self.settings.steps)
        scale = self.setting("guidance_scale", self.settings.guidance_scale)
        codec = getattr(self.pipeline, "vae", None)
        return {"method": type(self.pipeline.scheduler).__name__, "steps": steps, "guidance_scale": scale,
                "clip_x0": False, "dtype": self.settings.dtype, "seed": self.settings.seed,
                "codec": type(codec).__name__, "codec_sha256": None, "codec_dtype": dtype_name(codec),
                "prompts_sha256": self.prompts_digest}  # fmt: skip

    def setting(self, name: str, given: Any) -> Any:
        """A setting, or the pipeline's own default."""
        known = named_parameters(self.pipeline)
        return known[name].default if given is None and name in known else given

    @property
    def prompts_digest(self) -> str:
        return hashlib.sha256("\n".join(self.prompts).encode()).hexdigest()

    @exact_float32()
    def clips(self, indices: Sequence[int]) -> Clips:
        """One call of the pipeline per clip. Raises `SamplerError` for frames that are not what was asked for."""
        return Clips(torch.stack([self.clip(index) for index in indices]), tuple(indices))

    def clip(self, index: int) -> Tensor:  # -> [T, 3, H, W] uint8
        generator = clip_generator(self.settings.seed, index)
        try:
            given = self.pipeline(self.prompts[index], generator=generator, **self.arguments).frames
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
