"""`metrics`: every metric, what it sees, which direction is better, its detector, what it was checked with."""

from __future__ import annotations

import json
from typing import Any

import click

from latte_eval.files.weights import WEIGHTS, weights_state
from latte_eval.metrics.detectors.base import DETECTORS, detector_of_family
from latte_eval.metrics.metric import Metric
from latte_eval.metrics.rows import METRICS, TOGETHER


@click.command(epilog="Example: latte-eval metrics")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a metric.")
def metrics(as_json: bool) -> None:
    """Every metric: what it sees, direction, detector, licence of the weights, golden, cost."""
    for row in METRICS.rows():
        about = metric_to_record(row)
        click.echo(json.dumps(about, ensure_ascii=False) if as_json else record_to_text(about))
    if not as_json:
        for name, several in TOGETHER.items():
            click.echo(f"{name}: {', '.join(several)} together")


def metric_to_record(row: Metric) -> dict[str, Any]:
    """What there is to know of a metric, in JSON types."""
    name = detector_of_family(row.families[0], seeded=False)
    weights = WEIGHTS[DETECTORS[name].weights] if DETECTORS[name].weights else None
    others = [each for each in DETECTORS if DETECTORS[each].family in row.families and each != name]
    return {
        "metric": row.name, "title": row.title, "sees": row.sees, "better": row.better, "detector": name,
        "other_detectors": others, "needs_real": row.needs_real, "cost": DETECTORS[name].cost,
        "licence": weights.licence if weights else "", "weights": weights.name if weights else "",
        "weights_state": weights_state(weights) if weights else "", "golden": row.golden,
    }  # fmt: skip


def record_to_text(about: dict[str, Any]) -> str:
    """A block of lines; what is not known is left out."""
    real = "" if about["needs_real"] else "; needs no real clips"
    lines = {
        "sees": about["sees"],
        "detector": ", ".join([about["detector"], *(f"or {each}" for each in about["other_detectors"])]),
        "weights": f"{about['weights']} ({about['weights_state']}), {about['licence']}" if about["weights"] else "",
        "golden": about["golden"],
        "cost": f"about {about['cost']} a clip of 16 frames" if about["cost"] else "",
    }
    head = f"{about['metric']}: {about['title']}; {about['better']} is better{real}"
    return "\n".join([head, *(f"  {name:<9}{text}" for name, text in lines.items() if text)])
