"""Results as a notebook shows them: a few lines of HTML and a small drawing, in the colours of the page around them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from latte_eval.core.numbers import interval_to_text, number_to_text, signed_to_text
from latte_eval.core.result import Result

# Pixels of the drawing.
WIDTH, HEIGHT = 224, 34

# No colours of its own: text and bars are those of the page, whether light or dark.
BOX = "font-variant-numeric: tabular-nums; line-height: 1.5; margin: 0.3em 0"
QUIET = "opacity: 0.75; font-size: 0.9em; overflow-wrap: anywhere"


class Results(list[Result]):
    """The results of one evaluation: a list that a notebook shows as one block for each."""

    def _repr_html_(self) -> str:
        return "".join(result_to_html(result) for result in self)


def result_to_html(result: Result) -> str:
    """Value, interval, protocol and counts of a result, and what each part of its clips does to the value."""
    interval = f" 95 % interval {interval_to_text(result.interval)}" if result.interval else ""
    head = f"<strong>{printed(result.metric.upper())} {number_to_text(result.value)}</strong>{interval}"
    arrow = {"lower": "lower is better", "higher": "higher is better"}[result.better]
    lines = [counts_text(result), f"{result.protocol}; {result.detector['name']}; {arrow}"]
    lines += [corrected] if (corrected := corrected_text(result.corrected)) else []
    lines += [f"floor {number_to_text(result.floor['value'])}: the real side against itself"] if result.floor else []
    lines += [result.note] if result.note else []
    quiet = "".join(f"<div style='{QUIET}'>{printed(line)}</div>" for line in lines)
    return f"<div style='{BOX}'><div>{head}</div>{sparkline(result)}{quiet}</div>"


def counts_text(result: Result) -> str:
    """`64 fake clips of demo, 64 real clips of shapes`"""
    real = f", {result.real:,} real clips of {result.real_source['name']}" if result.real_source else ""
    source = (result.checkpoint or result.fake_source)["name"]
    return f"{result.fake:,} fake clips of {source}{real}"


def corrected_text(corrected: dict[str, Any] | None) -> str:
    """The value without bias, where there is one."""
    if not corrected or "value" not in corrected:
        return ""
    return f"without bias {number_to_text(corrected['value'])}, {interval_to_text(corrected['interval'])}"


def part_effects(result: Result) -> list[float]:
    """How much each part of the clips raises the value: the mean without a part, less the value without this one.

    Empty where the record holds no values without a part.
    """
    values = result.details.get("without_part") or []
    mean = sum(values) / len(values) if values else 0.0
    return [mean - value for value in values]


def sparkline(result: Result) -> str:
    """The effects of the parts as bars around a line, an `<svg>` element; empty where none are recorded."""
    effects = part_effects(result)
    largest = max((abs(effect) for effect in effects), default=0.0)
    if largest == 0:
        return ""
    low, high = signed_to_text(min(effects)), signed_to_text(max(effects))
    said = f"What each of {len(effects)} parts of the clips adds to the value: {low} to {high}"
    middle = HEIGHT / 2
    rule = f"<path d='M0 {middle}H{WIDTH}' stroke='currentColor' stroke-opacity='0.45' stroke-width='1'/>"
    return (
        f"<svg role='img' aria-label='{said}' width='{WIDTH}' height='{HEIGHT}' viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"style='display: block; margin: 0.2em 0'><title>{said}</title>{rule}{bars(effects, largest)}</svg>"
        f"<div style='{QUIET}'>bars: what each of {len(effects)} parts of the clips adds, {low} to {high}</div>"
    )


def bars(effects: Sequence[float], largest: float) -> str:
    """One bar for each effect, the largest as high as there is room; those that lower the value are paler."""
    step, middle = WIDTH / len(effects), HEIGHT / 2
    drawn = []
    for number, effect in enumerate(effects):
        height = abs(effect) / largest * (middle - 1)
        top = middle - height if effect > 0 else middle
        drawn.append(f"<rect x='{number * step:.2f}' y='{top:.2f}' width='{0.7 * step:.2f}' height='{height:.2f}' "
                     f"fill='currentColor' fill-opacity='{0.85 if effect > 0 else 0.5}'/>")  # fmt: skip
    return "".join(drawn)


def printed(text: str) -> str:
    """A text that a page shows as it is: no tags, and no characters that cannot be seen or turn the text around."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))
