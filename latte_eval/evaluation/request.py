"""`Request`: what a person asked for, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.core.errors import UsageError
from latte_eval.core.protocol import PROTOCOLS, Protocol, check_choice, named_protocol
from latte_eval.core.registry import check_name
from latte_eval.files.weights import cache_folder
from latte_eval.metrics.rows import METRICS

DEMO_CLIPS = 64


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
        fake, real: folder or zip of videos or frame folders.
        benchmark: `shapes` or one of the four.
        protocol: `clean`, `latte` or `stylegan-v`.
        params: `field=value` overrides of the protocol.
        clips: this many of each side.
        windows: `one` or `all`.
        seed: chooses subset, offsets, labels and noise.
        sampler, steps, guidance_scale, guidance_interval, eta, clip_x0: how a checkpoint is sampled.
        heads, variant, temporal_position: of a checkpoint that does not tell.
        dtype: `fp32`, `bf16` or `fp16`, of the sampler.
        vae: folder, hub name, `identity` or `vae-seeded`.
        detectors: replace the default detector of their family; `seeded` replaces all.
        interval: whether to compute how sure the values are.
        out: run folder.
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
    heads: int | None = None
    variant: int | None = None
    temporal_position: str | None = None
    detectors: tuple[str, ...] = ()
    trust: bool = False
    interval: bool = True
    batch_size: int | None = None
    device: str = "cpu"
    out: Path | None = None

    def __post_init__(self) -> None:
        for metric in self.metrics:
            check_name("metric", metric, METRICS)
        if self.clips is not None and self.clips < 2:
            raise UsageError(f"--clips {self.clips} is too few: a distance needs at least 2")
        self.detector_names()

    def check_sides(self) -> None:
        """Raise `UsageError` unless there is one fake side, and a real side where a metric needs one."""
        given = [side for side in (self.ckpt, self.fake, self.generator) if side is not None]
        if len(given) != 1:
            many = ", not both" if len(given) == 2 else ""
            raise UsageError(f"give one of --ckpt CHECKPOINT, --fake FOLDER and --generator MODULE:NAME{many}")
        if self.needs_real and self.real is None and self.resolved_benchmark is None:
            raise UsageError("give --real FOLDER or --benchmark NAME: a distance needs a real side")

    @property
    def needs_real(self) -> bool:
        """Whether any of the metrics compares with real clips."""
        return any(METRICS[metric].needs_real for metric in self.metrics)

    @property
    def is_demo(self) -> bool:
        """The embedded default: the shipped checkpoint on the embedded benchmark."""
        return self.ckpt in ("demo", "demo-early") and self.real is None and self.benchmark in (None, "shapes")

    @property
    def resolved_benchmark(self) -> str | None:
        return "shapes" if self.is_demo else self.benchmark

    @property
    def counts_are_exact(self) -> bool:
        """Whether the fake side must give exactly its count: on a benchmark, and wherever a person asks for N."""
        return self.clips is not None or self.resolved_benchmark is not None

    @property
    def is_trial(self) -> bool:
        """Whether every detector is a seeded one: then no number of this request means anything elsewhere."""
        return all(name.endswith("-seeded") for name in self.detector_names())

    @property
    def clips_at_once(self) -> int:
        return self.batch_size or (32 if self.device.startswith("cuda") else 8)

    @property
    def run_folder(self) -> Path:
        """`out`, or a shared one in the cache: shards are keyed by content, so runs do not disturb each other."""
        return self.out or cache_folder() / "run"

    def detector_for(self, metric: str) -> str:
        """Name of the detector that a metric uses under this request."""
        families = METRICS[metric].families
        for name in self.detectors:
            if name.removesuffix("-seeded") in families:
                return name
        return f"{families[0]}-seeded" if "seeded" in self.detectors or self.is_demo else families[0]

    def detector_names(self) -> list[str]:
        """Every detector the request needs. Raises `UsageError` for one that no metric of it can use."""
        from latte_eval.metrics.detectors import DETECTORS

        for name in self.detectors:
            family = name.removesuffix("-seeded")
            if name != "seeded":
                check_name("detector", name, DETECTORS.names())
                if not any(family in METRICS[metric].families for metric in self.metrics):
                    raise UsageError(f"--detector {name} serves none of: {', '.join(self.metrics)}")
        return list(dict.fromkeys(self.detector_for(metric) for metric in self.metrics))

    def resolved_protocol(self) -> Protocol:
        """The protocol with every choice made, except the size of a checkpoint's own frames."""
        if self.resolved_benchmark == "shapes":
            base = shapes_protocol(self.protocol)
        elif self.resolved_benchmark is not None:
            from latte_eval.benchmarks.benchmark import find_benchmark

            base = find_benchmark(self.resolved_benchmark).protocol(self.protocol or "latte")
        else:
            base = named_protocol(self.protocol or "clean")
        changes: dict[str, Any] = {} if self.windows is None else {"windows": self.windows}
        if self.clips is not None:
            changes |= {"real_clips": self.clips, "fake_clips": self.clips}
        return base.replace(**changes).override(self.params)


def shapes_protocol(stem: str | None) -> Protocol:
    """The embedded benchmark: drawn at its own size, read as it is."""
    check_choice("--protocol", stem or "demo", ["demo", *PROTOCOLS])
    if stem not in (None, "demo", "clean"):
        raise UsageError(f"--protocol {stem} needs real video; the shapes benchmark has the protocol demo")
    return Protocol(
        stem="demo", benchmark="shapes", size=None, crop="none", real_split="test",
        real_clips=DEMO_CLIPS, fake_clips=DEMO_CLIPS, real_offset="zero",
    )  # fmt: skip
