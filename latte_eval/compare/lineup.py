"""Results of several files lined up by benchmark, metric and protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from latte_eval.baselines.table import SIGNED, Cell, Heading, Table
from latte_eval.compare.comparable import decisive, differences, protocol_of, standing, value_to_text
from latte_eval.compare.results import RESULT_COLUMNS, result_cells
from latte_eval.core.result import Result

COMPARE_COLUMNS = ("file", *RESULT_COLUMNS, "difference", "grade", "why")


@dataclass(frozen=True)
class Aligned:
    """Results of one benchmark, metric and protocol, from each of several files.

    Attributes:
        results: one list per file, newest last; empty where a file has none.
    """

    benchmark: str
    metric: str
    protocol: str
    results: tuple[list[Result], ...]


def align(files: Sequence[Iterable[Result]]) -> list[Aligned]:
    """Line up the results of several files by benchmark, metric and protocol, in order of appearance."""
    rows: dict[tuple[str, str, str], tuple[list[Result], ...]] = {}
    for i, results in enumerate(files):
        for result in results:
            key = (result.protocol_fields["benchmark"], result.metric, protocol_of(result).id)
            rows.setdefault(key, tuple([] for _ in files))[i].append(result)
    return [Aligned(*key, results) for key, results in rows.items()]


def compare_table(names: Sequence[str], files: Sequence[Sequence[Result]]) -> Table:
    """Results of several files side by side; differences are from the first file."""
    rows = align(files)
    headings = {"benchmark": Heading("benchmark"), "metric": Heading("metric"), "protocol": Heading("protocol")}
    for i, name in enumerate(names):
        headings |= {f"value {i}": Heading(name), f"interval {i}": Heading("95 % interval")}
        headings |= {f"difference {i}": Heading("difference", SIGNED)} if i else {}
    return Table("compare", "Results by benchmark, metric and protocol", headings, [compare_row(row) for row in rows],
                 [note for row in rows for note in compare_notes(row, rows)], {}, COMPARE_COLUMNS,
                 [record for row in rows for record in compare_records(row, names)])  # fmt: skip


def compare_row(row: Aligned) -> dict[str, Cell]:
    """One benchmark, metric and protocol: the newest value of every file."""
    cells: dict[str, Cell] = {"benchmark": row.benchmark, "metric": row.metric, "protocol": row.protocol}
    newest = [results[-1] if results else None for results in row.results]
    for i, result in enumerate(newest):
        if result is not None:
            cells[f"value {i}"] = result.value
            cells[f"interval {i}"] = None if result.interval is None else (result.interval[0], result.interval[1])
            if i and newest[0] is not None:
                cells[f"difference {i}"] = result.value - newest[0].value
    return cells


def compare_records(row: Aligned, names: Sequence[str]) -> list[dict[str, Cell]]:
    """The same for machines: a row a file."""
    cells = compare_row(row)
    return [
        {"file": name, **result_cells(results[-1]), "difference": cells.get(f"difference {i}"), **grade_cells(row, i)}
        for i, (name, results) in enumerate(zip(names, row.results, strict=True))
        if results
    ]


def grade_cells(row: Aligned, i: int) -> dict[str, Cell]:
    """How the newest result of a file stands to that of the first file, where there is one."""
    if not i or not row.results[0]:
        return {}
    found = standing(differences(row.results[i][-1], row.results[0][-1]))
    return {"grade": found.grade, "why": "; ".join(found.reasons) or None}


def compare_notes(row: Aligned, rows: Sequence[Aligned]) -> list[str]:
    """Older results that are not shown, why those of a row do not compare, and why a lone row has no partner."""
    present = [results for results in row.results if results]
    what = f"{row.benchmark} {row.metric} under {row.protocol}"
    notes = [f"{what}: the newest of {len(results)} results is shown." for results in present if len(results) > 1]
    newest = [results[-1] for results in present]
    notes += [f"{what}: not comparable, {text}." for text in reasons_within(newest)]
    if len(present) < len(row.results):
        notes += [f"{what}: not comparable with {other.protocol}: {why}." for other, why in lone_reasons(row, rows)]
    return notes


def reasons_within(results: Sequence[Result]) -> list[str]:
    """Why results of one row do not compare with the first of them."""
    detectors = sorted({result.detector["name"] for result in results})
    said = [f"measured with {' and '.join(detectors)}"] if len(detectors) > 1 else []
    found = [each for other in results[1:] for each in decisive(differences(other, results[0]))]
    return said + list(dict.fromkeys(each.sentence() for each in found if each.part != "detector"))


def lone_reasons(row: Aligned, rows: Sequence[Aligned]) -> list[tuple[Aligned, str]]:
    """Later rows of the same benchmark and metric, and the fields in which their protocols differ."""
    later = [r for r in rows[rows.index(row) + 1 :] if (r.benchmark, r.metric) == (row.benchmark, row.metric)]
    return [(other, "; ".join(field_changes(any_result(row), any_result(other)))) for other in later]


def any_result(row: Aligned) -> Result:
    return next(results[-1] for results in row.results if results)


def field_changes(first: Result, second: Result) -> list[str]:
    """`real_stride 3 and 6`, one text for each differing field of the protocol."""
    found = [each for each in differences(first, second) if each.part == "protocol"]
    return [" ".join([each.field, " and ".join(map(value_to_text, each.values))]) for each in found]
