"""Fixtures: golden outputs of the reference implementations, and real clips where `LATTE_EVAL_SHARED` names them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

# Workers of pytest-xdist share the cores. Read when torch is imported, and by the processes that tests start.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))

from latte_eval.evaluation.golden import seeded as seeded_module
from latte_eval.evaluation.golden.files import Golden

REFERENCE = Path(__file__).parent / "golden" / "reference"


def shared_folder(name: str) -> Path:
    root = os.environ.get("LATTE_EVAL_SHARED")
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"LATTE_EVAL_SHARED names no folder that holds {name}/")
    return Path(root) / name


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """`golden("latte_cond")` opens tests/golden/reference/latte_cond.npz."""
    return lambda name: Golden(REFERENCE / f"{name}.npz")


@pytest.fixture(scope="session")
def seeded() -> ModuleType:
    """The module that generates the seeded weights and inputs of the golden files."""
    return seeded_module


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
