"""May these two numbers stand beside each other? The one rule, which every room asks.

What was done to get a number is a set of conditions: parts (`protocol`, `detector`, ...) of named fields. A result
knows all of its conditions; a request, a file of statistics and a published row know some. Every field that both know
and that differs is a `Difference`, with its weight and the reason for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from latte_eval.benchmarks.dataset import WHOLE, Dataset
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result

# `decides`: numbers do not compare; `care`: they do, but a reader must know; `free`: it moves no number by itself.
Weight = Literal["decides", "care", "free"]
Rule = tuple[Weight, str]
Grade = Literal["comparable", "with care", "not comparable"]
# The worst first.
GRADES: dict[Weight, Grade] = {"decides": "not comparable", "care": "with care"}

# Fields of a protocol that say nothing about the real side.
FAKE_ONLY = ("stem", "fake_clips", "fake_stride", "fake_storage", "fake_offset", "labels")

COUNT = "a distance depends on the number of clips"
PROTOCOL_REASONS = {
    "benchmark": "other data",
    "frames": "clips of another length are other clips",
    "size": "frames of another size lose other details",
    "real_stride": "real clips move faster or slower",
    "fake_stride": "generated clips move faster or slower",
    "real_split": "other real videos",
    "real_selection": "other real videos",
    "real_clips": COUNT,
    "fake_clips": COUNT,
    "windows": "clips of one video are not independent",
    "real_offset": "other parts of the real videos",
    "crop": "another part of the frames is seen",
    "resample": "frames are sharper or softer",
    "real_storage": "lossy storage leaves traces that a detector sees",
    "fake_storage": "lossy storage leaves traces that a detector sees",
    "labels": "classes come in other numbers",
    "covariance": "divided by N - 1, covariances are larger: by 0.05 % at 2,048 clips, by more with fewer",
    "fid_resize": "Inception sees frames that were resized in another way",
    "frame_rule": "a distance of frames and one of clips are two distances",
    "fake_offset": "other parts of the generated videos",
    "skip_frames": "frames that were given to a model are alike on both sides: counting them lowers the number",
    "rounding": "single grey levels are lost where bytes are cut off",
    "decoder": "decoders give other frames after a seek, and other pixels of some formats",
    "counted": "frames that were given to a model are alike on both sides: counting them lowers the number",
    "i3d_eps": "every layer of the I3D answers a little differently",
}
DECODER = "versions of the video decoder differ in pixels of some files, most with ten bits"
PARTS = "another part of every clip is given"
SUBJECT = "it is what is compared"

# (part, field) -> rule; `*` is for the other fields of a part.
RULES: dict[tuple[str, str], Rule] = {
    **{("protocol", field): ("decides", reason) for field, reason in PROTOCOL_REASONS.items()},
    ("protocol", "*"): ("decides", "every field of a protocol changes the number"),
    ("metric", "splits"): ("decides", "a score over more splits is lower"),
    ("counts", "fake clips"): ("decides", COUNT),
    ("counts", "real clips"): ("decides", COUNT),
    ("counts", "clip indices"): ("free", "other clips of the same model"),
    ("data", "real fingerprint"): ("decides", "other real clips"),
    **{("data", f"{side} decoder"): ("free", DECODER) for side in ("real", "fake")},
    ("data", "*"): ("free", "the fingerprint of the real clips decides, and the fake ones are what is compared"),
    ("detector", "name"): ("decides", "another network"),
    ("detector", "sha256"): ("decides", "other weights"),
    ("detector", "comparable"): ("decides", "published numbers were measured with the published weights"),
    ("detector", "pinned"): ("free", "the hash itself decides; this says whether one is published"),
    ("detector", "samples"): ("free", "a mean over more samples of every clip has less scatter, not another value"),
    ("detector", "*"): ("free", "the native network answers only where it agrees with the archive"),
    **{("checkpoint", field): ("decides", PROTOCOL_REASONS[field]) for field in ("frames", "size")},
    ("checkpoint", "*"): ("free", SUBJECT),
    ("sampler", "seed"): ("free", "other clips of the same model: they are compared without pairs"),
    **{("sampler", field): ("decides", PARTS) for field in ("task", "given", "mask_rule", "mask_sha256")},
    ("sampler", "conditions"): ("decides", "parts of other real clips are given"),
    ("sampler", "conditions_of"): ("free", "the fingerprint of these clips decides"),
    ("sampler", "codec_dtype"): ("free", "it follows from the dtype, which decides, and from the device"),
    ("sampler", "*"): ("decides", "the same weights give other clips"),
    ("code", "av"): ("free", DECODER),
    ("code", "*"): ("free", "versions and machines agree to rounding"),
    ("arithmetic", "*"): ("free", "switches of the process agree to rounding; the dtypes decide"),
}
NOT_SAMPLED: Rule = ("free", "one of the two was not sampled here")
# The paper and its code say how published checkpoints are sampled, not how those of other rows were.
PUBLISHED_SAMPLER: Rule = ("care", "the published row was sampled in another way")
PUBLISHED_CODEC = "the published VAE"
# Counts, and the fields of the protocol that ask for them.
COUNTED_BY = {"fake clips": "fake_clips", "real clips": "real_clips"}
# What stands in for a VAE in trial runs, and in models of pixels.
OTHER_CODECS = ("vae-seeded", "identity")
NO_VAE: Rule = ("decides", "frames come from another decoder than the published one")
# What clips are made from beside noise, by its field of the sampler: nothing in a published row.
ORIGINS: dict[str, Rule] = {
    "task": ("decides", "published clips are made from noise, these from parts of real ones"),
    "prompts_sha256": ("decides", "published clips are made from noise, these from prompts"),
}
REMNANT: Rule = ("decides", "clips of the benchmark are missing")
DAMAGED: Rule = ("care", "a few clips of the benchmark are missing")
UNPINNED: Rule = ("care", "no hash of these weights is published: they were taken as they are")
UNCOUNTED: Rule = ("care", "no count of the benchmark's clips is published: nobody can tell whether they are all here")


@dataclass(frozen=True)
class Conditions:
    """What was done to get a number, as far as it is known.

    Attributes:
        parts: part -> field -> value, in JSON types; a field that is not known is absent.
        complete: whether everything is known, so that an absent field is one that does not apply.
        published: whether it stands for a published row; only the second of two does.
        counted: whether it is known how many real clips a published row had.
    """

    parts: Mapping[str, Mapping[str, Any]]
    complete: bool = False
    published: bool = False
    counted: bool = True


@dataclass(frozen=True)
class Difference:
    """A field in which two sets of conditions differ.

    Attributes:
        part: `protocol`, `counts`, `data`, `detector`, `checkpoint`, `sampler`, `code` or `arithmetic`.
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


