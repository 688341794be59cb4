"""Opening the two sides of an evaluation: folders, checkpoints, generators, benchmarks, stored features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.extract import check_enough
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.stats import StatsSource
from latte_eval.evaluation.stored import StoredSource

if TYPE_CHECKING:
    from latte_eval.sampler import Checkpoint, Codec, Latte, SampledSource, SamplerSettings
    from latte_eval.sampler.generators import GeneratorSource
    from latte_eval.sampler.text_to_video import PromptSource

# Clips that a checkpoint gives where nobody says how many: the count of the published tables.
MOST_CLIPS = 2048

# How a checkpoint is sampled where neither a benchmark nor a person says.
PUBLISHED_SAMPLER = {"method": "ddpm", "steps": 250, "guidance_scale": 1.0, "clip_x0": False}

# What the weights may not tell of a model, as options and as arguments of `Checkpoint.build`.
MODEL_CHOICES = ("heads", "variant", "temporal_position")


@dataclass(frozen=True)
class Side:
    """One side of an evaluation, opened.

    Attributes:
        wanted: exactly this many clips, or
        at_most: at most this many; with neither, all.
        checkpoint, sampler: records for the result; None for a folder.
        generator: what was typed for a generator, whose own name may be another.
    """

    source: ClipSource
    wanted: int | None = None
    at_most: int | None = None
    checkpoint: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = None
    generator: str | None = None

    @property
    def expected(self) -> int:
        """Clips that will be read, as far as is known before they are."""
        return min(len(self.source), self.wanted or self.at_most or len(self.source))

    def checked(self) -> Side:
        """This side, if it can give what is wanted. Raises `NotEnoughClips`."""
        check_enough(self.source, len(self.source), self.wanted)
        return self

    def record(self, features: Features, seed: int) -> dict[str, Any]:
        """What a result says about this side: name, fingerprint, seed of the choices, files that were not used."""
        if isinstance(self.source, StatsSource):
            return self.source.record()
        rejected = {each.path for each in [*self.source.rejected, *features.rejected]}
        made_by = {"generator": self.generator} if self.generator else {}
        return {"name": self.source.name, "fingerprint": self.source.fingerprint, "rejected": len(rejected),
                "videos": len(set(features.groups)), "seed": seed, **made_by,
                **getattr(self.source, "about", {})}  # fmt: skip


@dataclass(frozen=True)
class OpenedModel:
    """A checkpoint that is ready to be sampled.

    Attributes:
        given: choices of the model that were typed because the file does not tell: heads, variant, temporal_position.
    """

    checkpoint: Checkpoint
    model: Latte
    codec: Codec
    settings: SamplerSettings
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.model.config.frames

    @property
    def frame_size(self) -> int:
        """Side of a decoded frame in pixels."""
        return self.model.config.input_size * self.codec.factor

    def checkpoint_record(self) -> dict[str, Any]:
        """What a result says about its checkpoint."""
        c = self.checkpoint
        # Checkpoints of a training run lie in one folder: its name tells runs apart whose files are called alike.
        run = c.path.parent.name if c.name == c.path.name else None
        return {"name": c.name, "run": run, "sha256": c.sha256, "weights": c.weights, "iteration": c.iteration,
                "frames": self.model.config.frames, "size": self.frame_size, **self.given}  # fmt: skip

    def sampler_record(self) -> dict[str, Any]:
        """What a result says about how it was sampled."""
        return {**vars(self.settings), "codec": self.codec.name, "codec_sha256": self.codec.sha256}

    def with_labels_of(self, real: Side | None) -> OpenedModel:
        """The same, with classes drawn as often as they occur on the real side. Raises `UsageError` without classes."""
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

    def source(self, count: int, device: str, reporter: Reporter) -> SampledSource:
        """Clips 0..count-1 of the checkpoint."""
        from latte_eval.sampler import SampledSource

        return SampledSource(self.checkpoint, self.model, self.codec, self.settings, count, device, reporter.step)


@dataclass(frozen=True)
class OpenedSource:
    """A generator or a text-to-video pipeline that is ready to be asked for clips."""

    made: GeneratorSource | PromptSource
    frames: int | None
    frame_size: int | None
    record: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None

    def checkpoint_record(self) -> dict[str, Any] | None:
        return self.record

    def sampler_record(self) -> dict[str, Any] | None:
        return self.settings

    def source(self, count: int, device: str, reporter: Reporter) -> ClipSource:
        return self.made


def open_sides(request: Request, reporter: Reporter) -> tuple[Protocol, Side | None, Side]:
    """Protocol, real side (None where no metric needs one) and fake side, each able to give what is wanted."""
    protocol = request.resolved_protocol()
    if request.fake is not None:
        return protocol, open_real_if_needed(request, protocol, reporter), open_fake(request, protocol, reporter)
    opened = open_maker(request, protocol, reporter)
    protocol = fit_protocol(request, protocol, opened)
    real = open_real_if_needed(request, protocol, reporter)
    count = protocol.fake_clips or min(MOST_CLIPS, real.expected if real else MOST_CLIPS)
    if isinstance(opened, OpenedModel) and protocol.labels == "dataset":
        opened = opened.with_labels_of(real)
    return protocol, real, made_side(opened, protocol, count, request, reporter)


def made_side(
    opened: OpenedModel | OpenedSource, protocol: Protocol, count: int, request: Request, reporter: Reporter
) -> Side:
    """Clips 0..count-1 of what was opened, stored as the protocol says."""
    source = StoredSource(opened.source(count, request.device, reporter), protocol.fake_storage)
    records = opened.checkpoint_record(), opened.sampler_record()
    return Side(source, min(count, len(source)), None, *records, request.generator).checked()


def open_maker(request: Request, protocol: Protocol, reporter: Reporter) -> OpenedModel | OpenedSource:
    """What makes the fake clips, where they are not in files: a generator, a pipeline, or a Latte checkpoint."""
    if request.generator is not None:
        return open_plugin(request.generator, request, protocol)
    from latte_eval.sampler.text_to_video import is_pipeline

    if is_pipeline(request.ckpt or ""):
        return open_pipeline(request, protocol, reporter)
    if request.prompts is not None:
        raise UsageError(f"--prompts goes with a text-to-video pipeline; {request.ckpt} is a checkpoint file")
    return open_model(request, protocol.labels, protocol.frames if is_given(request, "frames") else None)


def open_plugin(spec: str, request: Request, protocol: Protocol) -> OpenedSource:
    """`--generator`."""
    from latte_eval.sampler.generators import open_generator

    made = open_generator(
        spec, seed=request.seed, clips=protocol.fake_clips, frames=protocol.frames, size=protocol.size,
        device=request.device,
    )  # fmt: skip
    return OpenedSource(made, made.frames, made.size)


def open_pipeline(request: Request, protocol: Protocol, reporter: Reporter) -> OpenedSource:
    """`--ckpt PIPELINE --prompts FILE`. The pipeline's own length and size, unless the protocol was given them."""
    from latte_eval.sampler.text_to_video import TextSettings, open_text_to_video

    assert request.ckpt is not None
    fixed = [name for name in ("frames", "size") if request.benchmark_row or is_given(request, name)]
    settings = TextSettings(
        **{name: getattr(protocol, name) for name in fixed}, steps=request.steps, sampler=request.sampler,
        guidance_scale=request.guidance_scale, dtype=request.dtype, seed=request.seed,
    )  # fmt: skip
    made = open_text_to_video(
        request.ckpt, request.prompts, settings, clips=protocol.fake_clips, device=request.device,
        on_step=reporter.step,
    )  # fmt: skip
    return OpenedSource(made, made.frames, made.size, made.checkpoint_record(), made.sampler_record())


