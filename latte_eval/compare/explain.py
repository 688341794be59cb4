"""Why two numbers differ: the fields in which two results differ, and which of them can be changed and re-measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latte_eval.baselines.published import reports
from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.compare.lineup import show
from latte_eval.core.errors import NotComparable
from latte_eval.core.protocol import STORAGE_STEPS, Protocol
from latte_eval.core.registry import check_name
from latte_eval.core.result import Result

# Real and fake choices that need no new sampling. Those of both sides need the fake clips themselves.
REAL_FIELDS = ("real_split", "real_selection", "real_clips", "real_offset", "real_stride", "real_storage")
FAKE_FIELDS = ("fake_stride", "fake_storage")
BOTH_FIELDS = ("frames", "windows", "crop", "resample", "size")
STEP_NAMES = {"jpeg75": "JPEG", "h264-crf5": "mp4"}


@dataclass(frozen=True)
class Difference:
    """A field in which two results differ.

    Attributes:
        part: `protocol`, `counts`, `data`, `detector`, `checkpoint`, `sampler` or `code`.
        field: its name.
        values: of the first and the second result.
    """

    part: str
    field: str
    values: tuple[Any, Any]


def differences(first: Result, second: Result) -> list[Difference]:
    """Every field that may explain a difference, the most telling parts first."""
    return list(differing(parts_of(first), parts_of(second), same_protocol(first, second)))


def same_protocol(first: Result, second: Result) -> bool:
    return first.protocol_sha256 == second.protocol_sha256


def parts_of(result: Result) -> dict[str, dict[str, Any]]:
    """The record of a result by part; a part that a result does not have is empty."""
    counts = {"fake clips": result.fake, "real clips": result.real, "clip indices": result.seeds}
    sides = {"real": result.real_source or {}, "fake": result.fake_source if result.checkpoint is None else {}}
    return {
        "protocol": {key: value for key, value in result.protocol_fields.items() if key != "stem"},
        "counts": counts,
        "data": {f"{side} {key}": value for side, record in sides.items() for key, value in record.items()},
        "detector": result.detector,
        "checkpoint": result.checkpoint or {},
        "sampler": result.sampler or {},
        "code": {**result.code, **result.env},
    }


def differing(
    first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]], protocols_equal: bool
) -> Iterator[Difference]:
    for part in first:
        for field in dict.fromkeys([*first[part], *second[part]]):
            values = first[part].get(field), second[part].get(field)
            # A fingerprint holds the protocol: under two of them it says nothing about the files.
            if values[0] != values[1] and (protocols_equal or not field.endswith("fingerprint")):
                yield Difference(part, field, values)


def pair_results(
    first: Sequence[Result], second: Sequence[Result], metric: str | None = None
) -> list[tuple[Result, Result]]:
    """The newest result of every metric that both have, of `metric` alone where it is given.

    Raises:
        UsageError: neither has `metric`.
        NotComparable: they have no metric in common.
    """
    newest = [{result.metric: result for result in results} for results in (first, second)]
    if metric is not None:
        check_name("metric in the results", metric, dict.fromkeys([*newest[0], *newest[1]]))
    common = [name for name in newest[0] if name in newest[1] and metric in (None, name)]
    if not common:
        there = [", ".join(each) for each in newest]
        raise NotComparable(f"the first has {there[0]}, the second {there[1]}: there is no metric in both")
    return [(newest[0][name], newest[1][name]) for name in common]


def difference_table(first: Result, second: Result) -> Table:
    """What differs between two results, with what others have reported of such differences."""
    headings = {key: Heading(key) for key in ("part", "field", "first", "second")}
    rows: list[dict[str, Cell]] = [
        {"part": each.part, "field": each.field, "first": short(each.values[0]), "second": short(each.values[1])}
        for each in differences(first, second)
    ]
    change = second.value - first.value
    title = f"{first.metric.upper()} {first.value:.2f} and {second.value:.2f}: a difference of {change:+.2f}"
    return Table("explain", title, headings, rows, explain_notes(first, second, bool(rows)))


def short(value: Any) -> str:
    """A value as a person reads it; hashes by their first digits."""
    text = show(value)
    return text[:12] if len(text) >= 40 and all(c in "0123456789abcdef" for c in text) else text


def explain_notes(first: Result, second: Result, any_rows: bool) -> list[str]:
    """Whether the intervals leave anything to explain, and public reports on the same dataset."""
    notes = [] if any_rows else ["Every recorded field is the same."]
    if first.interval and second.interval:
        apart = first.interval[0] > second.interval[1] or second.interval[0] > first.interval[1]
        notes.append(f"Their 95 % intervals {'lie apart' if apart else 'overlap: noise alone may explain it'}.")
    for report in reports("reruns", first.protocol_fields["benchmark"], first.metric):
        notes.append(f"Reported by others: {report}.")
    return notes


@dataclass(frozen=True)
class Choice:
    """One choice of a protocol that can be changed without new sampling.

    Attributes:
        name: for people, such as `real_stride` or `real JPEG`.
        field: of `Protocol`.
        values: under the first and the second protocol.
        step: the storage step that is added or left out, where the field is a list of them.
    """

    name: str
    field: str
    values: tuple[Any, Any]
    step: str | None = None

    def apply(self, protocol: Protocol) -> Protocol:
        """A protocol with this choice as the second one has it."""
        if self.step is None:
            return protocol.replace(**{self.field: self.values[1]})
        steps = set(getattr(protocol, self.field)) ^ {self.step}
        return protocol.replace(**{self.field: tuple(step for step in STORAGE_STEPS if step in steps)})


def changeable(first: Protocol, second: Protocol, fakes_can_be_read: bool) -> list[Choice]:
    """The differing choices that need no new sampling; those of the fake side only where its clips are there."""
    fields = [*REAL_FIELDS, "fake_clips", *BOTH_FIELDS, *(FAKE_FIELDS if fakes_can_be_read else ())]
    if not fakes_can_be_read:
        fields.remove("frames")
    differing = first.differing_fields(second)
    return [choice for field in fields if field in differing for choice in choices_of(field, first, second)]


def choices_of(field: str, first: Protocol, second: Protocol) -> Iterator[Choice]:
    """The choices within one differing field: storage goes step by step."""
    values = getattr(first, field), getattr(second, field)
    if not field.endswith("_storage"):
        yield Choice(field, field, values)
        return
    for step in STORAGE_STEPS:
        if (step in values[0]) != (step in values[1]):
            words = ("yes", "no") if step in values[0] else ("no", "yes")
            yield Choice(f"{field.partition('_')[0]} {STEP_NAMES[step]}", field, words, step)


def unchangeable(first: Result, second: Result, measured: Collection[str]) -> list[Difference]:
    """What differs, may move the number, and is not among the measured fields of the protocol."""
    silent = ("code", "data", "counts")
    return [
        each
        for each in differences(first, second)
        if each.part not in silent and not (each.part == "protocol" and each.field in measured)
    ]
