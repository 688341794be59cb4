"""Our seeded weights in the files that other programs load, so that they and latte-eval run the same network."""

from __future__ import annotations

from pathlib import Path

import torch

from latte_eval.benchmarks.speed.unfused_inception import scripted_inception, unfused_state
from latte_eval.metrics.detectors.i3d import EPS, seeded_state
from latte_eval.metrics.detectors.i3d_names import units

# Epsilon of the batch-norms of cd-fvd's I3D. Their variances make up for the difference from TensorFlow's.
CD_FVD_EPS = 1e-5


def write_inception_state(path: Path) -> Path:
    """A state dict under the names of torch-fidelity and pytorch-fid."""
    torch.save(unfused_state(), path)
    return path


def write_inception_archive(path: Path) -> Path:
    """A TorchScript archive that is called like NVIDIA's, with its layers under the name that clean-fid asks for."""
    scripted_inception().save(str(path))
    return path


def write_i3d_state(path: Path) -> Path:
    """A state dict under the names of piergiaj/pytorch-i3d, which cd-fvd's network has."""
    theirs = {ours: short for ours, short, _ in units()}
    state = {}
    for key, value in seeded_state(0).items():
        name, part, leaf = key.rsplit(".", 2)
        state[f"{theirs[name]}.{'bn' if part == 'batch3d' else part}.{leaf}"] = value
    for name in [key for key in state if key.endswith("running_var")]:
        state[name] = state[name] + (EPS - CD_FVD_EPS)
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    torch.save(state, path)
    return path
