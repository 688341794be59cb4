"""Opening the two sides of an evaluation: folders, checkpoints, generators, benchmarks, stored features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.opening import Chosen
from latte_eval.compare.comparable import FAKE_ONLY
from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import MEASURE_FIELDS, Protocol
from latte_eval.evaluation.extract import check_enough
from latte_eval.evaluation.fields import check_fields, check_not_enlarged, check_shape
from latte_eval.evaluation.given import request_to_task, with_conditions
from latte_eval.evaluation.inputs import Made
from latte_eval.evaluation.opened import OpenedImages, OpenedSource, is_given, open_pipeline, open_plugin
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.stats import StatsSource, is_stats_file, refuse_foreign_statistics
from latte_eval.evaluation.stored import StoredSource

if TYPE_CHECKING:
    from latte_eval.benchmarks.benchmark import Benchmark
    from latte_eval.benchmarks.readers import FolderSource
    from latte_eval.benchmarks.readers.places import Place
    from latte_eval.evaluation.paired import Pairing
    from latte_eval.sampler import Checkpoint, Codec, SampledSource, SamplerSettings
    from latte_eval.sampler.masked_source import Conditions
    from latte_eval.sampler.model import VideoModel
    from latte_eval.sampler.tasks import TaskSettings

# Clips that a checkpoint gives where nobody says how many: the count of the published tables.
MOST_CLIPS = 2048

# How a checkpoint is sampled where neither a benchmark nor a person says.
PUBLISHED_SAMPLER = {"method": "ddpm", "steps": 250, "guidance_scale": 1.0, "clip_x0": False}

# A statistics file is refused where it differs from the protocol in any of these.
STATS_HONOUR = frozenset(field.name for field in dataclasses.fields(Protocol)) - {
    *FAKE_ONLY, *MEASURE_FIELDS, "benchmark",
}  # fmt: skip

# What the weights may not tell about a model, as options and as arguments of `Checkpoint.build`.
MODEL_CHOICES = ("heads", "variant", "temporal_position", "classes", "resize_pos_embed")


@dataclass(frozen=True)
class Side:
    """One side of an evaluation, opened.

    Attributes:
        wanted: exactly this many clips, or
        at_most: at most this many; with neither, all.
        checkpoint, sampler: records for the result; None for a folder.
        generator: what was typed for a generator; its own name may differ.
        honours: fields of the protocol that shape its clips.
        pairing: what pairs its clips with those that they were given a part of.
        more_samples: the same clips made again with other noise.
    """

    source: ClipSource
    wanted: int | None = None
    at_most: int | None = None
    checkpoint: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = None
    generator: str | None = None
    honours: frozenset[str] = frozenset()
    pairing: Pairing | None = None
    more_samples: tuple[ClipSource, ...] = ()

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
        given: choices of the model that were typed because the file does not tell: those of `MODEL_CHOICES`.
        task: what of its clips is given.
        conditions: where that comes from; None where nothing is given.
        compiled: as in `Request`.
    """

    checkpoint: Checkpoint
    model: VideoModel
    codec: Codec
    settings: SamplerSettings
    given: dict[str, Any] = field(default_factory=dict)
    task: TaskSettings | None = None
    conditions: Conditions | None = None
    compiled: bool | None = None

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.model.config.frames

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

    def pairing(self) -> Pairing | None:
        """What pairs its clips with those that they are given a part of; None where nothing is given."""
        from latte_eval.evaluation.paired import Pairing

        return Pairing(self.conditions, self.codec) if self.conditions else None

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
        from latte_eval.sampler.masked_source import MaskedSource

        return MaskedSource(self.conditions, *made, **how)


