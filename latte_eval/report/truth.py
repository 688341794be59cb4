"""The part of a page about clips beside their own truth: paired metrics, their anchors, and how samples differ."""

from __future__ import annotations

from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.numbers import interval_to_text, number_to_text
from latte_eval.core.result import Result
from latte_eval.report.page import Figure, Section, to_page_table
from latte_eval.report.runs import Evaluated

HEADINGS = {"shown": Heading("What is shown"), "positions": Heading("Positions"), "value": Heading("Mean"),
            "interval": Heading("95 % interval")}  # fmt: skip
BEST_HEADINGS = {"best": Heading("Best of {samples}"), "best_interval": Heading("95 % interval of the best")}
ABOUT = (
    "Each clip beside the real clip that it was given a part of. The anchors show what needs no model, and what no "
    "model of these latents can be expected to pass."
)
POSITIONS = {"generated": "generated", "whole": "whole frames"}


def truth_section(evaluated: Evaluated) -> Section | None:
    """Every paired metric of an evaluation; None where it has none."""
    paired = [result for result in evaluated.results.values() if "paired" in result.details]
    if not paired:
        return None
    figures = tuple(Figure(None, to_page_table(paired_table(each)), None, diversity_sentences(each)) for each in paired)
    return Section("truth", "Beside the truth", (ABOUT,), figures)


def paired_table(result: Result) -> Table:
    """The model and its anchors."""
    rows, samples = result.details["paired"], result.details["samples"]
    more = BEST_HEADINGS if any("best" in row for row in rows) else {}
    headings = HEADINGS | {name: Heading(each.text.format(samples=samples)) for name, each in more.items()}
    title = f"{result.metric.upper()}, {result.better} is better"
    return Table(f"paired-{result.metric}", title, headings, [to_row(row, headings) for row in rows])


def to_row(row: dict[str, Any], names: dict[str, Heading]) -> dict[str, Cell]:
    told = {name: row.get(name) for name in names}
    told |= {name: (low, high) for name in names if name.endswith("interval") and (bounds := row.get(name))
             for low, high in [bounds]}  # fmt: skip
    return told | {"positions": POSITIONS.get(row["positions"], row["positions"])}


def diversity_sentences(result: Result) -> tuple[str, ...]:
    """How different the samples of a clip are; nothing of one sample."""
    found = result.details.get("diversity")
    if not found:
        return ()
    bounds = f" ({interval_to_text(found['interval'])})" if found["interval"] else ""
    return (
        f"Diversity: {result.metric.upper()} between {result.details['samples']} samples of a clip is "
        f"{number_to_text(found['value'])}{bounds} over generated positions, mean of {found['pairs']} pairs a clip; "
        f"{found['more_diverse']} is more diverse. The best of several samples means little without it.",
    )
