"""Fixtures: golden outputs of the reference implementations and real clips, where `LATTE_EVAL_SHARED` names them."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def shared_folder(name: str) -> Path:
    root = os.environ.get("LATTE_EVAL_SHARED")
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"LATTE_EVAL_SHARED names no folder that holds {name}/")
    return Path(root) / name


class Golden:
    """One golden file: arrays by name, and its `meta`."""

    def __init__(self, path: Path):
        self.arrays = np.load(path)
        self.meta: dict[str, Any] = json.loads(self.arrays["meta"].tobytes())

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """`golden("latte_cond")` opens golden/latte_cond.npz, or skips."""
    return lambda name: Golden(shared_folder("golden") / f"{name}.npz")


@pytest.fixture(scope="session")
def seeded() -> ModuleType:
    """The module that generates the seeded weights and inputs of the golden files."""
    spec = importlib.util.spec_from_file_location("seeded_weights", shared_folder("golden") / "seeded_weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clips_folder() -> Path:
    """The folder of small real video files."""
    return shared_folder("clips")


@pytest.fixture
def switch() -> Iterator[Callable[[str], None]]:
    """`switch(name)` sets one of the switches of `float_switches`; afterwards all are as PyTorch has them."""
    import float_switches

    yield lambda name: (float_switches.SWITCHES | float_switches.NEWER_SWITCHES)[name]()
    float_switches.reset()
