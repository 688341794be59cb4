"""Detectors with own weights, `--detector i3d=my_i3d.pt`: known by their hash, compared with nothing published.

The C3D subtracts a mean clip and V-JEPA has a probe: `--detector c3d=my_c3d.npz,my_mean.npz` names both files, and
without the second the published one is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.core.protocol import DETECTOR_FIELDS, Protocol
from latte_eval.core.registry import import_target
from latte_eval.files.weights import WEIGHTS, cache_folder, find_weights, user_folder
from latte_eval.metrics.detectors.base import DETECTORS, Detector, DetectorRow

OWN_NOTE = "somebody's own weights: not comparable with published numbers"


def detector_row(name: str) -> DetectorRow:
    """The row of a detector by name; `i3d=FILE` has that of `i3d`. Raises `UsageError`."""
    network, equals, files = name.partition("=")
    row = DETECTORS[network]
    if equals and not (row.own and all(split_files(row, files))):
        one, two = ([each for each in DETECTORS if DETECTORS[each].own and bool(DETECTORS[each].beside) == beside]
                    for beside in (False, True))  # fmt: skip
        raise UsageError(f"--detector {name}: own weights are given as NETWORK=FILE, and NETWORK is {', '.join(one)}; "
                         f"or as NETWORK=FILE,FILE, and NETWORK is {', '.join(two)}")  # fmt: skip
    return row


def split_files(row: DetectorRow, files: str) -> list[str]:
    """One file, or two where the network takes a second."""
    return files.split(",", 1) if row.beside else [files]


def of_protocol(name: str, protocol: Protocol) -> str:
    """The same detector as the protocol's fields of detectors want it; itself where none of them matters.

    Raises `UsageError` where there is none that computes alike.
    """
    row, (_, equals, file) = detector_row(name), name.partition("=")
    wanted = {field: getattr(protocol, field) for field in choices_of(row)}
    if choices_of(row) == wanted:
        return name
    rows = {each: DETECTORS[each] for each in DETECTORS}
    alike = [each for each, other in rows.items() if is_twin(other, row) and choices_of(other) == wanted]
    for each in alike:
        if rows[each].dtype == row.dtype:
            return f"{each}{equals}{file}"
    told = ", ".join(f"{field}={value}" for field, value in wanted.items())
    raise UsageError(f"--detector {name} computes in {row.dtype}; with {told} there is --detector {' or '.join(alike)}")


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
    network, _, files = name.partition("=")
    row = detector_row(name)
    paths = [find_file(Path(file).expanduser()) for file in split_files(row, files)]
    second = [published_beside(name, row)] if row.beside and len(paths) == 1 else []
    open_it: Callable[..., Detector] = import_target(row.own)
    own_name = f"{network}={','.join(path.name for path in paths)}"
    return dataclasses.replace(
        open_it(*paths, *second, device), name=own_name, weights=None, comparable=False, note=OWN_NOTE
    )


def published_beside(name: str, row: DetectorRow) -> Path:
    """The published second file. Raises `WeightsError` where it is not installed."""
    record = WEIGHTS[row.beside]
    if path := find_weights(record):
        return path
    raise WeightsError(
        f"--detector {name} takes a second file, the {record.origin}: name yours with --detector {name},FILE, or get "
        f"the published one with latte-eval weights fetch {record.name} (licence: {record.licence})"
    )


def find_file(path: Path) -> Path:
    """Raises `WeightsError` where there is no such file."""
    places = [folder / path for folder in (Path(), user_folder(), cache_folder()) if folder is not None]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise WeightsError(f"--detector names {path}, which is no file; it was looked for in {looked}")
