"""Text-to-video through diffusers: a pipeline and a file of prompts as a source of clips.

    latte-eval fvd --ckpt hf://maxin-cn/Latte-1 --prompts prompts.txt --real DIR

Clip i is made from prompt i, with a generator of its own, in a call of its own: pipelines may treat one prompt and
several differently (LattePipeline masks the padding of the text only where there are several).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latte_eval.core.errors import NotEnoughClips, UsageError
from latte_eval.files.pipes import is_waiting_pipe
from latte_eval.sampler.pipelines import (
    OnStep,
    PipelineSettings,
    PipelineSource,
    folder_digest,
    hub_commit,
    load_pipeline,
    pipeline_folder,
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
    settings: PipelineSettings,
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
    source = PromptSource(pipeline, prompts[:clips], settings, ckpt, folder_digest(folder), on_step)
    source.revision = hub_commit(folder)
    return source


class PromptSource(PipelineSource):
    """A pipeline and prompts, one a clip; see `PipelineSource` for the other arguments."""

    def __init__(
        self,
        pipeline: Any,
        prompts: Sequence[str],
        settings: PipelineSettings,
        name: str,
        identity: str,
        on_step: OnStep | None = None,
    ):
        self.prompts = list(prompts)
        super().__init__(pipeline, len(self.prompts), settings, name, identity, on_step)

    def inputs(self, index: int) -> dict[str, Any]:
        return {"prompt": self.prompts[index]}

    @property
    def origins(self) -> list[str]:
        return self.prompts

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips of one prompt are not independent."""
        return [self.prompts[index] for index in indices]

    def sampler_record(self) -> dict[str, Any]:
        """With the digest of the prompts."""
        return {**super().sampler_record(), "prompts_sha256": self.prompts_digest}

    @property
    def prompts_digest(self) -> str:
        return hashlib.sha256("\n".join(self.prompts).encode()).hexdigest()
