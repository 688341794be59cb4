"""What stands on top of a page: the number, how sure it is, the published row beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from latte_eval.baselines.published import published_values, reports
from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.benchmarks.dataset import datasets, find_dataset
from latte_eval.compare.comparable import Standing
from latte_eval.compare.comparable import beside_published as standing_beside_published
from latte_eval.compare.results import subject
from latte_eval.core.numbers import interval_to_text, number_to_text
from latte_eval.core.result import Result
from latte_eval.metrics.rows import METRICS

OWN_METHODS = ("Latte+IMG", "Latte")

# The first character of a table row with the page's own result.
OWN_MARK = "▶"


@dataclass(frozen=True)
class Headline:
    """One metric on top of a page, as text.

    Attributes:
        metric, title: such as `fvd`, `Fréchet video distance`.
        value, interval: as they are printed; interval is None where there is none.
        better: `lower is better`.
        beside: the published number that it stands beside, or why there is none.
        sentences: how sure it is, and what a reader must know.
    """

    metric: str
    title: str
    value: str
    interval: str | None
    better: str
    beside: str
    sentences: tuple[str, ...]


def headline(result: Result) -> Headline:
    """The headline of one result."""
    interval = interval_to_text(result.interval) if result.interval else None
    said = [f"No interval: {result.details['no_interval']}."] if "no_interval" in result.details else []
    said += [*corrected_sentences(result.corrected), *floor_sentences(result.floor), *splits_sentences(result)]
    said += [f"Note: {result.note}."] if result.note else []
    return Headline(
        result.metric,
        METRICS[result.metric].title,
        number_to_text(result.value),
        interval,
        f"{result.better} is better",
        beside_published(result),
        tuple(said),
    )


def corrected_sentences(corrected: dict[str, Any] | None) -> list[str]:
    """The value without its bias, or why there is none."""
    if not corrected:
        return []
    if "unidentified" in corrected:
        return [f"Without the bias of few clips: unknown; {corrected['unidentified']}."]
    value, bounds = number_to_text(corrected["value"]), interval_to_text(corrected["interval"])
    return [f"Without the bias of few clips: {value} ({bounds})."]


def floor_sentences(floor: dict[str, Any] | None) -> list[str]:
    """What a perfect model would score."""
    if not floor:
        return []
    halves = " against ".join(f"{rows:,}" for rows in floor["rows"])
    value = number_to_text(floor["value"])
    return [f"Noise floor: half of the real side against the other half gives {value} ({halves})."]


def splits_sentences(result: Result) -> list[str]:
    details = result.details
    return [
        f"± {number_to_text(details['std'])} over {details[parts]} {parts}."
        for parts in ("splits", "subsets")
        if parts in details and "std" in details
    ]


def beside_published(result: Result) -> str:
    """The published row, with the difference; or why the number does not stand beside one."""
    benchmark = result.protocol_fields["benchmark"]
    values = published_rows(result)
    if not values:
        return f"No published number: {'no benchmark was named' if benchmark == 'none' else benchmark + ' has none'}."
    standing = standing_of(result)
    own = [
        f"{name} {values[name]} ({result.value - float(values[name]):+.2f})" for name in OWN_METHODS if name in values
    ]
    published = f"published {', '.join(own)}" if own else f"{len(values)} published rows"
    if not standing.compares:
        return f"Not comparable with {published.split(' (')[0]}: {'; '.join(standing.reasons)}."
    return f"Beside {published}{'; with care: ' + '; '.join(standing.reasons) if standing.reasons else ''}."


def published_rows(result: Result) -> dict[str, Any]:
    """Method -> published value of the same benchmark and metric."""
    benchmark = result.protocol_fields["benchmark"]
    return dict(published_values(benchmark, result.metric)) if benchmark in [each.name for each in datasets()] else {}


def standing_of(result: Result) -> Standing:
    """Whether a result may stand beside published rows."""
    return standing_beside_published(result, find_dataset(result.protocol_fields["benchmark"]))


def baseline_table(result: Result) -> Table | None:
    """Published rows with the measured one among them, best first; or the yardsticks of the embedded benchmark."""
    if "table" in result.details:
        return yardstick_table(result)
    values = published_rows(result)
    if not values:
        return None
    standing = standing_of(result)
    reasons = () if standing.compares else standing.reasons
    published = [(float(value), {"method": name, "value": value}) for name, value in values.items()]
    among = [*published, *([] if reasons else [(result.value, own_row(result))])]
    rows = [row for _, row in sorted(among, key=lambda pair: pair[0], reverse=result.better == "higher")]
    apart = [f"The measured row stands apart, at the end, because {'; '.join(reasons)}."] if reasons else []
    title = f"{result.metric.upper()} on {result.protocol_fields['benchmark']}: published, and {OWN_MARK} measured here"
    rows += [own_row(result)] if reasons else []
    return Table("baselines", title, BASELINE_HEADINGS, rows, [*apart, *outside_notes(result)])


def own_row(result: Result) -> dict[str, Cell]:
    """The measured row."""
    interval = (result.interval[0], result.interval[1]) if result.interval else None
    return {"method": f"{OWN_MARK} {subject(result)}", "value": result.value, "interval": interval}


BASELINE_HEADINGS = {"method": Heading("Method"), "value": Heading("Value"), "interval": Heading("95 % interval")}


def outside_notes(result: Result) -> list[str]:
    """What users measured with the published checkpoints, and what real clips score."""
    benchmark, metric = result.protocol_fields["benchmark"], result.metric
    reruns = ", ".join(f"{r.text} ({r.source})" for r in reports("reruns", benchmark, metric))
    real = ", ".join(f"{r.text} ({r.how})" for r in reports("real_data", benchmark, metric))
    notes = {"Published checkpoints as users measured them": reruns, "Real clips against real clips": real}
    return [f"{title}: {text}." for title, text in notes.items() if text]


def yardstick_table(result: Result) -> Table:
    """The rows of `fvd --ckpt demo`, whose order must come out right."""
    rows: list[dict[str, Cell]] = [yardstick_row(row, result) for row in result.details["table"]]
    headings = {
        "method": Heading("What is measured"),
        "value": Heading("FVD (demo)", ".3g"),
        "interval": Heading("95 % interval", ".3g"),
    }
    return Table(
        "yardsticks",
        "The embedded benchmark's yardsticks",
        headings,
        rows,
        ["The order is the point; the numbers mean nothing elsewhere."],
    )


def yardstick_row(row: dict[str, Any], result: Result) -> dict[str, Cell]:
    """One yardstick; the result's own row is marked."""
    own = f"{OWN_MARK} " if row["fvd"] == result.value else ""
    interval = (row["interval"][0], row["interval"][1]) if row["interval"] else None
    return {"method": own + row["row"], "value": row["fvd"], "interval": interval}
