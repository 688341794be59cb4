"""Runs with features, and accepted files of them, for the tests of the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_line import latte_eval
from repository import ROOT
from result_makers import I3D, make_result, write_results

from latte_eval.core.features import Features
from latte_eval.files.run_folder import RunFolder, feature_key
from latte_eval.gate.accepted import read_accepted

DEMO_ACCEPTED = ROOT / "benchmarks" / "shapes" / "accepted.jsonl"
DEMO_RULE = "fvd:+1"

CLIPS, DIMENSIONS = 256, 8
NOISE, REAL = np.random.default_rng(0).standard_normal((2, CLIPS, DIMENSIONS)).astype(np.float32)
OLD = NOISE + 1.0


def write_run(folder: Path, fake: np.ndarray, **changes: Any) -> Path:
    """A run folder with features and one result, as `evaluate` leaves it."""
    name = changes.pop("name", "new")
    sides = {"fake": (fake, f"{name:f<64}"[:64]), "real": (REAL, "d" * 64)}
    for side, (rows, fingerprint) in sides.items():
        for start in range(0, CLIPS, 32):
            indices = list(range(start, start + 32))
            features = Features({"features": rows[indices]}, indices, [f"{side}-{i}" for i in indices], [])
            RunFolder(folder).write_features(feature_key(fingerprint, I3D), start, start + 32, features)
    value = float(((fake.mean(0) - REAL.mean(0)) ** 2).sum() + 1)
    known = {"value": value, "interval": [value - 0.5, value + 0.5], "standard_error": 0.25, "fake": CLIPS,
             "real": CLIPS, "fake_source": source("clips", sides["fake"][1]), "real_source": source("real", "d" * 64),
             "checkpoint": {"name": f"{name}.pt", "sha256": "a" * 64, "weights": "ema", "iteration": 100, "size": 256},
             "changes": {"fake_clips": CLIPS, "real_clips": CLIPS}}  # fmt: skip
    write_results(folder / "results.jsonl", make_result(**{**known, **changes}))
    return folder


def source(name: str, fingerprint: str) -> dict[str, Any]:
    return {"name": name, "fingerprint": fingerprint, "rejected": 0, "videos": CLIPS}


def make_accepted(folder: Path) -> Path:
    """An accepted file with one FVD and its features."""
    into = folder / "accepted.jsonl"
    done = latte_eval("gate", "accept", write_run(folder / "old", OLD, name="old"), "--into", into, "--why", "first")
    assert done.returncode == 0, done.stderr
    return into


def gate(new: Path, against: Path, *rules: str, **files: Any) -> Any:
    options = [text for rule in rules for text in ("--fail", rule)]
    options += [text for name, value in files.items() for text in (f"--{name}", str(value))]
    return latte_eval("gate", "--results", new, "--against", against, "--quiet", *options)


def corrupted(folder: Path, share: float) -> Path:
    """The demo checkpoint with noise on its weights, in parts of their own spread."""
    import latte_eval.sampler

    file = Path(latte_eval.sampler.__file__).parent / "embedded" / "demo.pt"
    whole = torch.load(file, weights_only=True)
    generator = torch.Generator().manual_seed(0)

    def disturb(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: disturb(each) for name, each in value.items()}
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim > 1:
            noise = torch.randn(value.shape, generator=generator)
            return (value.float() + share * value.float().std() * noise).to(value.dtype)
        return value

    path = folder / f"corrupted-{share}.pt"
    torch.save({**disturb(whole), "args": {"num_heads": 4}}, path)
    return path


def sampled_demo(folder: Path, shift: float = 0.0) -> Path:
    """A run folder that holds clips of the demo already, all features moved by `shift` of their own spread.

    A gate on the demo samples nothing there, and says what it would say of a checkpoint with such clips.
    """
    accepted = read_accepted(DEMO_ACCEPTED)[-1]
    fake = accepted.sides()["fake"]
    rows = fake.outputs["features"]
    moved = replace(fake, outputs={"features": rows + np.float32(shift * rows.std())})
    key = feature_key(accepted.result.fake_source["fingerprint"], accepted.result.detector)
    RunFolder(folder).write_features(key, 0, len(fake), moved)
    return folder
