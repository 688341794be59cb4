"""What is said of an evaluation before its long work begins: what will be done, and what is odd about its files."""

from __future__ import annotations

from pathlib import Path

from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.evaluation.cost_lines import cost_lines
from latte_eval.evaluation.prepared import Evaluation, unique_detectors
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side


def evaluation_to_text(evaluation: Evaluation) -> str:
    """What will be done, in a few lines, before it is done."""
    real, fake = evaluation.real, evaluation.fake
    lines = [f"protocol  {evaluation.protocol.id}"]
    if real:
        lines.append(f"real      {real.expected:,} clips of {real.source.name}")
    lines.append(f"fake      {fake.expected:,} clips of {fake.source.name}{weights_text(fake)}")
    if (counted := fake.counted_frames(evaluation.protocol)) < evaluation.protocol.frames:
        lines.append(f"counted   {counted} of the {evaluation.protocol.frames} frames of a clip, on both sides")
    for detector in unique_detectors(evaluation.detectors.values()):
        lines.append(f"detector  {detector.name}" + (f": {detector.note}" if detector.note else ""))
    detectors, batch = unique_detectors(evaluation.detectors.values()), evaluation.request.clips_at_once(fake.source)
    lines += cost_lines(fake.source, detectors, evaluation.run, fake.expected, batch)
    return "\n".join([*lines, f"run       {evaluation.run.place}"])


def weights_text(fake: Side) -> str:
    """Which weights of a checkpoint are sampled, how, and a warning where frames come from a VAE without weights."""
    if not fake.checkpoint or not fake.sampler or "steps" not in fake.sampler:
        return ""
    steps = f"{fake.sampler['steps']} {fake.sampler['method']} steps"
    text = f" ({fake.checkpoint['weights']} weights, {steps}, {fake.sampler['dtype']})"
    if fake.sampler.get("codec") == "vae-seeded":
        text += "; no VAE is installed: frames come from a seeded one and show nothing, which does for a trial run"
    return text


def side_notes(name: str, side: Side | None) -> list[str]:
    """What a person should know of the files of one side, such as those that were not used."""
    notes = getattr(side.source, "notes", ()) if side else ()
    return [f"{name}: {note}" for note in notes]


def same_place_notes(request: Request) -> list[str]:
    """A warning where both sides are the same files, or one lies within the other."""
    if isinstance(request.real, HeldVideos) and isinstance(request.fake, HeldVideos):
        same = request.real.sha256 == request.fake.sha256
        return [f"real and fake are the same {request.real}: that says nothing about a model"] if same else []
    if not isinstance(request.real, Path) or not isinstance(request.fake, Path):
        return []
    real, fake = request.real.resolve(), request.fake.resolve()
    if real == fake:
        return [
            f"real and fake are the same: {request.real}. Where videos are longer than a clip the two sides take other "
            f"frames of them, so the distance is not 0; either way it says nothing about a model"
        ]
    inner, outer = ("fake", "real") if real in fake.parents else ("real", "fake")
    nested = real in fake.parents or fake in real.parents
    return [f"{inner} lies within {outer}: its videos count on both sides"] if nested else []