def open_sides(request: Request, reporter: Reporter) -> tuple[Protocol, Side | None, Side]:
    """Protocol, real side (None where no metric needs one) and fake side, each able to give what is wanted.

    Raises `UsageError` for clips that are not as long or large as the protocol says, and for a field set by hand that
    neither side honours.
    """
    protocol = request.resolved_protocol()
    if request.fake is not None:
        real, fake = open_real_if_needed(request, protocol, reporter), open_fake(request, protocol, reporter)
        check_given(request, request.usual_protocol(), protocol, real, fake)
        return protocol, real, fake
    opened = open_maker(request, protocol, reporter)
    protocol = fit_protocol(request, protocol, opened)
    given_images = isinstance(opened, OpenedImages)
    real = open_real(request, protocol, reporter) if given_images or request.needs_real else None
    count = protocol.fake_clips or min(MOST_CLIPS, real.expected if real else MOST_CLIPS)
    if isinstance(opened, OpenedModel) and protocol.labels == "dataset":
        opened = opened.with_labels_of(real)
    if isinstance(opened, OpenedModel):
        opened = with_conditions(opened, real)
    if isinstance(opened, OpenedImages):
        opened = opened.beside(real)
    fake = made_side(opened, protocol, count, request, reporter)
    check_given(request, fit_protocol(request, request.usual_protocol(), opened, checked=False), protocol, real, fake)
    return protocol, real, fake


def check_given(request: Request, usual: Protocol, protocol: Protocol, real: Side | None, fake: Side) -> None:
    """Raise `UsageError` for a field set by hand that neither side honours."""
    honoured = fake.honours | (real.honours if real else frozenset()) | request.metric_fields
    check_fields(request.given_fields, usual, protocol, honoured)


def made_side(
    opened: OpenedModel | OpenedSource, protocol: Protocol, count: int, request: Request, reporter: Reporter
) -> Side:
    """Clips 0..count-1 of what was opened, stored as the protocol says."""
    source = StoredSource(opened.source(count, request.device, reporter), protocol.fake_storage, protocol.skip_frames)
    records = opened.checkpoint_record(), opened.sampler_record()
    # Where the protocol has a size, it is the clips' own: `fit_protocol` sees to it.
    sized = {"size"} if request.usual_protocol().size else set()
    honours = opened.honours | {"fake_clips", "fake_storage", "skip_frames", *sized}
    typed = request.generator.spec if isinstance(request.generator, Made) else request.generator
    side = Side(source, min(count, len(source)), None, *records, typed, honours, opened.pairing())
    others = (each.source(count, request.device, reporter) for each in opened.more_samples(request.samples))
    more = tuple(StoredSource(each, protocol.fake_storage, protocol.skip_frames) for each in others)
    return dataclasses.replace(side, more_samples=more).checked()


def open_maker(request: Request, protocol: Protocol, reporter: Reporter) -> OpenedModel | OpenedSource:
    """What makes the fake clips, where they are not in files: a generator, a pipeline, or a Latte checkpoint."""
    if request.generator is not None:
        return open_plugin(request.generator, request, protocol, reporter)
    from latte_eval.sampler.pipelines import is_pipeline

    if is_pipeline(request.ckpt or ""):
        if request.gives_parts:
            raise UsageError(f"--task, --given and --mask need a VDT checkpoint; {request.ckpt} is a pipeline")
        return open_pipeline(request, protocol, reporter)
    if request.prompts is not None:
        raise UsageError(f"--prompts goes with a text-to-video pipeline; {request.ckpt} is a checkpoint file")
    opened = open_model(request, protocol.labels, protocol.frames if is_given(request, "frames") else None)
    opened.checkpoint.note_in(request.run_folder.path)
    if licence := opened.checkpoint.licence:
        reporter.say(f"{opened.checkpoint.family.name}: {licence}")
    return opened


def fit_protocol(
    request: Request, protocol: Protocol, opened: OpenedModel | OpenedSource, checked: bool = True
) -> Protocol:
    """The protocol with the clips' own length and size, where neither a benchmark nor a person sets them.

    Raises `UsageError`, if `checked`, for clips of another length or size than the protocol then has.
    """
    own = {"frames": opened.frames, "size": opened.frame_size}
    if request.benchmark_row is None:
        free = {name: value for name, value in own.items() if value and not is_given(request, name)}
        protocol = protocol.replace(**free)
    if checked:
        check_shape((opened.frames, opened.frame_size), protocol)
    return protocol


def open_real_if_needed(request: Request, protocol: Protocol, reporter: Reporter) -> Side | None:
    return open_real(request, protocol, reporter) if request.needs_real else None


