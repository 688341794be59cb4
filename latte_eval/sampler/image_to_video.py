"""Image-to-video through diffusers: a pipeline that goes on from the first frame of every real clip.

    latte-eval fvd --ckpt hf://stabilityai/stable-video-diffusion-img2vid --real DIR

Clip i is made from the first frame of real clip i, with a generator of its own, in a call of its own. Frames are square
here, as in all of latte-eval: those of the real side, at the height that the pipeline has by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from PIL import Image

from latte_eval.core.errors import SamplerError, UsageError
from latte_eval.sampler.given_clips import GivenClips
from latte_eval.sampler.pipeline_options import PIPELINE_OPTIONS
from latte_eval.sampler.pipelines import (
    FIRST_FRAME,
    OnStep,
    PipelineSettings,
    PipelineSource,
    folder_digest,
    hub_commit,
    load_pipeline,
    named_parameters,
    pipeline_folder,
)

# What such a pipeline is told beside the image, where its call knows it, and what a result says of it.
MOTION = (*PIPELINE_OPTIONS, "max_guidance_scale")


def takes_images(name: Any) -> bool:
    """Whether a class of diffusers, by the name in an index, makes clips from an image alone.

    Raises `SamplerError` for one that wants an image and a prompt.
    """
    import diffusers

    made = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(made, type):
        return False
    known = inspect.signature(made.__call__).parameters
    image = known.get("image")
    if image is None or image.default is not inspect.Parameter.empty:
        return False
    if "prompt" in known:
        raise SamplerError(f"{name} wants an image and a prompt: latte-eval serves pipelines that want one of them")
    return True


def open_image_to_video(
    ckpt: str, settings: PipelineSettings, device: str = "cpu", on_step: OnStep | None = None
) -> ImageSource:
    """A diffusers pipeline that makes clips from images; `ImageSource.given` then says from which.

    Raises:
        UsageError: the packages of the extra `t2v` are absent, or a sampler that it does not have.
        CheckpointError, WeightsError: a folder that is no pipeline; a repository that cannot be had.
    """
    if settings.sampler is not None:
        raise UsageError(
            f"--sampler {settings.sampler} goes with a Latte, a VDT or a text-to-video pipeline: {ckpt} was trained "
            "with noise levels of its own and keeps its scheduler; leave it out"
        )
    folder = pipeline_folder(ckpt)
    pipeline = load_pipeline(folder, settings.dtype).to(device)
    source = ImageSource(pipeline, settings, ckpt, folder_digest(folder), on_step)
    source.revision = hub_commit(folder)
    return source


class ImageSource(PipelineSource):
    """A pipeline and the real clips whose first frames it goes on from; see `PipelineSource` for other arguments.

    Args:
        clips: the real clips; None until they are known, and then there is no clip.
        count: clips 0..count-1 exist.
    """

    def __init__(
        self,
        pipeline: Any,
        settings: PipelineSettings,
        name: str,
        identity: str,
        on_step: OnStep | None = None,
        clips: GivenClips | None = None,
        count: int = 0,
    ):
        super().__init__(pipeline, count, settings, name, identity, on_step)
        self.conditions = clips
        known = named_parameters(pipeline)
        own = {"max_guidance_scale": settings.guidance_scale, "decode_chunk_size": self.frames}
        self.arguments |= {key: value for key, value in own.items()
                           if key in known and key not in settings.told and value is not None}  # fmt: skip

    def given(self, clips: GivenClips, count: int) -> ImageSource:
        """The same pipeline with so many of these clips. Raises `NotEnoughClips`."""
        clips.check(count)
        return ImageSource(self.pipeline, self.settings, self.name, self.identity, self.on_step, clips, count)

    def inputs(self, index: int) -> dict[str, Any]:
        """The first frame. Raises `SamplerError` for real clips of another size, `ClipError` for one that is lost."""
        assert self.conditions is not None  # `given`
        frame = self.conditions.pixels([index])[0, 0]
        if tuple(frame.shape) != (3, self.size, self.size):
            raise SamplerError(
                f"real frames are {tuple(frame.shape[1:])}, {self.name} is asked for {(self.size, self.size)}; "
                f"--param size={frame.shape[-1]}"
            )
        return {"image": Image.fromarray(frame.permute(1, 2, 0).numpy())}

    @property
    def origins(self) -> str | None:
        return self.conditions.real.fingerprint if self.conditions else None

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips that go on from frames of one video are not independent."""
        assert self.conditions is not None  # `given`
        return self.conditions.real.groups(indices)

    @property
    def guidance_scale(self) -> Any:
        """Of the last frame; it rises to this from that of the first."""
        return self.setting("max_guidance_scale", self.settings.guidance_scale)

    def sampler_record(self) -> dict[str, Any]:
        """With what the clips go on from, and what the pipeline is told of motion."""
        known = named_parameters(self.pipeline)
        told = {name: self.setting(name, self.arguments.get(name)) for name in MOTION if name in known}
        return {**super().sampler_record(), "task": FIRST_FRAME, "conditions": self.origins, **told}
