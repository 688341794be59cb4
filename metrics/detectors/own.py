"""Detectors with own weights, `--detector i3d=my_i3d.pt`: known by their hash, compared with nothing published."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.protocol import DETECTOR_FIELDS, Protocol
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


def of_protocol(name: str, protocol: Protocol) -> str:
    """The same detector as the protocol's fields of detectors want it; itself where none of them matters."""
    row, (_, equals, file) = detector_row(name), name.partition("=")
    wanted = {field: getattr(protocol, field) for field in choices_of(row)}
    if choices_of(row) == wanted:
        return name
    rows = {each: DETECTORS[each] for each in DETECTORS}
    alike = [each for each, other in rows.items() if is_twin(other, row) and choices_of(other) == wanted]
    return f"{alike[0]}{equals}{file}"


def choices_of(row: DetectorRow) -> dict[str, str]:
    """Fields of the protocol that choose between this detector and others of its family, with its own values."""
    return {field: value for field in DETECTOR_FIELDS if (value := getattr(row, field))}


def is_twin(one: DetectorRow, other: DetectorRow) -> bool:
    return (one.family, one.seeded) == (other.family, other.seeded)


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
