"""`Request`: what a person asked for, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latte_eval.benchmarks.benchmark import BENCHMARKS, Benchmark, benchmark_of_checkpoint
from latte_eval.core.choices import check_name
from latte_eval.core.errors import UsageError
from latte_eval.core.protocol import Protocol, parse_assignment
from latte_eval.core.protocols import named_protocol
from latte_eval.files.run_folder import SHARD_CLIPS, RunFolder
from latte_eval.files.team import OnLost
from latte_eval.files.weights import cache_folder
from latte_eval.metrics.detectors.base import DETECTORS, detector_of_family
from latte_eval.metrics.rows import METRICS

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
        metrics: names in `METRICS`.
        ckpt: path, `hf://owner/repo/file[@revision]`, or `demo`; or a text-to-video pipeline, a folder or
            `hf://owner/repo`.
        prompts: file of prompts for a text-to-video pipeline.
        generator: `package.module:callable` or the name of a plugin.
        fake, real: folder or archive of videos, frame folders or arrays; one video; or a list of paths.
        benchmark: a name in `BENCHMARKS`.
        protocol: a name in `PROTOCOLS`.
        params: `field=value` overrides of the protocol.
        clips: this many of each side.
        windows: `one` or `all`.
        seed: chooses subset, offsets, labels and noise.
        sampler, steps, guidance_scale, guidance_interval, eta, clip_x0: how a checkpoint is sampled.
        weights: `ema` or `model`, which weights of a checkpoint are taken; EMA where there are some.
        heads, variant, temporal_position, classes: of a checkpoint whose file does not tell them.
        dtype: `fp32`, `bf16` or `fp16`, of the sampler.
        vae: folder, hub name, `identity` or `vae-seeded`.
        detectors: replace the default detector of their family; `seeded` replaces all.
        trust: open an executable archive of detector weights whose hash is not pinned.
        allow_partial: measure against a remnant of a benchmark's real clips, too.
        splits: of an Inception Score; 10 where nobody says.
        interval: whether to compute how sure the values are.
        out: run folder.
        on_lost: `survive` or `end`, where one of several processes is lost.
    """

    metrics: tuple[str, ...] = ("fvd",)
    ckpt: str | None = None
    prompts: Path | None = None
    generator: str | None = None
    fake: Path | None = None
    real: Path | None = None
    benchmark: str | None = None
    protocol: str | None = None
    params: tuple[str, ...] = ()
    clips: int | None = None
    windows: str | None = None
    seed: int = 0
    sampler: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    guidance_interval: str | None = None
    eta: float = 0.0
    clip_x0: bool | None = None
    dtype: str = "fp32"
    vae: str = "auto"
    weights: str | None = None
    heads: int | None = None
    variant: int | None = None
    temporal_position: str | None = None
    classes: int | None = None
    detectors: tuple[str, ...] = ()
    trust: bool = False
    allow_partial: bool = False
    splits: int | None = None
    interval: bool = True
    batch_size: int | None = None
    device: str = "cpu"
    out: Path | None = None
    on_lost: OnLost = "survive"

    def __post_init__(self) -> None:
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
        if self.needs_real and self.real is None and self.benchmark_row is None:
            raise UsageError("give --real FOLDER or --benchmark NAME: a distance needs a real side")

    @property
    def needs_real(self) -> bool:
        """Whether any of the metrics compares with real clips."""
        return any(METRICS[metric].needs_real for metric in self.metrics)

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
        return all(DETECTORS[name].seeded for name in self.detector_names())

    def clips_at_once(self, source: object) -> int:
        """Clips of a batch: as asked, else 32 on a GPU and 8 elsewhere, and no more than the source says will fit."""
        usual = SHARD_CLIPS if self.device.startswith("cuda") else 8
        return self.batch_size or min(usual, getattr(source, "clips_that_fit", None) or usual)

    @property
    def run_folder(self) -> RunFolder:
        """`out`, or a shared one in the cache: shards are keyed by content, so runs do not disturb each other."""
        return RunFolder(self.out or cache_folder() / "run")

    def detector_for(self, metric: str) -> str:
        """Name of the detector that a metric uses under this request."""
        families = METRICS[metric].families
        for name in self.detectors:
            if name != SEEDED and DETECTORS[name].family in families:
                return name
        row = self.benchmark_row
        return detector_of_family(families[0], SEEDED in self.detectors or bool(row and row.seeded_detectors))

    def detector_names(self) -> list[str]:
        """Every detector the request needs. Raises `UsageError` for one that none of its metrics can use."""
        for name in self.detectors:
            served = name == SEEDED or any(DETECTORS[name].family in METRICS[m].families for m in self.metrics)
            if not served:
                raise UsageError(f"--detector {name} serves none of: {', '.join(self.metrics)}")
        return list(dict.fromkeys(self.detector_for(metric) for metric in self.metrics))

    def resolved_protocol(self) -> Protocol:
        """The protocol with every choice made, except the size of a checkpoint's own frames."""
        windows = {} if self.windows is None else {"windows": self.windows}
        return self.usual_protocol().replace(**windows).override(self.params)

    def usual_protocol(self) -> Protocol:
        """The protocol before any of its fields is set by hand, but for the number of clips."""
        row = self.benchmark_row
        base = row.protocol(self.protocol) if row else without_benchmark(self.protocol or DEFAULT_PROTOCOL)
        counts = {} if self.clips is None else {"real_clips": self.clips, "fake_clips": self.clips}
        return base.replace(**counts)

    @property
    def given_fields(self) -> list[str]:
        """Fields of the protocol that were set by hand, the number of clips apart."""
        return [*([] if self.windows is None else ["windows"]), *(parse_assignment(text)[0] for text in self.params)]


def without_benchmark(name: str) -> Protocol:
    """A named protocol for clips of no benchmark: a folder by itself has no splits."""
    return named_protocol(name).replace(real_split="all")
