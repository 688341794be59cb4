"""Lines of the plan that say what sampling will cost, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latte_eval.core.clips import ClipSource
from latte_eval.core.numbers import large_to_text, seconds_to_text
from latte_eval.core.processes import world_size
from latte_eval.files.run_folder import FEATURES, SHARD_CLIPS, RunFolder, feature_key
from latte_eval.metrics.detectors import Detector

if TYPE_CHECKING:
    from latte_eval.sampler import SampledSource

# From so many operations on, the device is asked how fast it is, and memory is counted: a second or two.
MANY_OPERATIONS = 1e14
SECONDS_TOLD, SECONDS_WARNED = 60, 24 * 3600


def cost_lines(source: ClipSource, detectors: Sequence[Detector], run: RunFolder, count: int, batch: int) -> list[str]:
    """Operations, device and memory of the clips that are still to be sampled; nothing for clips of other sources.

    Args:
        source: the fake side's.
        count: clips of it that will be read.
        batch: clips that are asked for at a time.
    """
    sampled = sampled_source(source)
    if sampled is None:
        return []
    missing = count - stored_clips(source, detectors, run, count)
    return sampling_lines(sampled, missing, count, batch, getattr(source, "samples", 1))


def sampling_lines(source: SampledSource, missing: int, count: int, batch: int, samples: int = 1) -> list[str]:
    """What it costs to sample those of `count` clips that are missing, each so many times."""
    if not missing:
        return [f"cost      none: all {count:,} clips are stored already"]
    there = f"; {count - missing:,} of {count:,} clips are stored already" if missing < count else ""
    work, operations = work_text(source, missing, samples)
    lines = [f"cost      {work}{there}", f"          {place_text(source, min(batch, missing), operations)}"]
    return [*lines, *time_lines(source, operations)]


def sampled_source(source: ClipSource) -> SampledSource | None:
    """The checkpoint behind the lossy storage of a side; None for other sources."""
    from latte_eval.sampler import SampledSource

    inner = getattr(source, "source", source)
    return inner if isinstance(inner, SampledSource) else None


def clips_stepped(source: ClipSource, batch: int) -> int | None:
    """Clips that go through the steps of a sampler together; None for a source that has no steps."""
    from latte_eval.sampler.pipelines import PipelineSource

    if sampled_source(source) is not None:
        return min(batch, SHARD_CLIPS)
    return 1 if isinstance(getattr(source, "source", source), PipelineSource) else None


def stored_clips(source: ClipSource, detectors: Sequence[Detector], run: RunFolder, count: int) -> int:
    """How many of candidates 0..count-1 every detector has seen."""
    keys = [feature_key(source.fingerprint, detector.record()) for detector in detectors]
    gaps = [gap for key in keys for gap in run.lacking(FEATURES, key, (0, count))]
    return count - len({index for start, stop in gaps for index in range(start, stop)})


def work_text(source: SampledSource, clips: int, samples: int) -> tuple[str, float]:
    """`2,048 clips x 250 steps x 3.79 TFLOP = 1.94e+18 operations`, and that number."""
    from latte_eval.sampler.families import FAMILIES
    from latte_eval.sampler.outlay import forward_passes

    steps, passes = source.settings.steps, forward_passes(source.settings)
    config = source.model.config
    each = FAMILIES[config.family].forward_operations(config)
    guided = ", guided" if source.settings.guidance_scale != 1 else ""
    times = f"{steps} steps" if passes == steps else f"{passes} forward passes ({steps} steps{guided})"
    operations = float(clips * samples * source.blocks * passes * each)
    repeated = f" x {samples} samples" if samples > 1 else ""
    repeated += f" x {source.blocks} blocks" if source.blocks > 1 else ""
    return f"{clips:,} clips{repeated} x {times} x {large_to_text(each)}FLOP = {operations:.3g} operations", operations


def place_text(source: SampledSource, batch: int, operations: float) -> str:
    """Where the work is done: dtype, device, clips at once, and the memory of a step where it is worth counting."""
    on_card = source.device.type == "cuda"
    at_once = batch if on_card else source.clips_at_once
    text = f"{source.settings.dtype} on {device_text(source)}, {at_once} clip{'s' * (at_once != 1)} at once"
    if on_card or operations >= MANY_OPERATIONS:
        from latte_eval.sampler.memory import gib

        text += f", {gib(source.memory.total(at_once))} for weights and a step"
    return text


def device_text(source: SampledSource) -> str:
    """The name of a card; the threads of a CPU; and how many processes there are."""
    import torch

    device = source.device
    name = f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else name
    return f"{name}, {world_size()} processes" if world_size() > 1 else name


def time_lines(source: SampledSource, operations: float) -> list[str]:
    """The least time that the work takes here, where it is long, and what to type where it is days."""
    if operations < MANY_OPERATIONS:
        return []
    from latte_eval.sampler.outlay import matrix_speed

    speed = matrix_speed(source.device, source.settings.dtype) * world_size()
    seconds = operations / speed
    if seconds < SECONDS_TOLD:
        return []
    told = f"          at least {seconds_to_text(seconds)}: matrix products run at {large_to_text(speed)}FLOP/s here"
    return [told, *([warning(source)] if seconds > SECONDS_WARNED else [])]


def warning(source: SampledSource) -> str:
    """What shortens a run of days."""
    ways = ["fewer --clips", "--sampler dpmsolver++ --steps 20, which samples other clips"]
    ways += [] if source.settings.dtype != "fp32" or source.device.type == "cpu" else ["--dtype bf16"]
    ways += ["a GPU"] if source.device.type == "cpu" else ["more GPUs by torchrun"]
    return f"WARNING   this takes days. Shorter: {'; '.join(ways)}. A run that is stopped continues by the same command"