def is_given(request: Request, field: str) -> bool:
    """Whether a field of the protocol was set by hand."""
    return any(text.startswith(f"{field}=") for text in request.params)


def fit_protocol(request: Request, protocol: Protocol, opened: OpenedModel | OpenedSource) -> Protocol:
    """The protocol with the clips' own length and size, where neither a benchmark nor a person sets them.

    Raises `UsageError` for clips of another length than the benchmark's.
    """
    own = {"frames": opened.frames, "size": opened.frame_size}
    if request.benchmark_row is not None:
        if own["frames"] not in (None, protocol.frames):
            raise UsageError(
                f"the clips have {own['frames']} frames, {request.benchmark_row.name} compares {protocol.frames}; "
                f"--param frames={own['frames']} changes the protocol"
            )
        return protocol
    return protocol.replace(**{name: value for name, value in own.items() if value and not is_given(request, name)})


def open_real_if_needed(request: Request, protocol: Protocol, reporter: Reporter) -> Side | None:
    return open_real(request, protocol, reporter) if request.needs_real else None


def open_real(request: Request, protocol: Protocol, reporter: Reporter) -> Side:
    """The real side: exactly `--clips` of a folder, at most the protocol's count otherwise."""
    row = request.benchmark_row
    if request.real and request.real.suffix == ".safetensors" and (row is None or row.needs_folder):
        return Side(StatsSource.open(request.real))
    if row is None:
        assert request.real is not None  # `Request.check_sides`
        source = open_folder(request.real, protocol, request.seed, "real", reporter)
    else:
        with reporter.bar(f"examine {request.real.name if request.real else row.name}", None) as advance:
            source = row.open_real(request.real, protocol, request.seed, advance)
    stored = StoredSource(source, protocol.real_storage)
    exact = request.clips is not None and row is None
    side = Side(stored, wanted=protocol.real_clips) if exact else Side(stored, at_most=protocol.real_clips)
    return side.checked()


