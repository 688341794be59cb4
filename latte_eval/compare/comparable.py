"""May these two numbers stand beside each other? The one rule, which every room asks.

What was done to get a number is a set of conditions: parts (`protocol`, `detector`, ...) of named fields. A result
knows all of its conditions; a request, a file of statistics and a published row know some. Every field that both know
and that differs is a `Difference`, with its weight and the reason for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from latte_eval.benchmarks.dataset import Dataset
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result

# `decides`: numbers do not compare; `care`: they do, and a reader must know; `free`: it moves no number by itself.
Weight = Literal["decides", "care", "free"]
Rule = tuple[Weight, str]

# Fields of a protocol that say nothing about the real side.
FAKE_ONLY = ("stem", "fake_clips", "fake_stride", "fake_storage", "labels")

PROTOCOL_REASONS = {
    "benchmark": "other data",
    "frames": "clips of another length are other clips",
    "size": "frames of another size lose other details",
    "real_stride": "real clips move faster or slower",
    "fake_stride": "generated clips move faster or slower",
    "real_split": "other real videos",
    "real_selection": "other real videos",
    "real_clips": "a distance depends on the number of clips",
    "fake_clips": "a distance depends on the number of clips",
    "windows": "clips of one video are not independent",
    "real_offset": "other parts of the real videos",
    "crop": "another part of the frames is seen",
    "resample": "frames are sharper or softer",
    "real_storage": "lossy storage leaves traces that a detector sees",
    "fake_storage": "lossy storage leaves traces that a detector sees",
    "labels": "classes come in other numbers",
}
DECODER = "versions of the video decoder differ in pixels of some files, most with ten bits"
COUNT = "a distance depends on the number of clips"
SUBJECT = "it is what is compared"

# (part, field) -> rule; `*` is for the other fields of a part.
RULES: dict[tuple[str, str], Rule] = {
    **{("protocol", field): ("decides", reason) for field, reason in PROTOCOL_REASONS.items()},
    ("protocol", "*"): ("decides", "every field of a protocol changes the number"),
    ("counts", "fake clips"): ("decides", COUNT),
    ("counts", "real clips"): ("decides", COUNT),
    ("counts", "clip indices"): ("free", "other clips of the same model"),
    ("data", "real fingerprint"): ("decides", "other real clips"),
    **{("data", f"{side} decoder"): ("free", DECODER) for side in ("real", "fake")},
    ("data", "*"): ("free", "the fingerprint of the real clips decides, and the fake ones are what is compared"),
    ("detector", "name"): ("decides", "another network"),
    ("detector", "sha256"): ("decides", "other weights"),
    ("detector", "comparable"): ("decides", "published numbers were measured with the published weights"),
    ("detector", "*"): ("free", "the native network answers only where it agrees with the archive"),
    ("checkpoint", "frames"): ("decides", "clips of another length are other clips"),
    ("checkpoint", "size"): ("decides", "frames of another size lose other details"),
    ("checkpoint", "*"): ("free", SUBJECT),
    ("sampler", "seed"): ("free", "other clips of the same model: they are compared without pairs"),
    ("sampler", "*"): ("decides", "the same weights give other clips"),
    ("code", "av"): ("free", DECODER),
    ("code", "*"): ("free", "versions and machines agree to rounding"),
}
NOT_SAMPLED: Rule = ("free", "one of the two was not sampled here")
# The paper and its code say how published checkpoints are sampled, not how those of other rows were.
PUBLISHED_SAMPLER: Rule = ("care", "the published row was sampled in another way")


@dataclass(frozen=True)
class Conditions:
    """What was done to get a number, as far as it is known.

    Attributes:
        parts: part -> field -> value, in JSON types; a field that is not known is absent.
        complete: whether everything is known, so that an absent field is one that does not apply.
        published: whether it stands for a published row.
    """

    parts: Mapping[str, Mapping[str, Any]]
    complete: bool = False
    published: bool = False


@dataclass(frozen=True)
class Difference:
    """A field in which two sets of conditions differ.

    Attributes:
        part: `protocol`, `counts`, `data`, `detector`, `checkpoint`, `sampler` or `code`.
        field: its name.
        values: of the first and the second.
        weight: `decides`, `care` or `free`.
        reason: why it matters, or why it does not.
        detector: name of the first one's detector.
    """

    part: str
    field: str
    values: tuple[Any, Any]
    weight: Weight
    reason: str
    detector: str = ""

    @property
    def label(self) -> str:
        """The field as a person reads it: `real_stride`, `real data`, `detector sha256`."""
        if self.part in ("protocol", "counts"):
            return self.field
        return "real data" if (self.part, self.field) == ("data", "real fingerprint") else f"{self.part} {self.field}"

    def sentence(self, joint: str = "not") -> str:
        """`real_stride is 3, not 6`; `joint` stands before the second value."""
        if self.field == "comparable":
            return f"detector {self.detector} is not the published one"
        first, second = map(value_to_text, self.values)
        if self.part == "counts" and all(isinstance(value, int) for value in self.values):
            return f"{self.values[0]:,} {self.field}, {joint} {self.values[1]:,}"
        return f"{self.label} is {first}, {joint} {second}"


def conditions_of(result: Result) -> Conditions:
    """Everything that a result says about how it was measured."""
    sides = {"real": result.real_source or {}, "fake": result.fake_source if result.checkpoint is None else {}}
    parts = {
        "protocol": protocol_fields(Protocol.from_dict(result.protocol_fields)),
        "counts": {"fake clips": result.fake, "real clips": result.real, "clip indices": result.seeds},
        "data": {f"{side} {key}": value for side, record in sides.items() for key, value in record.items()},
        "detector": result.detector,
        "checkpoint": result.checkpoint or {},
        "sampler": result.sampler or {},
        "code": {**result.code, **result.env},
    }
    return Conditions(parts, complete=True)


def published_conditions(dataset: Dataset) -> Conditions:
    """What is known of the published numbers on a dataset."""
    protocol = dataset.protocol()
    counts = {"fake clips": protocol.fake_clips} if protocol.fake_clips else {}
    parts = {"protocol": protocol_fields(protocol), "counts": counts, "detector": {"comparable": True},
             "sampler": dataset.sampler}  # fmt: skip
    return Conditions(parts, published=True)


def protocol_fields(protocol: Protocol, without: Sequence[str] = ("stem",)) -> dict[str, Any]:
    """The fields that decide: the stem is a name for them."""
    return {name: value for name, value in protocol.to_dict().items() if name not in without}


def differences(first: Result | Conditions, second: Result | Conditions) -> list[Difference]:
    """Every field that differs, the most telling parts first."""
    one, other = (each if isinstance(each, Conditions) else conditions_of(each) for each in (first, second))
    return list(find_differences(one, other))


def find_differences(one: Conditions, other: Conditions) -> Iterator[Difference]:
    detector = str(one.parts.get("detector", {}).get("name", ""))
    for part in (name for name in one.parts if name in other.parts):
        for field in known_fields(one, other, part):
            values = plain(one.parts[part].get(field)), plain(other.parts[part].get(field))
            if values[0] != values[1] and not told_by_protocol(one, other, part, field):
                yield Difference(part, field, values, *rule_for(one, other, part, field), detector)


def known_fields(one: Conditions, other: Conditions, part: str) -> list[str]:
    """Fields that both know; between complete ones, all that either has."""
    first, second = one.parts[part], other.parts[part]
    if one.complete and other.complete:
        return list(dict.fromkeys([*first, *second]))
    return [field for field in first if field in second]


def told_by_protocol(one: Conditions, other: Conditions, part: str, field: str) -> bool:
    """Whether a count differs because the protocols ask for different counts, which is told already."""
    asked = [each.parts.get("protocol", {}).get("fake_clips") for each in (one, other)]
    return (part, field) == ("counts", "fake clips") and other.published and asked[0] != asked[1]


def rule_for(one: Conditions, other: Conditions, part: str, field: str) -> Rule:
    """The weight of a field, and the reason."""
    if part in ("sampler", "checkpoint") and not (one.parts[part] and other.parts[part]):
        return NOT_SAMPLED
    if part == "sampler" and (one.published or other.published):
        return PUBLISHED_SAMPLER
    return RULES.get((part, field)) or RULES[part, "*"]


def decisive(found: Iterable[Difference]) -> list[Difference]:
    """Those because of which two numbers do not compare."""
    return [each for each in found if each.weight == "decides"]


def reasons_against(result: Result, dataset: Dataset) -> list[str]:
    """Why a result cannot stand beside the published rows of its dataset; empty where it can.

    The real side may hold fewer clips than the protocol's upper bound; the fake side may not.
    """
    return [each.sentence() for each in decisive(differences(result, published_conditions(dataset)))]


def line_key(result: Result) -> tuple[str, str, str]:
    """Metric, protocol and detector: what results of one line over time have in common."""
    return result.metric, result.protocol, result.detector["name"]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def value_to_text(value: Any) -> str:
    """A value as a person reads it; hashes by their first digits."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value)) or "none"
    text = "none" if value is None else str(value)
    return text[:12] if len(text) >= 40 and all(c in "0123456789abcdef" for c in text) else text