@dataclass(frozen=True)
class Standing:
    """How two numbers stand to each other.

    Attributes:
        grade: `comparable`, `with care` or `not comparable`.
        reasons: for a grade other than the first; those of the worst alone.
    """

    grade: Grade
    reasons: tuple[str, ...] = ()

    @property
    def compares(self) -> bool:
        """Whether they may stand beside each other, with care or without."""
        return self.grade != "not comparable"


def conditions_of(result: Result) -> Conditions:
    """Everything that a result says about how it was measured."""
    sides = {"real": result.real_source or {}, "fake": result.fake_source if result.checkpoint is None else {}}
    parts = {
        "protocol": protocol_fields(protocol_of(result)),
        "metric": {"splits": result.details["splits"]} if "splits" in result.details else {},
        "counts": {"fake clips": result.fake, "real clips": result.real, "clip indices": result.seeds},
        "data": {f"{side} {key}": value for side, record in sides.items() for key, value in record.items()},
        "detector": result.detector,
        "checkpoint": result.checkpoint or {},
        "sampler": result.sampler or {},
        "code": {**result.code, **{name: value for name, value in result.env.items() if name != "arithmetic"}},
        **arithmetic_part(result.env),
    }
    return Conditions(parts, complete=True)


def arithmetic_part(env: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What numbers were computed with, one field each; nothing where an earlier version wrote the result."""
    fields = env.get("arithmetic")
    if not isinstance(fields, dict):
        return {}
    process = fields.get("process")
    named = {f"process {name}": value for name, value in process.items()} if isinstance(process, dict) else {}
    return {"arithmetic": {**{name: value for name, value in fields.items() if name != "process"}, **named}}


def published_conditions(dataset: Dataset) -> Conditions:
    """What is known of the published numbers on a dataset: they used every real clip up to the protocol's count."""
    protocol = dataset.protocol()
    expected = dataset.expected.get(protocol.real_split)
    most = [count for count in (protocol.real_clips, expected) if count]
    counts = {"fake clips": protocol.fake_clips, "real clips": min(most, default=None)}
    parts = {"protocol": protocol_fields(protocol), "counts": {key: value for key, value in counts.items() if value},
             "detector": {"comparable": True, "pinned": True},
             "checkpoint": {"frames": protocol.frames, "size": protocol.size},
             "sampler": {**dataset.sampler, "codec": PUBLISHED_CODEC, **dict.fromkeys(ORIGINS)}}  # fmt: skip
    return Conditions(parts, published=True, counted=expected is not None)


def protocol_fields(protocol: Protocol, without: Sequence[str] = ("stem",)) -> dict[str, Any]:
    """The fields that decide; the stem, which only names them, is left out."""
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
            if values[0] != values[1] and not is_silent(one, other, part, field):
                yield Difference(part, field, values, *rule_for(one, other, part, field), detector)


def known_fields(one: Conditions, other: Conditions, part: str) -> list[str]:
    """Fields that both know; between complete ones, all that either has."""
    first, second = one.parts[part], other.parts[part]
    if one.complete and other.complete:
        return list(dict.fromkeys([*first, *second]))
    return [field for field in first if field in second]


def is_silent(one: Conditions, other: Conditions, part: str, field: str) -> bool:
    """Whether a difference says nothing: the protocols tell it already, or a published row allows it."""
    if not other.published:
        return False
    if part == "counts" and field in COUNTED_BY and asked(one, field) != asked(other, field):
        return True
    value, published = one.parts[part].get(field), other.parts[part].get(field)
    if (part, field) == ("counts", "real clips") and value is not None and published is not None:
        return bool(value == 0 or value >= published)  # no real side, or all that the published row can have had
    return (part, field) == ("sampler", "codec") and value not in OTHER_CODECS


def asked(conditions: Conditions, count: str) -> Any:
    """How many clips the protocol asks for, as far as it is known."""
    return conditions.parts.get("protocol", {}).get(COUNTED_BY[count])


def rule_for(one: Conditions, other: Conditions, part: str, field: str) -> Rule:
    """The weight of a field, and the reason."""
    if part in ("sampler", "checkpoint") and not (one.parts[part] and other.parts[part]):
        return NOT_SAMPLED
    if other.published and (part, field) == ("counts", "real clips"):
        return coverage_rule(one.parts[part][field] / other.parts[part][field], other.counted)
    if other.published and (part, field) == ("detector", "pinned"):
        return UNPINNED
    if part == "sampler" and other.published and field in ORIGINS:
        return ORIGINS[field]
    if part == "sampler" and other.published:
        return NO_VAE if field == "codec" else PUBLISHED_SAMPLER
    return RULES.get((part, field)) or RULES[part, "*"]


def coverage_rule(share: float, counted: bool) -> Rule:
    """What follows when only this share of the real clips of a published row is here."""
    if not counted:
        return UNCOUNTED
    return DAMAGED if share >= WHOLE else REMNANT


def decisive(found: Iterable[Difference]) -> list[Difference]:
    """The differences because of which two numbers do not compare."""
    return [each for each in found if each.weight == "decides"]


def standing(found: Iterable[Difference]) -> Standing:
    """The grade of what differs, each reason with its field."""
    found = list(found)
    for weight, grade in GRADES.items():
        if telling := [each for each in found if each.weight == weight]:
            return Standing(grade, tuple(each.sentence() for each in telling))
    return Standing("comparable")


def beside_published(result: Result, dataset: Dataset) -> Standing:
    """Whether a result may stand beside the published rows of its dataset.

    The real side may lack a few damaged clips of the benchmark; the fake side has exactly the published count.
    """
    return standing(differences(result, published_conditions(dataset)))


def line_key(result: Result) -> tuple[str, str, str]:
    """Metric, protocol and detector: what results of one line over time have in common."""
    return result.metric, protocol_of(result).id, result.detector["name"]


def protocol_of(result: Result) -> Protocol:
    """The protocol of a result in the words of this version, whichever version wrote it."""
    return text_to_protocol(json.dumps(result.protocol_fields))


@lru_cache(maxsize=1024)
def text_to_protocol(text: str) -> Protocol:
    """Thousands of results have few protocols, and each is asked for many times."""
    return Protocol.from_dict(json.loads(text))


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def value_to_text(value: Any) -> str:
    """A value as a person reads it; hashes by their first digits."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value)) or "none"
    text = "none" if value is None else str(value)
    return text[:12] if len(text) >= 40 and all(c in "0123456789abcdef" for c in text) else text
