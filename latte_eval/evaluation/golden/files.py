"""One golden file: outputs of a reference by name, and what they were made from."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latte_eval.evaluation.golden.seeded import seeded_clip, seeded_normal, seeded_tensor

FOLDER = Path(__file__).parent / "outputs"


class Golden:
    """Arrays by name. `meta` holds the source, the seed, and names and shapes of weights and inputs."""

    def __init__(self, path: Path):
        with np.load(path) as file:
            self.arrays = dict(file)
        self.meta: dict[str, Any] = json.loads(self.arrays.pop("meta").tobytes())

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    @cached_property
    def state(self) -> dict[str, np.ndarray]:
        """The state dict that the reference had: seeded, but for what the file stores."""
        return {key: self.weight(key) for key in self.meta["keys"]}

    def tensors(self) -> dict[str, Tensor]:
        """The same as a state dict of torch."""
        return {key: torch.from_numpy(np.asarray(value)) for key, value in self.state.items()}

    def weight(self, key: str) -> np.ndarray:
        meta = self.meta
        if key in meta.get("not_seeded", ()):
            return self[key]
        if meta.get("batchnorm_weight") == "ones" and key.endswith("batch3d.weight"):
            return np.ones(meta["shapes"][key], np.float32)
        gain = meta.get("gain_overrides", {}).get(key, meta["gain"])
        return seeded_tensor(key, meta["shapes"][key], meta["seed"], gain)

    def noise(self, name: str) -> np.ndarray:
        """A named input of normal values."""
        stream, shape, *_ = self.meta["inputs"][name]
        return seeded_normal(stream, shape, self.meta["seed"])

    def clip(self, name: str) -> np.ndarray:
        """A named input of uint8 clips."""
        stream, shape, *_ = self.meta["inputs"][name]
        return seeded_clip(stream, shape, self.meta["seed"])


def open_golden(name: str) -> Golden:
    """A golden file that travels with the package, such as `latte_cond`."""
    return Golden(FOLDER / f"{name}.npz")
