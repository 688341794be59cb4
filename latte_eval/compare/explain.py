"""Why two numbers differ: the fields in which two results differ, and which of them can be changed and re-measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latte_eval.baselines.published import reports
from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.compare.comparable import Difference, differences, value_to_text
from latte_eval.compare.other_systems import apart_notes
from latte_eval.core.choices import check_name
from latte_eval.core.errors import NotComparable
from latte_eval.core.numbers import number_to_text, signed_to_text
from latte_eval.core.protocol import STORAGE_STEPS, Protocol
from latte_eval.core.protocols import PROTOCOLS
from latte_eval.core.result import Result

# Real and fake choices that need no new sampling. Those of both sides need the fake clips themselves, but for those
# by which videos are read: clips that were sampled have passed none of these.
REAL_FIELDS = ("real_split", "real_selection", "real_clips", "real_offset", "real_stride", "real_storage")
FAKE_FIELDS = ("fake_stride", "fake_offset", "fake_storage")
BOTH_FIELDS = ("frames", "windows", "crop", "resample", "rounding", "decoder", "size", "skip_frames")
READING_FIELDS = ("windows", "crop", "resample", "rounding", "decoder")
# How features become a distance: no clip is read again.
STATISTIC_FIELDS = ("covariance", "frame_rule")
EXPLAIN_COLUMNS = ("metric", "kind", "part", "field", "first", "second", "weight", "why", "change", "spread")
STEP_NAMES = {"jpeg75": "JPEG", "h264-crf5": "mp4"}


def explaining(first: Result, second: Result) -> list[Difference]:
    """Every field that may explain a difference.

    A fingerprint depends on the protocol too: where the protocols differ, it says nothing about the files.
    """
    found = differences(first, second)
    if first.protocol_sha256 == second.protocol_sha256:
        return found
    return [each for each in found if not each.field.endswith("fingerprint")]


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
    headings = {key: Heading(key) for key in ("part", "field", "first", "second", "weight", "why")}
    rows: list[dict[str, Cell]] = [
        {"part": each.part, "field": each.field, "first": value_to_text(each.values[0]),
         "second": value_to_text(each.values[1]), "weight": each.weight, "why": each.reason}
        for each in explaining(first, second)
    ]  # fmt: skip
    change = second.value - first.value
    values = " and ".join(number_to_text(each.value) for each in (first, second))
    title = f"{first.metric.upper()} {values}: a difference of {signed_to_text(change)}"
    records = [{"metric": first.metric, "kind": "recorded", **row} for row in rows]
    return Table(
        "explain", title, headings, rows, explain_notes(first, second, bool(rows)), {}, EXPLAIN_COLUMNS, records
    )


def explain_notes(first: Result, second: Result, any_rows: bool) -> list[str]:
    """Whether the intervals leave anything to explain, and public reports on the same dataset."""
    notes = [] if any_rows else ["Every recorded field is the same."]
    if first.interval and second.interval:
        apart = first.interval[0] > second.interval[1] or second.interval[0] > first.interval[1]
        notes.append(f"Their 95 % intervals {'lie apart' if apart else 'overlap: noise alone may explain it'}.")
    notes += [f"{stem} is the protocol beside {PROTOCOLS[stem].beside}." for stem in other_stems(first, second)]
    for report in reports("reruns", first.protocol_fields["benchmark"], first.metric):
        notes.append(f"Reported by others: {report}.")
    return [*notes, *apart_notes(first.protocol_fields["benchmark"], first.metric)]


def other_stems(first: Result, second: Result) -> list[str]:
    """The named protocols of two results, where they are two: `latte-eval protocols` tells them apart."""
    stems = [str(each.protocol_fields["stem"]) for each in (first, second)]
    return [stem for stem in stems if stem in PROTOCOLS] if stems[0] != stems[1] else []


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


def changeable(
    first: Protocol, second: Protocol, fakes_can_be_read: bool, fakes_were_sampled: bool = True
) -> list[Choice]:
    """The differing choices that need no new sampling; without the fake clips only those that leave them as they are.

    Args:
        fakes_were_sampled: whether the fake clips came from a checkpoint, not from a folder of videos.
    """
    both = BOTH_FIELDS if fakes_can_be_read else READING_FIELDS if fakes_were_sampled else ()
    fields = [*REAL_FIELDS, "fake_clips", *both, *(FAKE_FIELDS if fakes_can_be_read else ()), *STATISTIC_FIELDS]
    differing = first.differing_fields(second)
    return [choice for field in fields if field in differing for choice in choices_of(field, first, second)]


def choices_of(field: str, first: Protocol, second: Protocol) -> Iterator[Choice]:
    """The choices within one differing field: each storage step is a choice of its own."""
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
    silent = ("code", "arithmetic", "data", "counts")
    return [
        each
        for each in explaining(first, second)
        if each.part not in silent and not (each.part == "protocol" and each.field in measured)
    ]
