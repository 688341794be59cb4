"""`Request`: what a person asked for, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latte_eval.benchmarks.benchmark import BENCHMARKS, Benchmark, benchmark_of_checkpoint
from latte_eval.core.choices import check_name
from latte_eval.core.errors import UsageError
from latte_eval.core.processes import cores_of_process
from latte_eval.core.protocol import LATER, Protocol, parse_assignment
from latte_eval.core.protocols import named_protocol
from latte_eval.files.remote_run import open_run
from latte_eval.files.run_folder import SHARD_CLIPS, RunFolder
from latte_eval.files.team import OnLost
from latte_eval.files.weights import cache_folder
from latte_eval.metrics.detectors.base import detector_of_family
from latte_eval.metrics.detectors.own import choices_of, detector_row, of_protocol
from latte_eval.metrics.rows import METRICS, each_metric
from latte_eval.sampler.dtypes import AUTO, usual_dtype
from latte_eval.sampler.pipeline_options import PIPELINE_OPTIONS, option_name

if TYPE_CHECKING:
    from latte_eval.benchmarks.readers.places import Place
    from latte_eval.evaluation.inputs import Made, Unread

# The protocol where nobody names one and there is no benchmark.
DEFAULT_PROTOCOL = "clean"

# What `--detector` takes for all detectors at once.
SEEDED = "seeded"


@dataclass(frozen=True)
class Request:
    """One evaluation, as the command line or a caller states it.

    Exactly one of `ckpt`, `fake` and `generator` is given. None means "as the protocol, the benchmark or the
    checkpoint says".

    Attributes:
        metrics: names in `METRICS`, or one that stands for several; kept as single ones.
        ckpt: path, `hf://owner/repo/file[@revision]`, `drive://ID`, or `demo`; or a text-to-video pipeline, a folder or
            `hf://owner/repo`.
        prompts: file of prompts for a text-to-video pipeline.
        generator: `package.module:callable`, the name of a plugin, or an object (`evaluation.inputs.Made`).
        fake, real: folder or archive of videos, frame folders or arrays; one video; or a list of paths. In Python also
            what `evaluation.inputs.to_input` makes of arrays, iterables and, for `real`, of generators.
        benchmark: a name in `BENCHMARKS`.
        protocol: a name in `PROTOCOLS`.
        params: `field=value` overrides of the protocol.
        clips: this many of each side.
        windows: `one`, `all` or `any`.
        decoder: `pyav` or `decord`.
        seed: chooses subset, offsets, labels and noise.
        sampler, steps, guidance_scale, guidance_interval, eta, clip_x0: how a checkpoint is sampled.
        weights: `ema` or `model`, which weights of a checkpoint are taken; EMA where there are some.
        heads, variant, temporal_position, classes: of a checkpoint whose file does not tell them.
        resize_pos_embed: side of the latents that the positions of a VDT are brought to.
        task, given, mask, mask_rule, cond, given_pixels, given_latents: what of every clip is given, as in
            `TaskSettings`.
        fps, motion_bucket_id, noise_aug_strength, min_guidance_scale, decode_chunk_size: what a pipeline of diffusers
            is told, as in `PIPELINE_OPTIONS`; None leaves it to the pipeline.
        samples: how often every clip is made, for the mean and the best of a paired metric.
        dtype: `fp32`, `bf16` or `fp16`, of the sampler; `auto` follows the benchmark, else the device.
        compiled: whether `torch.compile` is used; None is on a GPU where it pays.
        vae: folder, hub name, `identity` or `vae-seeded`.
        detectors: replace the default detector of their family; `seeded` replaces all.
        trust: open an executable archive of detector weights whose hash is not pinned.
        allow_partial: measure against a remnant of a benchmark's real clips, too.
        splits: of an Inception Score; 10 where nobody says.
        batch_size: clips at once.
        workers: threads that read and store clips beside what the device does; 0 does one thing after the other.
        interval: whether to compute how sure the values are.
        out: run folder: a path, or an address such as s3://bucket/run.
        on_lost: `survive` or `end`, where one of several processes is lost.
    """

    metrics: tuple[str, ...] = ("fvd",)
    ckpt: str | None = None
    prompts: Path | None = None
    generator: str | Made | None = None
    fake: Path | Place | Unread | None = None
    real: Path | Place | Unread | Made | None = None
    benchmark: str | None = None
    protocol: str | None = None
    params: tuple[str, ...] = ()
    clips: int | None = None
    windows: str | None = None
    decoder: str | None = None
    seed: int = 0
    sampler: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    guidance_interval: str | None = None
    eta: float = 0.0
    clip_x0: bool | None = None
    dtype: str = AUTO
    compiled: bool | None = None
    vae: str = "auto"
    weights: str | None = None
    heads: int | None = None
    variant: int | None = None
    temporal_position: str | None = None
    classes: int | None = None
    resize_pos_embed: int | None = None
    task: str | None = None
    given: str | None = None
    mask: Path | None = None
    mask_rule: str = "corrected"
    cond: str = "mask"
    given_pixels: str = "round-trip"
    given_latents: str = "mode"
    fps: int | None = None
    motion_bucket_id: int | None = None
    noise_aug_strength: float | None = None
    min_guidance_scale: float | None = None
    decode_chunk_size: int | None = None
    samples: int = 1
    detectors: tuple[str, ...] = ()
    trust: bool = False
    allow_partial: bool = False
    splits: int | None = None
    interval: bool = True
    batch_size: int | None = None
    workers: int | None = None
    device: str = "cpu"
    out: Path | str | None = None
    on_lost: OnLost = "survive"

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", each_metric(self.metrics))
        for metric in self.metrics:
            check_name("metric", metric, METRICS)
        if self.benchmark is not None:
            check_name("benchmark", self.benchmark, BENCHMARKS)
        if self.clips is not None and self.clips < 2:
            raise UsageError(f"--clips {self.clips} is too few: a distance needs at least 2")
        if self.splits is not None and (self.splits < 1 or not any(METRICS[each].splits for each in self.metrics)):
            scores = [name for name in METRICS if METRICS[name].splits]
            raise UsageError(
                f"--splits {self.splits} takes a number from 1, and one of the metrics {', '.join(scores)}"
            )
        self.detector_names()

    def check_sides(self) -> None:
        """Raise `UsageError` unless there is one fake side, and a real side where a metric needs one."""
        given = [side for side in (self.ckpt, self.fake, self.generator) if side is not None]
        if len(given) != 1:
            many = ", not both" if len(given) == 2 else ""
            raise UsageError(f"give one of --ckpt CHECKPOINT, --fake FOLDER and --generator MODULE:NAME{many}")
        self.check_told_pipeline()
        if self.gives_parts and self.ckpt is None:
            raise UsageError("--task, --given and --mask go with --ckpt of a VDT: clips of others are there already")
        paired = [metric for metric in self.metrics if METRICS[metric].paired]
        if paired and not self.gives_parts:
            raise UsageError(
                f"{paired[0]} compares a clip with the real clip that it was given a part of: give --ckpt of a VDT, "
                "--real FOLDER and --task, --given or --mask"
            )
        if self.samples < 1 or (self.samples > 1 and not paired):
            raise UsageError(
                f"--samples {self.samples} takes a number from 1, and a paired metric: psnr, ssim or lpips"
            )
        if self.needs_real and self.real is None and self.benchmark_row is None:
            raise UsageError("give --real FOLDER or --benchmark NAME: a distance needs a real side")
        protocol = self.resolved_protocol()
        if paired and (protocol.skip_frames or protocol.counted != "all"):
            field = "skip_frames" if protocol.skip_frames else "counted"
            raise UsageError(f"{field} leaves out frames that {paired[0]} looks at; measure it in a run of its own")
        self.check_detectors()

    def check_told_pipeline(self) -> None:
        """Raise `UsageError` for what a pipeline is told where there is none."""
        if not (told := self.told_pipeline):
            return
        from latte_eval.sampler.pipelines import is_pipeline

        if not is_pipeline(self.ckpt or ""):
            name, value = next(iter(told.items()))
            raise UsageError(
                f"{option_name(name)} {value} goes with --ckpt of an image-to-video pipeline, a folder with "
                f"model_index.json or hf://OWNER/NAME; {self.ckpt or 'this'} is none: leave it out"
            )

    def check_detectors(self) -> None:
        """Raise `UsageError` for a detector that was named, and is not the one of its family that the protocol wants.

        The usual one of a family stands for all of them.
        """
        asked = self.resolved_protocol()
        for name in self.detectors:
            for field, value in ({} if name == SEEDED else choices_of(detector_row(name))).items():
                if value != LATER[field] and value != getattr(asked, field):
                    raise UsageError(f"--detector {name} goes with --param {field}={value}")

    @property
    def told_pipeline(self) -> dict[str, float]:
        """What a pipeline is told beside what every sampler is, as far as somebody said it."""
        return {name: value for name in PIPELINE_OPTIONS if (value := getattr(self, name)) is not None}

    @property
    def needs_real(self) -> bool:
        """Whether any of the metrics compares with real clips, or the fake ones are given parts of them."""
        return self.gives_parts or any(METRICS[metric].needs_real for metric in self.metrics)

    @property
    def gives_parts(self) -> bool:
        """Whether fake clips are given parts of real ones, as a person asked for it."""
        return self.task not in (None, "unconditional") or self.given is not None or self.mask is not None

    @property
    def detector_fields(self) -> frozenset[str]:
        """Fields of the protocol that choose one of several detectors of a family."""
        names = (name for name in self.detector_names() if self.compares_with(name))
        return frozenset(field for name in names for field in choices_of(detector_row(name)))

    @property
    def metric_fields(self) -> frozenset[str]:
        """Fields of the protocol that shape how its metrics are measured."""
        divided = any(METRICS[metric].frechet for metric in self.metrics)
        of_frames = any(detector_row(name).per_frame for name in self.detector_names() if self.compares_with(name))
        own = {"covariance": divided, "frame_rule": of_frames}
        return self.detector_fields | {name for name, counts in own.items() if counts}

    def compares_with(self, detector: str) -> bool:
        """Whether a distance, and not only a score, is measured by a detector."""
        return any(METRICS[each].needs_real and self.detector_for(each) == detector for each in self.metrics)

    @property
    def is_demo(self) -> bool:
        """The embedded default: a shipped checkpoint on the benchmark that it belongs to."""
        own = benchmark_of_checkpoint(self.ckpt)
        return own is not None and self.real is None and self.benchmark in (None, own)

    @property
    def benchmark_row(self) -> Benchmark | None:
        """The benchmark that was named, else the one that a shipped checkpoint belongs to."""
        name = self.benchmark or (benchmark_of_checkpoint(self.ckpt) if self.is_demo else None)
        return BENCHMARKS[name] if name else None

    @property
    def counts_are_exact(self) -> bool:
        """Whether the fake side must give exactly its count: on a benchmark, and wherever a person asks for N."""
        return self.clips is not None or self.benchmark_row is not None

    @property
    def is_trial(self) -> bool:
        """Whether every detector is a seeded one: then no number of this request means anything elsewhere."""
        weights = [row for name in self.detector_names() if not (row := detector_row(name)).weightless]
        return bool(weights) and all(row.seeded for row in weights)

    def clips_at_once(self, source: object) -> int:
        """Clips of a batch: as asked, else 32 on a GPU and 8 elsewhere, and no more than the source says will fit."""
        usual = SHARD_CLIPS if self.device.startswith("cuda") else 8
        return self.batch_size or min(usual, getattr(source, "clips_that_fit", None) or usual)

    @property
    def worker_count(self) -> int:
        """Workers as asked; else one beside the CPU, and on a GPU a core each, at most 8, one core left free."""
        if self.workers is not None:
            return self.workers
        return max(1, min(8, cores_of_process() - 1)) if self.device.startswith("cuda") else 1

    @property
    def sampler_dtype(self) -> str:
        """What a Latte checkpoint is sampled in: as asked, else as the benchmark says, else as the device has it."""
        if self.dtype != AUTO:
            return self.dtype
        fixed = self.benchmark_row.sampler.get("dtype") if self.benchmark_row else None
        return fixed or usual_dtype(self.device)

    @property
    def pipeline_dtype(self) -> str:
        """The same for a text-to-video pipeline, which is published in fp16; its VAE has the type of all its parts."""
        return usual_dtype(self.device, "fp16") if self.dtype == AUTO else self.dtype

    @property
    def run_folder(self) -> RunFolder:
        """`out`, or a shared one in the cache: shards are keyed by content, so runs do not disturb each other."""
        return open_run(self.out or cache_folder() / "run")

    def detector_for(self, metric: str) -> str:
        """Name of the detector that a metric uses under this request."""
        return of_protocol(
            self.named_detector(metric), self.resolved_protocol() if METRICS[metric].needs_real else Protocol()
        )

    def named_detector(self, metric: str) -> str:
        """The detector that was named for a metric, else the first of its family."""
        families = METRICS[metric].families
        for name in self.detectors:
            if name != SEEDED and detector_row(name).family in families:
                return name
        row = self.benchmark_row
        return detector_of_family(families[0], SEEDED in self.detectors or bool(row and row.seeded_detectors))

    def detector_names(self) -> list[str]:
        """Every detector the request needs. Raises `UsageError` for one that none of its metrics can use."""
        for name in self.detectors:
            served = name == SEEDED or any(detector_row(name).family in METRICS[m].families for m in self.metrics)
            if not served:
                raise UsageError(f"--detector {name} serves none of: {', '.join(self.metrics)}")
        return list(dict.fromkeys(self.detector_for(metric) for metric in self.metrics))

    def resolved_protocol(self) -> Protocol:
        """The protocol with every choice made, except the size of a checkpoint's own frames."""
        return self.usual_protocol().replace(**self.named_fields).override(self.params)

    @property
    def named_fields(self) -> dict[str, str]:
        """Fields of the protocol that have an option of their own, and were set by it."""
        given = {"windows": self.windows, "decoder": self.decoder}
        return {name: value for name, value in given.items() if value is not None}

    def usual_protocol(self) -> Protocol:
        """The protocol before any of its fields is set by hand, but for the number of clips."""
        row = self.benchmark_row
        base = row.protocol(self.protocol) if row else without_benchmark(self.protocol or DEFAULT_PROTOCOL)
        counts = {} if self.clips is None else {"real_clips": self.clips, "fake_clips": self.clips}
        return base.replace(**counts)

    @property
    def given_fields(self) -> list[str]:
        """Fields of the protocol that were set by hand, the number of clips apart."""
        return [*self.named_fields, *(parse_assignment(text)[0] for text in self.params)]


def without_benchmark(name: str) -> Protocol:
    """A named protocol for clips of no benchmark: a folder by itself has no splits."""
    return named_protocol(name).replace(real_split="all")
