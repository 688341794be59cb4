"""What makes fake clips and is no checkpoint of a network of ours, opened: generators and pipelines of diffusers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latte_eval.core.errors import UsageError
from latte_eval.evaluation.inputs import Made
from latte_eval.evaluation.stats import StatsSource

if TYPE_CHECKING:
    from latte_eval.core.clips import ClipSource
    from latte_eval.core.progress import Reporter
    from latte_eval.core.protocol import Protocol
    from latte_eval.evaluation.request import Request
    from latte_eval.evaluation.side import Side
    from latte_eval.sampler.generators import GeneratorSource
    from latte_eval.sampler.image_to_video import ImageSource
    from latte_eval.sampler.pipelines import PipelineSettings
    from latte_eval.sampler.text_to_video import PromptSource

FROM_FIRST_FRAMES = "fake clip i goes on from the first frame of real clip i"


@dataclass(frozen=True)
class OpenedSource:
    """A generator or a text-to-video pipeline that is ready to be asked for clips."""

    made: GeneratorSource | PromptSource | ImageSource
    frames: int | None
    frame_size: int | None
    record: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    honours: frozenset[str] = frozenset({"frames", "size"})

    def checkpoint_record(self) -> dict[str, Any] | None:
        return self.record

    def sampler_record(self) -> dict[str, Any] | None:
        return self.settings

    def pairing(self, samples: int) -> None:
        """Nothing is given of its clips."""
        return None

    def more_samples(self, samples: int) -> list[Any]:
        """None: its clips are made once."""
        return []

    def source(self, count: int, device: str, reporter: Reporter) -> ClipSource:
        return self.made


@dataclass(frozen=True)
class OpenedImages(OpenedSource):
    """A pipeline that goes on from the first frames of real clips.

    Attributes:
        real: these clips; None until the real side is open.
    """

    real: ClipSource | None = None

    def beside(self, real: Side | None) -> OpenedImages:
        """With the real side. Raises `UsageError` where it has no clips to show."""
        if real is None or isinstance(real.source, StatsSource):
            raise UsageError(f"statistics hold features, not clips; give --real FOLDER: {FROM_FIRST_FRAMES}")
        return dataclasses.replace(self, real=real.source)

    def source(self, count: int, device: str, reporter: Reporter) -> ClipSource:
        from latte_eval.sampler.given_clips import GivenClips
        from latte_eval.sampler.image_to_video import ImageSource

        assert isinstance(self.made, ImageSource) and self.real is not None  # `beside`
        return self.made.given(GivenClips(self.real), count)

    def sampler_record(self) -> dict[str, Any]:
        """With the real clips, which the pipeline by itself does not know."""
        from latte_eval.sampler.image_to_video import ImageSource

        assert isinstance(self.made, ImageSource) and self.real is not None  # `beside`
        return {**self.made.sampler_record(), "conditions": self.real.fingerprint, "conditions_of": self.real.name}


def open_plugin(spec: str | Made, request: Request, protocol: Protocol, reporter: Reporter) -> OpenedSource:
    """`--generator`; says why its features will not be found again, where they will not."""
    from latte_eval.sampler.generators import open_generator

    wanted = {"clips": protocol.fake_clips, "frames": protocol.frames, "size": protocol.size}
    if isinstance(spec, Made):
        made = spec.open(request.seed, **wanted)
    else:
        made = open_generator(spec, seed=request.seed, **wanted, device=request.device)
    if made.no_reuse:
        reporter.say(made.no_reuse)
    return OpenedSource(made, made.frames, made.size)


def open_pipeline(request: Request, protocol: Protocol, reporter: Reporter) -> OpenedSource:
    """`--ckpt PIPELINE`. Length and size are the pipeline's, unless a benchmark or person sets them."""
    from latte_eval.sampler.image_to_video import takes_images
    from latte_eval.sampler.pipelines import PipelineSettings, pipeline_class

    assert request.ckpt is not None
    fixed = [name for name in ("frames", "size") if request.benchmark_row or is_given(request, name)]
    settings = PipelineSettings(
        **{name: getattr(protocol, name) for name in fixed}, steps=request.steps, sampler=request.sampler,
        guidance_scale=request.guidance_scale, dtype=request.pipeline_dtype, seed=request.seed,
        told=request.told_pipeline,
    )  # fmt: skip
    if takes_images(pipeline_class(request.ckpt)):
        return open_images(request, settings, reporter)
    return open_texts(request, settings, protocol.fake_clips, reporter)


def open_texts(request: Request, settings: PipelineSettings, clips: int | None, reporter: Reporter) -> OpenedSource:
    """`--ckpt PIPELINE --prompts FILE`."""
    from latte_eval.sampler.text_to_video import open_text_to_video

    assert request.ckpt is not None
    made = open_text_to_video(
        request.ckpt, request.prompts, settings, clips=clips, device=request.device, on_step=reporter.step
    )
    return OpenedSource(made, made.frames, made.size, made.checkpoint_record(), made.sampler_record())


def open_images(request: Request, settings: PipelineSettings, reporter: Reporter) -> OpenedImages:
    """`--ckpt PIPELINE --real DIR`, where the pipeline makes clips from images. Raises `UsageError`."""
    from latte_eval.sampler.image_to_video import open_image_to_video

    assert request.ckpt is not None
    if request.prompts is not None:
        raise UsageError(f"{request.ckpt} makes clips from images and takes no prompts; leave --prompts out")
    if request.real is None and request.benchmark_row is None:
        raise UsageError(f"{request.ckpt} makes clips from images; give --real FOLDER: {FROM_FIRST_FRAMES}")
    made = open_image_to_video(request.ckpt, settings, request.device, reporter.step)
    return OpenedImages(made, made.frames, made.size, made.checkpoint_record())


def is_given(request: Request, field: str) -> bool:
    """Whether a field of the protocol was set by hand."""
    return any(text.startswith(f"{field}=") for text in request.params)