def open_fake(request: Request, protocol: Protocol, reporter: Reporter) -> Side:
    """Generated videos of any model."""
    assert request.fake is not None
    source = open_folder(request.fake, protocol, request.seed, "fake", reporter)
    stored, count = StoredSource(source, protocol.fake_storage), protocol.fake_clips
    side = Side(stored, wanted=count) if request.counts_are_exact else Side(stored, at_most=count)
    return side.checked()


def open_folder(path: Path, protocol: Protocol, seed: int, side: str, reporter: Reporter) -> ClipSource:
    """A folder or zip as clips, examined with a bar as far as the protocol needs it."""
    from latte_eval.benchmarks.readers import FolderSource

    wanted = protocol.real_clips if side == "real" else protocol.fake_clips
    with reporter.bar(f"examine {path.name}", None) as advance:
        return FolderSource.open(path, protocol, seed, side, wanted=wanted, progress=advance)


def open_model(request: Request, label_mode: str = "uniform", frames: int | None = None) -> OpenedModel:
    """Load checkpoint and codec, and settle how the checkpoint is sampled; `frames` for clips of another length.

    Raises `CheckpointError`, `SamplerError`, `WeightsError` or `UsageError` before anything is sampled.
    """
    from latte_eval.sampler import load_checkpoint

    assert request.ckpt is not None
    settings = sampler_settings(request, label_mode)
    checkpoint = load_checkpoint(request.ckpt)
    choices = {name: getattr(request, name) for name in MODEL_CHOICES}
    model = checkpoint.build(**choices, frames=frames)
    settings.check_model(model.config)
    if request.benchmark_row is not None:
        request.benchmark_row.check_classes(model.config.classes)
    given = {name: value for name, value in choices.items() if value is not None}
    return OpenedModel(checkpoint, model, choose_codec(request, model.config.channels), settings, given)


def choose_codec(request: Request, channels: int) -> Codec:
    """The codec that was asked for. A trial run (seeded detectors) takes a seeded VAE where the real one is absent."""
    from latte_eval.sampler import open_codec

    try:
        return open_codec(request.vae, channels, request.device, request.dtype)
    except WeightsError:
        if request.vae != "auto" or not request.is_trial:
            raise
        return open_codec("vae-seeded", channels, request.device, request.dtype)


def sampler_settings(request: Request, label_mode: str) -> SamplerSettings:
    """What the options say, else what the benchmark says, else 250 DDPM steps without guidance.

    Labels of `dataset` need the real side: they are uniform here, and settled by `OpenedModel.with_labels_of`.
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
    return SamplerSettings(**chosen, eta=request.eta, dtype=request.dtype, seed=request.seed, label_mode=label_mode)
