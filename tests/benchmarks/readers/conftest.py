"""One file of every encoding for all tests of the readers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from footage import ENCODINGS


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`footage("VP9")` is a file of lifelike frames, alone in its folder, to be left as it is; or skips."""
    folder, made = tmp_path_factory.mktemp("footage"), dict[str, Path]()

    def make(name: str) -> Path:
        if name not in made:
            path = folder / str(len(made)) / f"footage.{ENCODINGS[name].suffix}"
            made[name] = ENCODINGS[name].write(path)
        return made[name]

    return make


@pytest.fixture
def decoding_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process, as inside a program that is not Python: what a test replaces is replaced there too."""
    monkeypatch.setattr(sys, "executable", "")
