"""The four tables of the paper with what was measured beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from latte_eval.baselines.published import Column, PublishedTable, Report, published_table, reports
from latte_eval.baselines.table import SIGNED, Cell, Heading, Table, cell_to_text, column_heading, published_to_table
from latte_eval.benchmarks.dataset import find_dataset
from latte_eval.compare.comparable import Standing, beside_published, differences, published_conditions
from latte_eval.compare.results import RESULT_COLUMNS, assumed_text, result_cells, subject
from latte_eval.core.result import Result

# The rows that a published checkpoint may belong to; its files do not say whether images were used.
OWN_ROWS = ("Latte", "Latte+IMG")

TABLE_COLUMNS = ("table", "kind", "method", *RESULT_COLUMNS, "grade", "why")


def distance_tables(name: str, results: Sequence[Result] = ()) -> list[Table]:
    """`table1` or `table2`: as published; with results, also the measured rows and those that do not compare."""
    published = published_table(name)
    tables = [replace(published_to_table(published, report_notes(published)), schema=TABLE_COLUMNS,
                      records=published_records(published))]  # fmt: skip
    if not results:
        return tables
    belonging = [(column, r) for column in published.columns.values() for r in results if belongs(r, column)]
    standings = [beside_published(r, find_dataset(str(column.benchmark))) for column, r in belonging]
    rows = list(zip(belonging, standings, strict=True))
    measured = [(measured_row(published, column, r, each), r, each) for (column, r), each in rows if each.compares]
    others = [(other_row(column, r, each), r, each) for (column, r), each in rows if not each.compares]
    tables.append(measured_table(name, measured))
    return [*tables, others_table(name, others)] if others else tables


def published_records(published: PublishedTable) -> list[dict[str, Cell]]:
    """The published entries for machines, one a row."""
    columns = published.columns
    return [
        {"table": published.name, "kind": "published", "method": method, "benchmark": columns[key].benchmark,
         "metric": columns[key].metric, "better": columns[key].better, "value": value}
        for method, cells in published.rows.items() for key, value in cells.items()
    ]  # fmt: skip


def result_record(name: str, kind: str, result: Result, standing: Standing) -> dict[str, Cell]:
    """A measured number for machines."""
    return {"table": name, "kind": kind, **result_cells(result), "grade": standing.grade,
            "why": "; ".join(standing.reasons) or None}  # fmt: skip


def belongs(result: Result, column: Column) -> bool:
    return result.metric == column.metric and result.protocol_fields["benchmark"] == column.benchmark


def measured_row(published: PublishedTable, column: Column, result: Result, standing: Standing) -> dict[str, Cell]:
    """One measured number between the published ones and its differences from them."""
    row: dict[str, Cell] = {"dataset": column_heading(column), "checkpoint": subject(result)}
    for own in OWN_ROWS:
        value = published.value(own, column.name)
        row[own] = value
        row[f"difference to {own}"] = None if value is None else difference(result.value, value)
    interval = (result.interval[0], result.interval[1]) if result.interval else None
    counts: dict[str, Cell] = {"fake": result.fake, "real": result.real or None}
    told: dict[str, Cell] = {"measured": result.value, "interval": interval, "grade": standing.grade}
    return {**row, **told, **counts}


def difference(measured: float, published: Decimal) -> float:
    """Measured minus published."""
    return measured - float(published)


Graded = tuple[dict[str, Cell], Result, Standing]


def measured_table(name: str, measured: Sequence[Graded]) -> Table:
    """Rows with their results and grades as a table."""
    headings = {"dataset": Heading("Dataset"), "checkpoint": Heading("Checkpoint")}
    headings |= {own: Heading(f"published {own}") for own in OWN_ROWS}
    headings |= {"measured": Heading("measured"), "interval": Heading("95 % interval"), "grade": Heading("grade")}
    headings |= {f"difference to {own}": Heading(f"difference to {own}", SIGNED) for own in OWN_ROWS}
    headings |= {"fake": Heading("fake clips"), "real": Heading("real clips")}
    notes = [note for _, result, _ in measured for note in care_notes(result)]
    notes = notes or ([] if measured else ["No result was measured under the published protocol."])
    records = [result_record(name, "measured", result, each) for _, result, each in measured]
    return Table(f"{name}-measured", "Measured under the same protocol", headings, [row for row, _, _ in measured],
                 list(dict.fromkeys(notes)), {}, TABLE_COLUMNS, records)  # fmt: skip


def care_notes(result: Result) -> list[str]:
    """What a reader must know of a result that stands beside a published row."""
    dataset, name = find_dataset(result.protocol_fields["benchmark"]), subject(result)
    care = [each for each in differences(result, published_conditions(dataset)) if each.weight == "care"]
    sampler = [each for each in care if each.part == "sampler"]
    changed = [f"{each.field} {each.values[0]} (published: {each.values[1]})" for each in sampler]
    notes = [f"{name} was sampled with {', '.join(changed)}."] if changed else []
    assumed = assumed_text(name, result.checkpoint)
    notes += [f"{assumed[0].upper()}{assumed[1:]}."] if assumed else []
    return [*notes, *(f"{name}: {each.sentence()}: {each.reason}." for each in care if each not in sampler)]


def other_row(column: Column, result: Result, standing: Standing) -> dict[str, Cell]:
    return {"dataset": column_heading(column), "checkpoint": subject(result), "value": result.value,
            "why": "; ".join(standing.reasons)}  # fmt: skip


def others_table(name: str, others: Sequence[Graded]) -> Table:
    """Results that belong to a dataset of the table but were measured in another way."""
    headings = {"dataset": Heading("Dataset"), "checkpoint": Heading("Checkpoint"), "value": Heading("value"),
                "why": Heading("why not comparable")}  # fmt: skip
    records = [result_record(name, "not comparable", result, each) for _, result, each in others]
    return Table(f"{name}-not-comparable", "Not comparable with the published rows", headings,
                 [row for row, _, _ in others], [], {}, TABLE_COLUMNS, records)  # fmt: skip


def report_notes(published: PublishedTable) -> list[str]:
    """Footnotes: what users measured with the published checkpoints, what real clips score, text-to-video."""
    notes = []
    for column in published.columns.values():
        reruns = reports("reruns", column.benchmark, column.metric)
        real = reports("real_data", column.benchmark, column.metric)
        if reruns:
            notes.append(f"{column.title} as users re-ran published checkpoints: {report_list(reruns)}.")
        if real:
            values = "; ".join(f"{report.text} ({report.how})" for report in real)
            notes.append(f"{column.title} of real clips: {values}. {real[0].source}")
    if published.name == "table2":
        notes.append(text_to_video_note())
    return notes


def report_list(found: Sequence[Report]) -> str:
    """`ucf101.pt 168 (Vchitect/Latte#123), ...`; how each was measured is in `published.toml`."""
    return ", ".join(f"{report.checkpoint or ''} {report.text} ({report.source})".strip() for report in found)


def text_to_video_note() -> str:
    published = published_table("text-to-video")
    cells = next(iter(published.rows.values()))
    values = ", ".join(f"{published.columns[key].title} {cell_to_text(value)}" for key, value in cells.items())
    return f"Text-to-video, in the running text: {values} on 2,048 clips."


def size_table(measure: bool) -> Table:
    """`table4`: sizes and parameters, as published or with a counted column."""
    published = published_table("table4")
    if not measure:
        return published_to_table(published)
    from latte_eval.sampler.cost import count_parameters, on_meta
    from latte_eval.sampler.latte.config import latte_config

    headings = published_to_table(published).headings | {
        "parameters": Heading("Parameters (M), published"),
        "measured": Heading("counted"),
        "difference": Heading("difference (M)", "+.4f"),
    }
    rows: list[dict[str, Cell]] = []
    for row, cells in published.rows.items():
        count = count_parameters(on_meta(latte_config(f"{row}/2")))
        rows.append({"method": row, **cells, "measured": count,
                     "difference": difference(count / 1e6, cells["parameters"])})  # fmt: skip
    return Table("table4", published.title, headings, rows, [published.protocol])


def cost_table(measure: bool) -> Table:
    """`table3`: parameters and FLOPs of the variants, as published or counted in both ways."""
    published = published_table("table3")
    if not measure:
        return published_to_table(published)
    headings = {
        "method": Heading("Variant"),
        "parameters": Heading("Parameters (M), published"),
        "counted": Heading("counted"),
        "flops": Heading("FLOPs (G), published"),
        "paper_way": Heading("counted the paper's way (G)", ".3f"),
        "difference": Heading("difference (G)", "+.3f"),
        "true": Heading("true cost of one clip (GFLOP)", ".3f"),
        "own": Heading("of latte-eval (GFLOP)", ".3f"),
    }
    rows = [cost_row(row, cells) for row, cells in published.rows.items()]
    return Table("table3", published.title, headings, rows, [published.protocol, *COST_NOTES])


COST_NOTES = (
    "Counted the paper's way: multiply-accumulates of linear and convolution layers plus layer norms, three clips.",
    "True cost: every multiplication and addition of one clip, attention products included, in the published code, "
    "which computes the modulation once for every frame and token. latte-eval computes it once a clip.",
    "Variants 2 to 4 were never published as code: 3 is the best reading known, and no reading of 4 gives its figures.",
)


def cost_row(row: str, cells: Mapping[str, Decimal]) -> dict[str, Cell]:
    from latte_eval.sampler.cost import measure_cost, on_meta
    from latte_eval.sampler.latte.config import latte_config

    cost = measure_cost(on_meta(latte_config("Latte-XL/2", variant=int(row.removeprefix("Variant ")))))
    paper_way = cost.paper_operations / 1e9
    return {
        "method": row,
        **cells,
        "counted": cost.parameters,
        "paper_way": paper_way,
        "difference": difference(paper_way, cells["flops"]),
        "true": cost.flops / 1e9,
        "own": cost.own_flops / 1e9,
    }
