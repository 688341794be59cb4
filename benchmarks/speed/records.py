"""What was measured, as JSON that later runs can add to, and as a Markdown table."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch

from latte_eval.benchmarks.speed.measured import Measured, Timed
from latte_eval.benchmarks.speed.table import Comparison
from latte_eval.core.errors import UsageError
from latte_eval.files.environment import code_record
from latte_eval.files.whole_files import write_whole

SCHEMA = 1
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pillow", "av")
Row = dict[str, Any]


def machine_record() -> dict[str, Any]:
    """The processor, and how much of it this process may use."""
    model = platform.processor() or platform.machine()
    flags: set[str] = set()
    if (about := Path("/proc/cpuinfo")).is_file():
        lines = dict(line.split(":", 1) for line in about.read_text().splitlines() if ":" in line)
        entries = {name.strip(): text.strip() for name, text in lines.items()}
        model, flags = entries.get("model name", model), set(entries.get("flags", "").split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    vectors = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return {"cpu": model, "cores": cores, "threads": torch.get_num_threads(), "vectors": vectors}


def versions_record() -> dict[str, str]:
    """Python and the packages that both sides share."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def row_of(name: str, comparison: Comparison) -> Row:
    """What the table says."""
    return {"name": name, "what": comparison.what, "baseline": comparison.baseline, "goal": comparison.goal}


def measured_row(name: str, comparison: Comparison, found: Measured) -> Row:
    """A row with seconds; `agrees` is None where the two sides define their answer differently."""
    agrees = None if comparison.agreement is None or found.apart is None else found.apart <= comparison.agreement
    return row_of(name, comparison) | {
        "ours": found.ours.to_dict(), "theirs": found.theirs.to_dict(), "ratio": round(found.ratio, 3),
        "apart": found.apart, "agreement": comparison.agreement, "agrees": agrees, "versions": comparison.versions(),
    }  # fmt: skip


def read_rows(path: Path, frames: str) -> list[Row]:
    """Rows of a file of the same machine, versions, code and frames. Raises `UsageError` for another file."""
    if not path.exists():
        return []
    try:
        old = json.loads(path.read_text())
        rows, wanted = list(old["rows"]), to_record([], frames)
        fixed = ("schema", "machine", "versions", "code", "frames")
        other = [name for name in fixed if old[name] != wanted[name]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is no file of this benchmark ({error!r}); name another --out") from error
    if other:
        raise UsageError(f"{path} was measured with other {', '.join(other)}; name another --out")
    return rows


def with_turns_of(row: Row, old: list[Row]) -> Row:
    """A row whose sides have the turns of an earlier row of its name as well."""
    earlier = next((each for each in old if each["name"] == row["name"] and "ours" in each), None)
    if earlier is None or "ours" not in row:
        return row
    sides = {side: both_turns(earlier[side], row[side]) for side in ("ours", "theirs")}
    ratio = round(sides["theirs"]["median"] / sides["ours"]["median"], 3)
    return row | sides | {"ratio": ratio}


def both_turns(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    peaks = [each["peak_mib"] for each in (earlier, later) if each["peak_mib"] is not None]
    seconds, busy = (earlier[name] + later[name] for name in ("seconds", "cpu_seconds"))
    return Timed(seconds, later["value"], max(peaks, default=None), tuple(busy)).to_dict()


def in_place_of(row: Row, rows: list[Row]) -> list[Row]:
    """The rows with one more, or with one in the place of that of its name."""
    names = [each["name"] for each in rows]
    return [row if each["name"] == row["name"] else each for each in rows] + ([] if row["name"] in names else [row])


def to_record(rows: list[Row], frames: str) -> dict[str, Any]:
    """The file: where, with what and how the rows were measured."""
    return {"schema": SCHEMA, "machine": machine_record(), "versions": versions_record(), "code": code_record(),
            "frames": frames, "command": "python -m latte_eval.benchmarks.speed",
            "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "rows": rows}  # fmt: skip


def write_record(path: Path, rows: list[Row], frames: str) -> None:
    """Write the file, whole. Raises `StoreError`."""
    write_whole(path, (json.dumps(to_record(rows, frames), indent=1) + "\n").encode())


HEADER = (
    "| name | what | baseline | latte-eval | ratio | of processor seconds | memory | agreement | goal |\n"
    "| --- | --- | --- | ---: | ---: | ---: | --- | --- | ---: |"
)


def row_to_markdown(row: Row) -> str:
    """One line of the table."""
    goal = "-" if row["goal"] is None else f"{row['goal']:g}x"
    if "ours" not in row:
        return f"| {row['name']} | {row['what']} | {row['baseline']} | | | | | {row['missing']} | {goal} |"
    ours, theirs = row["ours"], row["theirs"]
    memory = "-" if ours["peak_mib"] is None else f"{ours['peak_mib']} against {theirs['peak_mib']} MiB"
    cells = [row["name"], row["what"], f"{named(row)} {theirs['median']:.2f} s", f"{ours['median']:.2f} s",
             f"{row['ratio']:.2f}x", busy_ratio(row), memory, agreement_text(row), goal]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def busy_ratio(row: Row) -> str:
    """How many times more processor seconds the baseline took."""
    ours, theirs = (row[side]["cpu_seconds"] for side in ("ours", "theirs"))
    return f"{median(theirs) / median(ours):.2f}x" if ours and theirs and median(ours) else "-"


def named(row: Row) -> str:
    """The baseline with the versions of what was installed for it."""
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    return f"{row['baseline']} ({versions})" if versions else row["baseline"]


def agreement_text(row: Row) -> str:
    """How far apart the answers were, and whether that is near enough."""
    if row["agrees"] is None:
        return f"{row['ours']['value']:.7g}, theirs {row['theirs']['value']:.7g}: another definition"
    text = f"{row['apart']:.0e} relative" if row["apart"] else "the same"
    return text if row["agrees"] else f"{text}: MORE THAN {row['agreement']:g}"
