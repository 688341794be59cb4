"""`results_frame`: results of many runs as one pandas frame, a row a result, every column flat and of one type."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte_eval.baselines.frames import encodable
from latte_eval.compare.results import check_untouched, read_results, result_cells
from latte_eval.core.errors import StoreError
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.files.run_folder import RESULTS, result_files

if TYPE_CHECKING:
    import pandas

TEXT, NUMBER, COUNT, TRUTH, TIME = "string", "Float64", "Int64", "boolean", "datetime64[ns, UTC]"

# Column -> dtype of pandas, all of them nullable. docs/dashboards.md says what each holds.
COLUMNS: dict[str, str] = {
    **dict.fromkeys(("benchmark", "metric", "better", "protocol", "detector", "checkpoint"), TEXT),
    **dict.fromkeys(("value", "low", "high", "standard_error"), NUMBER),
    **dict.fromkeys(("fake", "real", "step", "seed"), COUNT),
    **dict.fromkeys(("fake_source", "real_source", "weights", "checkpoint_sha256", "detector_sha256"), TEXT),
    "comparable": TRUTH,
    "sampler": TEXT, "steps": COUNT, "guidance_scale": NUMBER, "dtype": TEXT,
    "started": TIME, "seconds": NUMBER,
    **dict.fromkeys(("version", "commit", "note", "file"), TEXT),
}  # fmt: skip
# A field of the protocol is a column too, under this prefix.
PROTOCOL = "protocol."


def column_dtypes() -> dict[str, str]:
    """All columns with their dtypes, in order."""
    kinds = {each.name: str(each.type) for each in dataclasses.fields(Protocol)}
    return COLUMNS | {PROTOCOL + name: COUNT if kind.startswith("int") else TEXT for name, kind in kinds.items()}


def results_frame(*places: str | Path | Iterable[str | Path]) -> pandas.DataFrame:
    """Results as a frame: a row a result, in order of path and of line.

    Args:
        places: results.jsonl files, run folders, folders of runs, or patterns such as `runs/**/results.jsonl`.

    A line that was cut is passed over with a notice, as everywhere.

    Raises:
        StoreError: nothing there, or a line that was edited, is damaged, or was written by a newer version: names it.
    """
    import pandas

    found = [(file, result) for file in found_files(places) for result in read_results(file)]
    for file, result in found:
        check_untouched(result, str(file))
    records = [{**result_to_record(result), "file": encodable(str(file))} for file, result in found]
    frame = pandas.DataFrame(records, columns=list(column_dtypes()))
    started = pandas.to_datetime(frame["started"], utc=True, format="ISO8601").astype(TIME)
    return frame.assign(started=started).astype(column_dtypes())


def found_files(places: Iterable[Any]) -> list[Path]:
    """The results files of all places, each once. Raises `StoreError` for a place without any."""
    flat = [each for place in places for each in ([place] if isinstance(place, str | Path) else place)]
    files = list(dict.fromkeys(file for place in flat for file in files_of(str(place))))
    if not files:
        raise StoreError("there is nothing to read: results_frame('runs/**/results.jsonl')")
    return files


def files_of(place: str) -> list[Path]:
    """The results files of a path, or of the paths that a pattern fits."""
    path = Path(place).expanduser()
    if path.exists() or not glob.has_magic(place):
        fitting = [path]
    else:
        fitting = [Path(each) for each in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    files = [file for each in fitting for file in result_files(each)]
    if not files:
        raise StoreError(f"{place} holds no {RESULTS}; runs write one, as in latte-eval fvd ... --out runs/NAME")
    return files


def result_to_record(result: Result) -> dict[str, Any]:
    """The cells of a result, those of the protocol's fields among them."""
    checkpoint, sampler = result.checkpoint or {}, result.sampler or {}
    cells: dict[str, Any] = {
        **result_cells(result), "standard_error": result.standard_error, "step": checkpoint.get("iteration"),
        "seed": sampler.get("seed", result.fake_source.get("seed")),
        "fake_source": result.fake_source["name"], "real_source": (result.real_source or {}).get("name"),
        "weights": checkpoint.get("weights"), "checkpoint_sha256": checkpoint.get("sha256"),
        "detector_sha256": result.detector["sha256"], "comparable": result.detector["comparable"],
        "sampler": sampler.get("method"), "steps": sampler.get("steps"),
        "guidance_scale": sampler.get("guidance_scale"), "dtype": sampler.get("dtype"),
        "seconds": result.seconds, "version": result.code.get("version"), "commit": result.code.get("commit"),
        "note": result.note,
    }  # fmt: skip
    if result.checkpoint is None:
        cells["checkpoint"] = None
    fields = {PROTOCOL + name: flat(value) for name, value in result.protocol_fields.items()}
    return {name: encodable(cell) for name, cell in (cells | fields).items()}


def flat(value: Any) -> Any:
    """A list as `--param` takes it: `h264-crf5+jpeg75`, or `none`."""
    return ("+".join(map(str, value)) or "none") if isinstance(value, list | tuple) else value
