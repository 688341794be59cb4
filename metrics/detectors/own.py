"""Detectors with own weights, `--detector i3d=my_i3d.pt`: known by their hash, compared with nothing published."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.registry import import_target
from latte_eval.files.weights import cache_folder, file_sha256, user_folder
from latte_eval.metrics.detectors.base import DETECTORS, Detector, DetectorRow

OWN_NOTE = "somebody's own weights: not comparable with published numbers"


def detector_row(name: str) -> DetectorRow:
    """The row of a detector by name; `i3d=FILE` has that of `i3d`. Raises `UsageError`."""
    network, equals, file = name.partition("=")
    row = DETECTORS[network]
    if equals and not (file and row.own):
        able = [each for each in DETECTORS if DETECTORS[each].own]
        raise UsageError(f"--detector {name}: own weights are given as NETWORK=FILE, and NETWORK is {', '.join(able)}")
    return row


def with_resize(name: str, fid_resize: str) -> str:
    """The same detector as the protocol's `fid_resize` wants it; itself where that does not matter."""
    row, (_, equals, file) = detector_row(name), name.partition("=")
    if row.fid_resize in ("", fid_resize):
        return name
    alike = [each for each in DETECTORS if kind(DETECTORS[each]) == (row.family, row.seeded, fid_resize)]
    return f"{alike[0]}{equals}{file}"


def kind(row: DetectorRow) -> tuple[str, bool, str]:
    return row.family, row.seeded, row.fid_resize


def open_own(name: str, device: str) -> Detector:
    """The detector `NETWORK=FILE`. Its name keeps the file's, without the folder, as its hash tells what it is.

    A relative file is looked for in the current folder, then in the one that `LATTE_EVAL_WEIGHTS` names, then in the
    cache. Raises `UsageError` or `WeightsError`.
    """
    network, _, file = name.partition("=")
    path, row = find_file(Path(file).expanduser()), detector_row(name)
    open_it: Callable[[Path, str], Detector] = import_target(row.own)
    detector = open_it(path, device)
    return dataclasses.replace(
        detector, name=f"{network}={path.name}", weights=None, sha256=file_sha256(path), comparable=False, note=OWN_NOTE
    )


def find_file(path: Path) -> Path:
    """Raises `WeightsError` where there is no such file."""
    places = [folder / path for folder in (Path(), user_folder(), cache_folder()) if folder is not None]
    for place in places:
        if place.is_file():
            return place
    raise WeightsError(f"--detector names {path}, which is no file; it was looked for in {', '.join(map(str, places))}")
