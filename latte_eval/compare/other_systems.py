"""VDT, Video LDM and their relatives: what was published of them, protocol by protocol, and what was measured.

No published number of theirs is known well enough to stand beside a measured one in a row: every number here has its
protocol with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latte_eval.baselines.systems import SystemNumbers, published_systems, systems_measuring
from latte_eval.baselines.table import Cell, Heading, Table, published_to_table
from latte_eval.compare.results import RESULT_COLUMNS, full_name, result_cells
from latte_eval.core.result import Result

COLUMNS = ("table", "kind", "system", "method", *RESULT_COLUMNS, "task", "samples", "read", "apart")
# Of pipelines, by class: those whose authors or design come from Video LDM.
RELATIVES = ("StableVideoDiffusionPipeline", "TextToVideoSDPipeline")


def system_tables(results: Sequence[Result] = ()) -> list[Table]:
    """Every published protocol as a table of its own; then, if there are any, results of a VDT or a relative."""
    measured = [result for result in results if is_of_systems(result)]
    tables = [numbers_to_table(numbers) for numbers in published_systems()]
    return [*tables, measured_table(measured)] if results else tables


def numbers_to_table(numbers: SystemNumbers) -> Table:
    """The published numbers of one protocol, with all that says what they are."""
    columns = numbers.table.columns
    records: list[dict[str, Cell]] = [
        {"table": numbers.table.name, "kind": "published", "system": numbers.system, "method": method,
         "benchmark": columns[key].benchmark, "metric": columns[key].metric, "better": columns[key].better,
         "value": value, "samples": numbers.samples, "read": numbers.read, "apart": numbers.apart}
        for method, cells in numbers.table.rows.items() for key, value in cells.items()
    ]  # fmt: skip
    table = published_to_table(numbers.table, numbers.notes)
    return Table(table.name, table.title, table.headings, table.rows, table.notes, table.about, COLUMNS, records)


def is_of_systems(result: Result) -> bool:
    """Whether a VDT or a relative of Video LDM was measured."""
    checkpoint = result.checkpoint or {}
    return checkpoint.get("family") == "VDT" or checkpoint.get("weights") in RELATIVES


def measured_table(results: Sequence[Result]) -> Table:
    """Measured numbers, each with its task and protocol, in no column with a published one."""
    headings = {"checkpoint": Heading("Checkpoint"), "task": Heading("Task"), "metric": Heading("Metric"),
                "value": Heading("measured"), "interval": Heading("95 % interval"), "fake": Heading("fake clips"),
                "real": Heading("real clips"), "protocol": Heading("Protocol")}  # fmt: skip
    rows = [measured_row(result) for result in results]
    records = [
        {"table": "systems-measured", "kind": "measured", **result_cells(result), "task": task_of(result)}
        for result in results
    ]
    notes = ["A paired metric (PSNR, SSIM, LPIPS) is over generated positions.",
             "No row stands beside a published number: no protocol above is published in full."]  # fmt: skip
    none = ["No result of a VDT, of Stable Video Diffusion or of a text-to-video relative was found."]
    return Table("systems-measured", "Measured", headings, rows, notes if rows else none, {}, COLUMNS, records)


def measured_row(result: Result) -> dict[str, Cell]:
    interval = (result.interval[0], result.interval[1]) if result.interval else None
    return {"checkpoint": full_name(result), "task": task_of(result), "metric": result.metric, "value": result.value,
            "interval": interval, "fake": result.fake, "real": result.real or None,
            "protocol": result.protocol}  # fmt: skip


def task_of(result: Result) -> str:
    """What of the clips was given: `predict`, frames, a mask by its hash, a first frame, a prompt, or nothing.

    With what is measured, where that is not all frames.
    """
    counted = ", generated frames alone" if result.protocol_fields.get("counted") == "generated" else ""
    return given_of(result.sampler or {}) + counted


def given_of(sampler: Mapping[str, Any]) -> str:
    if sampler.get("given"):
        return f"frames {sampler['given']} given"
    if sampler.get("task") == "by mask":
        return f"mask {str(sampler.get('mask_sha256'))[:12]}"
    return str(sampler.get("task") or ("prompts" if "prompts_sha256" in sampler else "unconditional"))


def apart_notes(benchmark: str, metric: str) -> list[str]:
    """For `explain`: published numbers of other systems on this benchmark, and why they do not stand beside Table 2."""
    return [apart_note(numbers, metric) for numbers in systems_measuring(benchmark, metric)]


def apart_note(numbers: SystemNumbers, metric: str) -> str:
    key = next(name for name, column in numbers.table.columns.items() if column.metric == metric)
    values = ", ".join(f"{row} {cells[key]}" for row, cells in numbers.table.rows.items() if key in cells)
    return f"Not beside these, nor beside Table 2: {numbers.table.title} ({values}): {numbers.apart}."
