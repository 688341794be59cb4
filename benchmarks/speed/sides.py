"""The commands of both sides of the cold comparisons."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from latte_eval.benchmarks.speed.cold import Command, MakeCommand
from latte_eval.benchmarks.speed.footage import CLIP_FRAMES, CLIP_SIZE, FRAME_SIZE
from latte_eval.benchmarks.speed.material import Material
from latte_eval.core.result import Result
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics import frechet_distance_from_features

PEERS = Path(__file__).parent / "peers"


def latte_eval(metric: str, place: Path, size: int, detector: str, run: Path, *options: str) -> list[str]:
    """An evaluation of `place`/fake against `place`/real on the CPU, into a run folder."""
    return [sys.executable, "-m", "latte_eval", metric, "--fake", str(place / "fake"), "--real", str(place / "real"),
            "--protocol", "clean", "--windows", "all", "--param", f"size={size}", "--detector", detector,
            "--device", "cpu", "--out", str(run), "--json", "--quiet", *options]  # fmt: skip


def ours_fid(material: Material, *options: str) -> MakeCommand:
    """FID with the value that covariances divided by N-1 give, as those of the other programs are."""
    frames = material.frames

    def command() -> Command:
        run = material.fresh()
        arguments = latte_eval("fid", frames, FRAME_SIZE, "inception-seeded", run, *options)
        return Command(arguments, value=partial(unbiased_value, run))

    return command


def ours_fvd(material: Material) -> MakeCommand:
    clips = material.clips
    return lambda: Command(latte_eval("fvd", clips, CLIP_SIZE, "i3d-seeded", material.fresh(), "--no-interval"))


def unbiased_value(run: Path, stdout: str) -> float:
    """The distance of a run's features with covariances divided by N-1."""
    result = Result.from_json(stdout.splitlines()[-1])
    sides = [RunFolder(run).features_of(result, side) for side in ("real", "fake")]
    real, fake = (each.outputs["features"].reshape(-1, each.outputs["features"].shape[-1]) for each in sides if each)
    return frechet_distance_from_features(real, fake, ddof=1)


def peer(name: str, *arguments: object, **environment: str) -> Command:
    """One of the programs in `peers/`."""
    return Command([sys.executable, str(PEERS / f"ask_{name}.py"), *map(str, arguments)], environment)


def torch_fidelity(material: Material) -> MakeCommand:
    frames, weights = material.frames, material.inception_state
    return lambda: peer("torch_fidelity", frames / "real", frames / "fake", weights)


def pytorch_fid(material: Material) -> MakeCommand:
    flat, weights = material.frames / "flat", material.inception_state
    return lambda: peer("pytorch_fid", flat / "real", flat / "fake", weights)


def clean_fid(material: Material) -> MakeCommand:
    frames, archive = material.frames, material.inception_archive
    return lambda: peer("clean_fid", frames / "real", frames / "fake", archive)


def cd_fvd(material: Material) -> MakeCommand:
    clips, weights, environment = material.clips, material.i3d_state, material.ffmpeg

    def command() -> Command:
        for listing in clips.glob("*/metadata_*.pkl"):  # what it found out about the files in an earlier turn
            listing.unlink()
        return peer("cd_fvd", clips / "real", clips / "fake", weights, CLIP_SIZE, CLIP_FRAMES, **environment)

    return command
