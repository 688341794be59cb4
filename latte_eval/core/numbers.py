"""A number on screen: the one rule for terminals, tables, verdicts and pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

PREFIXES = ("", "k", "M", "G", "T", "P", "E")

# From here on three digits are 1.00.
READS_AS_ONE = 0.9995


def number_to_text(value: float) -> str:
    """Two decimals from 1 on, as papers print them; three significant digits below 1 and from 10,000,000 on.

    So no number but 0 reads as 0, whatever the metric: a KID of 0.00412 is worth as many digits as an FVD of 41.20.
    """
    return format(value, ".3g" if 0 < abs(value) < READS_AS_ONE else spec_for([value]))


def signed_to_text(value: float) -> str:
    """The same with its sign, as differences have it: `+0.00412`."""
    return f"+{number_to_text(value)}" if value >= 0 else number_to_text(value)


def interval_to_text(interval: Sequence[float]) -> str:
    """`290.00 to 310.00`"""
    low, high = interval
    return f"{number_to_text(low)} to {number_to_text(high)}"


def counts_to_text(counts: Iterable[int]) -> str:
    """`8`, or `8 to 11` where they are not all one number."""
    low, *more = sorted(set(counts))
    return f"{low:,} to {more[-1]:,}" if more else f"{low:,}"


def spec_for(values: Iterable[float | None]) -> str:
    """How the floats of one column are written: the decimals that the largest of them needs."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    if largest >= 1e7 or 0 < largest < 1e-5:
        return ".3g"
    decimals = 2 if largest >= READS_AS_ONE or largest == 0 else 2 - math.floor(math.log10(largest))
    return f",.{decimals}f"


def share_to_text(share: float) -> str:
    """A share in percent; a whole number from 10 % on."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.2g} %"


def seconds_to_text(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3 h 20 min`, `8 days 5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24:,} days {hours % 24} h"


def large_to_text(value: float) -> str:
    """Three digits and the prefix of a unit: `3.79 T`, `421 M`."""
    value = float(f"{value:.3g}")
    power = min(max(0, math.floor(math.log10(max(value, 1))) // 3), len(PREFIXES) - 1)
    return f"{value / 1000**power:.3g} {PREFIXES[power]}"
