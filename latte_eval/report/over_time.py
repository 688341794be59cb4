"""Values over checkpoints and time: one section per metric, protocol and detector; across these nothing compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from latte_eval.baselines.table import Heading, Table
from latte_eval.compare.results import full_name, training_run
from latte_eval.gate.history import Entry, history_tables
from latte_eval.report.curves import Curve, Point, Reference, curve
from latte_eval.report.headlines import OWN_METHODS, published_rows, standing_of
from latte_eval.report.page import Figure, Section, to_page_table

# At most so many rows of a table, the newest; all results are in the file beside the pages.
ROWS = 50

Key = tuple[str, str, str]  # metric, protocol, detector
Links = dict[tuple[str, ...], str]  # Entry.identity -> file of a page


def over_time_sections(
    entries: Sequence[Entry], accepted: Sequence[Entry], links: Links | None = None
) -> list[Section]:
    """A section for each metric, protocol and detector, with a curve where there are two values or more.

    Args:
        links: the page of a result by its identity.
    """
    keys = list(dict.fromkeys(entry.key for entry in entries))
    made = [
        over_time_section(
            [entry for entry in entries if entry.key == key],
            [entry for entry in accepted if entry.key == key],
            f"time-{number}",
            links,
        )
        for number, key in enumerate(keys, 1)
    ]
    titles = [section.title for section in made]
    return [
        section if titles.count(section.title) == 1 else dataclasses.replace(section, title=longer(section.title, key))
        for section, key in zip(made, keys, strict=True)
    ]


def longer(title: str, key: Key) -> str:
    """A title with the start of the hash and the detector: other sections have the same metric and benchmark."""
    _, protocol, detector = key
    return f"{title.removesuffix(')')}, {protocol.rpartition('-')[2]}, {detector})"


def over_time_section(entries: Sequence[Entry], accepted: Sequence[Entry], name: str, links: Links | None) -> Section:
    """Values of one metric under one protocol, oldest first."""
    metric, protocol, detector = entries[0].key
    distinct = {(full_name(entry.result), entry.result.value) for entry in entries}
    table = newest_rows(history_tables(entries)[0])
    pages = [(links or {}).get(entry.identity) for entry in entries[::-1][: len(table.rows)]]
    figures = [Figure(None, to_page_table(table, pages))]
    said = [f"{len(entries):,} result{'s' if len(entries) > 1 else ''} under {protocol} with {detector}."]
    if len(distinct) > 1:
        drawn = to_curve(entries, accepted, f"chart-{name}")
        figures.insert(0, Figure(drawn.chart()))
        said += drawn.sentences()
    fields = entries[0].result.protocol_fields
    of = fields["stem"] if fields["benchmark"] in ("none", "shapes") else f"{fields['benchmark']}, {fields['stem']}"
    return Section(name, f"{metric.upper()} over checkpoints ({of})", tuple(said), tuple(figures))


def newest_rows(table: Table) -> Table:
    """A table short enough for a page: the newest rows first, the checkpoint in front, without empty columns."""
    rows = table.rows[::-1][:ROWS]
    order = ["checkpoint", *(key for key in table.headings if key not in ("checkpoint", "file"))]
    used = [key for key in order if key in ("checkpoint", "value") or any(row.get(key) is not None for row in rows)]
    headings: dict[str, Heading] = {key: table.headings[key] for key in used}
    more = len(table.rows) - len(rows)
    notes = [*table.notes, *([f"{more:,} older results are in all-results.jsonl."] if more else [])]
    return Table(table.name, table.title, headings, rows, notes)


def to_curve(entries: Sequence[Entry], accepted: Sequence[Entry], name: str) -> Curve:
    """Over the iteration where every checkpoint has one and they differ, else over time."""
    iterations = [(entry.result.checkpoint or {}).get("iteration") for entry in entries]
    times = any(each is None for each in iterations) or len(set(iterations)) < 2
    places = (
        [seconds(entry.result.started) for entry in entries] if times else [float(each or 0) for each in iterations]
    )
    points = [to_point(entry, place) for entry, place in zip(entries, places, strict=True)]
    result = entries[-1].result
    references = [accepted_level(entry) for entry in accepted[-1:]]
    rows = published_rows(result)
    if rows and standing_of(result).compares:
        references += [Reference(f"{row}, published", float(rows[row])) for row in OWN_METHODS if row in rows]
    return curve(result.metric, result.better, points, references, "time" if times else "iteration", times, name)


def accepted_level(entry: Entry) -> Reference:
    """The accepted value, with its day where that is known."""
    day = entry.about.get("when", entry.result.started)[:10]
    return Reference(f"accepted {day}", entry.result.value, accepted=True)


def to_point(entry: Entry, place: float) -> Point:
    low, high = entry.result.interval or (None, None)
    return Point(full_name(entry.result), place, entry.result.value, low, high, training_run(entry.result))


def seconds(started: str) -> float:
    """Seconds since 1970 of a UTC time in the form that results use."""
    return datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp()