def open_real(request: Request, protocol: Protocol, reporter: Reporter) -> Side:
    """The real side: exactly `--clips` of a folder, at most the protocol's count otherwise."""
    row = request.benchmark_row
    path = request.real if isinstance(request.real, Path) else None
    if path:
        refuse_foreign_statistics(path)
    if path and is_stats_file(path) and (row is None or row.needs_folder):
        return Side(StatsSource.open(path), honours=STATS_HONOUR)
    if row is None:
        source = open_real_clips(request, protocol, reporter)
    else:
        if request.real is not path:
            raise UsageError(f"the real side of {row.name} is a folder, not {request.real}: leave out benchmark=")
        with reporter.bar(f"examine {path.name if path else row.name}", None) as advance:
            source = row.open_real(path, protocol, request.seed, advance)
        check_shape(row.clip_shape, protocol, f" of {row.name}", fixed=True)
    stored = StoredSource(source, protocol.real_storage, protocol.skip_frames)
    honours = honoured_by(source, "real", row)
    exact = request.clips is not None and row is None
    return counted(stored, protocol.real_clips, exact, honours)


def open_real_clips(request: Request, protocol: Protocol, reporter: Reporter) -> ClipSource:
    """The real side where there is no benchmark: a folder, arrays, or an object that gives clips."""
    if isinstance(request.real, Made):
        return request.real.open(request.seed, protocol.real_clips, protocol.frames, protocol.size)
    return open_folder(to_place(request.real), protocol, request.seed, "real", reporter)


def to_place(given: object) -> Path | Place:
    """A side that can be listed: not one that `read_inputs` has still to read."""
    if isinstance(given, Path | HeldVideos | Chosen):
        return given
    raise UsageError(f"{given} is no folder and no array; what else there may be, evaluate() and fvd() take by keyword")


def open_fake(request: Request, protocol: Protocol, reporter: Reporter) -> Side:
    """Generated videos of any model."""
    place = to_place(request.fake)
    source = open_folder(place, protocol, request.seed, "fake", reporter)
    if request.benchmark_row is not None and (size := source.first_size()):
        check_not_enlarged(str(place), size, protocol)
    stored, honours = StoredSource(source, protocol.fake_storage, protocol.skip_frames), honoured_by(source, "fake")
    return counted(stored, protocol.fake_clips, request.counts_are_exact, honours)


def counted(source: ClipSource, count: int | None, exact: bool, honours: frozenset[str]) -> Side:
    """A side of exactly so many clips, or of at most so many. Raises `NotEnoughClips`."""
    wanted, at_most = (count, None) if exact else (None, count)
    return Side(source, wanted, at_most, honours=honours).checked()


def honoured_by(source: ClipSource, side: str, row: Benchmark | None = None) -> frozenset[str]:
    """Fields that shape the clips of a folder or benchmark: its own, those of its splits, its storage and its count."""
    own: frozenset[str] = getattr(source, "honours", frozenset())
    return own | (row.honours if row else frozenset()) | {f"{side}_storage", f"{side}_clips", "skip_frames"}


def open_folder(path: Path | Place, protocol: Protocol, seed: int, side: str, reporter: Reporter) -> FolderSource:
    """A folder, an archive or arrays as clips, examined with a bar as far as the protocol needs it."""
    from latte_eval.benchmarks.readers import FolderSource

    wanted = protocol.real_clips if side == "real" else protocol.fake_clips
    with reporter.bar(f"examine {getattr(path, 'name', path)}", None) as advance:
        return FolderSource.open(path, protocol, seed, side, wanted=wanted, progress=advance)


def open_model(request: Request, label_mode: str = "uniform", frames: int | None = None) -> OpenedModel:
    """Load checkpoint and codec, and settle how the checkpoint is sampled; `frames` asks for clips of another length.

    Raises `CheckpointError`, `SamplerError`, `WeightsError` or `UsageError` before anything is sampled.
    """
    from latte_eval.sampler import load_checkpoint

    assert request.ckpt is not None
    settings = sampler_settings(request, label_mode)
    checkpoint = load_checkpoint(request.ckpt, request.weights)
    choices = {name: getattr(request, name) for name in MODEL_CHOICES}
    model = checkpoint.build(**choices, frames=frames)
    if request.benchmark_row is not None:
        request.benchmark_row.check_classes(model.config.classes)
    settings.check_model(model.config)
    given = {name: value for name, value in choices.items() if value is not None}
    codec, task = choose_codec(request, model.config.channels), request_to_task(request, model.config)
    return OpenedModel(checkpoint, model, codec, settings, given, task, compiled=request.compiled)


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
