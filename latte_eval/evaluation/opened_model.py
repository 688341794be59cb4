"""A checkpoint of a network of ours, opened: ready to be sampled as a request says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.given import request_to_task
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side

if TYPE_CHECKING:
    from latte_eval.evaluation.paired import Pairing
    from latte_eval.sampler import Checkpoint, Codec, SampledSource, SamplerSettings
    from latte_eval.sampler.masked_source import Conditions
    from latte_eval.sampler.model import VideoModel
    from latte_eval.sampler.tasks import TaskSettings

# How a checkpoint is sampled where neither a benchmark nor a person says.
PUBLISHED_SAMPLER = {"method": "ddpm", "steps": 250, "guidance_scale": 1.0, "clip_x0": False}

# What the weights may not tell about a model, as options and as arguments of `Checkpoint.build`.
MODEL_CHOICES = ("heads", "variant", "temporal_position", "classes", "resize_pos_embed")


@dataclass(frozen=True)
class OpenedModel:
    """A checkpoint that is ready to be sampled.

    Attributes:
        given: choices of the model that were typed because the file does not tell: those of `MODEL_CHOICES`.
        task: what of its clips is given.
        conditions: where that comes from; None where nothing is given.
        compiled: as in `Request`.
        longer: frames of a clip, where it is predicted further than the model's clips reach.
    """

    checkpoint: Checkpoint
    model: VideoModel
    codec: Codec
    settings: SamplerSettings
    given: dict[str, Any] = field(default_factory=dict)
    task: TaskSettings | None = None
    conditions: Conditions | None = None
    compiled: bool | None = None
    longer: int | None = None

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.longer or self.model.config.frames

    @property
    def frame_size(self) -> int:
        """Side of a decoded frame in pixels."""
        return self.model.config.input_size * self.codec.factor

    @property
    def honours(self) -> frozenset[str]:
        """Fields of the protocol that shape its clips; a checkpoint without classes has no labels to choose."""
        return frozenset({"frames"} if self.model.config.classes is None else {"frames", "labels"})

    def checkpoint_record(self) -> dict[str, Any]:
        """What a result says about its checkpoint."""
        c = self.checkpoint
        # Checkpoints of a training run lie in one folder: its name tells apart runs whose files have the same names.
        run = c.path.parent.name if c.name == c.path.name else None
        licensed = {"family": c.family.name} if c.family.licence else {}
        licensed |= {"licence": c.licence} if c.licence else {}
        return {"name": c.name, "run": run, "sha256": c.sha256, "weights": c.weights, "iteration": c.iteration,
                "frames": self.model.config.frames, "size": self.frame_size, **licensed, **self.given,
                **c.unsaid(self.model.config, self.given)}  # fmt: skip

    def sampler_record(self) -> dict[str, Any]:
        """What a result says about how it was sampled."""
        from latte_eval.sampler.vae import codec_record

        told = self.conditions.record if self.conditions else {}
        return {**vars(self.settings), **codec_record(self.codec), **told}

    def with_labels_of(self, real: Side | None) -> OpenedModel:
        """The same, drawing classes as often as they occur on the real side. Raises `UsageError` if that has none."""
        classes = self.model.config.classes
        if classes is None:
            return self
        labels = getattr(real.source, "labels", None) if real else None
        if not labels:
            raise UsageError(
                "labels=dataset draws classes as often as the real videos have them, and these have none; "
                "give a real folder with class folders and its --benchmark, or --param labels=uniform"
            )
        frequencies = tuple(float(labels.count(label)) for label in range(classes))
        settings = dataclasses.replace(self.settings, label_mode="dataset", label_frequencies=frequencies)
        return dataclasses.replace(self, settings=settings)

    def pairing(self, samples: int) -> Pairing | None:
        """What pairs K samples of its clips with those that they are given a part of; None where nothing is given."""
        from latte_eval.evaluation.paired import Pairing

        return Pairing(self.conditions, self.codec, samples) if self.conditions else None

    def more_samples(self, samples: int) -> list[OpenedModel]:
        """Beyond the first, K samples of every clip: the same parts are given, with the noise of seed + 1, + 2, ..."""
        later = range(1, samples) if self.conditions else ()
        others = [dataclasses.replace(self.settings, seed=self.settings.seed + each) for each in later]
        return [dataclasses.replace(self, settings=settings) for settings in others]

    def source(self, count: int, device: str, reporter: Reporter) -> SampledSource:
        """Clips 0..count-1 of the checkpoint."""
        from latte_eval.sampler import SampledSource

        made = self.checkpoint, self.model, self.codec, self.settings, count, device, reporter.step
        how: dict[str, Any] = {"compiled": self.compiled, "say": reporter.say}
        if self.conditions is None:
            return SampledSource(*made, **how)
        from latte_eval.sampler.longer_source import LongerSource
        from latte_eval.sampler.masked_source import MaskedSource

        return (LongerSource if self.longer else MaskedSource)(self.conditions, *made, **how)


def open_model(request: Request, label_mode: str = "uniform", frames: int | None = None) -> OpenedModel:
    """Load checkpoint and codec, and settle how the checkpoint is sampled; `frames` asks for clips of another length.

    Raises `CheckpointError`, `SamplerError`, `WeightsError` or `UsageError` before anything is sampled.
    """
    from latte_eval.sampler import load_checkpoint

    assert request.ckpt is not None
    settings = sampler_settings(request, label_mode)
    checkpoint = load_checkpoint(request.ckpt, request.weights)
    choices = {name: getattr(request, name) for name in MODEL_CHOICES}
    model, longer = build_for(request, checkpoint, choices, frames)
    if request.benchmark_row is not None:
        request.benchmark_row.check_classes(model.config.classes)
    settings.check_model(model.config)
    given = {name: value for name, value in choices.items() if value is not None}
    codec, task = choose_codec(request, model.config.channels), request_to_task(request, model.config)
    return OpenedModel(checkpoint, model, codec, settings, given, task, None, request.compiled, longer)


def build_for(
    request: Request, checkpoint: Checkpoint, choices: dict[str, Any], frames: int | None
) -> tuple[VideoModel, int | None]:
    """The model, for clips of so many frames; and that number where it predicts further than its own clips reach.

    Raises `CheckpointError`, or `SamplerError` where a longer clip is not given its first frames alone.
    """
    from latte_eval.sampler.longer_source import blocks_of

    if frames and request.gives_parts and checkpoint.family.name == "VDT":
        model = checkpoint.build(**choices)
        if frames > model.config.frames and (task := request_to_task(request, model.config)).conditional:
            blocks_of(task.masks(model.config, request.seed, frames))
            return model, frames
    return checkpoint.build(**choices, frames=frames), None


def choose_codec(request: Request, channels: int) -> Codec:
    """The codec that was asked for. A trial run (seeded detectors) takes a seeded VAE where the real one is absent."""
    from latte_eval.sampler import open_codec

    try:
        return open_codec(request.vae, channels, request.device, request.sampler_dtype)
    except WeightsError:
        if request.vae != "auto" or not request.is_trial:
            raise
        return open_codec("vae-seeded", channels, request.device, request.sampler_dtype)


def sampler_settings(request: Request, label_mode: str) -> SamplerSettings:
    """What the options say, else what the benchmark says, else 250 DDPM steps without guidance.

    `labels=dataset` needs the real side: here labels are uniform, until `OpenedModel.with_labels_of` replaces them.
    """
    from latte_eval.sampler import SamplerSettings

    label_mode = "uniform" if label_mode == "dataset" else label_mode

    defaults = dict(request.benchmark_row.sampler if request.benchmark_row else PUBLISHED_SAMPLER)
    given = {"method": request.sampler, "steps": request.steps, "guidance_scale": request.guidance_scale,
             "clip_x0": request.clip_x0}  # fmt: skip
    if request.guidance_interval is not None:
        from latte_eval.sampler.guidance import parse_interval

        defaults["guidance_interval"] = parse_interval(request.guidance_interval)
    chosen = defaults | {key: value for key, value in given.items() if value is not None}
    chosen["dtype"] = request.sampler_dtype
    return SamplerSettings(**chosen, eta=request.eta, seed=request.seed, label_mode=label_mode)
