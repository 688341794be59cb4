"""The parts of a page that need no features: protocol, published rows, cost, how to measure it again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.features import Features
from latte_eval.core.numbers import seconds_to_text
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.report.headlines import baseline_table
from latte_eval.report.page import Figure, Section, to_page_table
from latte_eval.report.reproduce import ARRAYS, MASK, PROMPTS, reproduce_command
from latte_eval.report.runs import Evaluated
from latte_eval.report.words import detector_in_words, protocol_in_words, sampler_in_words, sides_in_words
from latte_eval.sampler.tasks import BY_MASK

# At most so many of the files that were left out are named.
NAMED_FILES = 20


def protocol_section(evaluated: Evaluated) -> Section:
    """Every choice that changes the number, in plain words, with the hash."""
    first = evaluated.first
    results = list(evaluated.results.values())
    said = [f"Compared: {sides_in_words(max(results, key=lambda result: result.real))}."]
    said += [f"Detector of {r.metric.upper()}: {detector_in_words(r)}." for r in results]
    sampler = sampler_in_words(first.sampler)
    said += [f"Sampled with {sampler}."] if sampler else []
    said += protocol_in_words(Protocol.from_dict(first.protocol_fields))
    return Section(
        "protocol", "How it was measured", (*said, f"Protocol {first.protocol}, sha256 {first.protocol_sha256}.")
    )


def baseline_section(evaluated: Evaluated) -> Section | None:
    """Published rows with the measured one among them."""
    tables = [table for result in evaluated.results.values() if (table := baseline_table(result))]
    if not tables:
        return None
    return Section("baselines", "Beside other numbers", figures=tuple(Figure(None, to_page_table(t)) for t in tables))


def cost_section(evaluated: Evaluated) -> Section:
    """Seconds, processes, hardware and versions."""
    first = max(evaluated.results.values(), key=lambda result: result.seconds)
    return Section("cost", "What it cost", cost_sentences(first), (Figure(None, to_page_table(cost_table(first))),))


def cost_sentences(result: Result) -> tuple[str, ...]:
    world, seconds = int(result.env.get("world") or 1), result.seconds
    device = result.env.get("gpu") or "processor"
    each = f"{seconds * world / max(1, result.fake):.2f}" if result.fake else "–"
    text = (
        f"{seconds_to_text(seconds)} on {world} {device}{'s' if world > 1 else ''}, {each} device seconds a fake clip, "
        "everything included; what was in the run folder already cost nothing."
    )
    return (text,)


def cost_table(result: Result) -> Table:
    """Hardware and versions."""
    code = result.code
    commit = f"{code['commit'][:12]}{' with changes' if code.get('dirty') else ''}" if code.get("commit") else None
    facts = {"started": result.started, "latte-eval": code.get("version"), "commit": commit, **result.env}
    shown = {name: value for name, value in facts.items() if value and name != "arithmetic"}  # it is in the record
    rows: list[dict[str, Cell]] = [{"what": name, "value": str(value)} for name, value in shown.items()]
    return Table("cost", "Hardware and versions", {"what": Heading("What"), "value": Heading("Value")}, rows)


def again_section(evaluated: Evaluated, features: Sequence[Features]) -> Section:
    """One command that measures it again, the files that were left out, and the whole record."""
    results = list(evaluated.results.values())
    sha = (evaluated.first.checkpoint or {}).get("sha256")
    said = [f"The checkpoint is the file with the sha256 {sha}."] if sha else []
    sampler = evaluated.first.sampler or {}
    said += [*codec_sentence(sampler), *prompts_sentence(sampler), *mask_sentence(sampler)]
    said += array_sentences(evaluated.first)
    said += left_out(features)
    record = "\n".join(json.dumps(dataclasses.asdict(r), indent=2, ensure_ascii=False) for r in results)
    return Section("again", "Measure it again", tuple(said), command=reproduce_command(results), record=record)


def prompts_sentence(sampler: dict[str, Any]) -> list[str]:
    """What the file of prompts must hold."""
    sha = sampler.get("prompts_sha256")
    return [f"{PROMPTS} holds the prompts, one a line; joined by newlines their sha256 is {sha}."] if sha else []


def mask_sentence(sampler: dict[str, Any]) -> list[str]:
    """What the file of a mask must hold."""
    sha = sampler.get("mask_sha256") if sampler.get("task") == BY_MASK and not sampler.get("given") else None
    return [f"{MASK} holds the mask; as [T, H, W] of bytes 0 and 1 its sha256 is {sha}."] if sha else []


def array_sentences(result: Result) -> list[str]:
    """What the files must hold that stand for arrays of a Python program."""
    arrays = {name: (getattr(result, side) or {}).get("array") for side, name in ARRAYS.items()}
    return [f"{name} holds the array {array['shape']} uint8 with the sha256 {array['sha256']}, as np.save writes it."
            for name, array in arrays.items() if array]  # fmt: skip


def codec_sentence(sampler: dict[str, Any]) -> list[str]:
    """Which VAE, where it was one with weights."""
    sha = sampler.get("codec_sha256")
    return [f"The VAE is {sampler.get('codec')}, with weights of the sha256 {sha}."] if sha else []


def left_out(features: Sequence[Features]) -> list[str]:
    """Files that could not be used, and why."""
    rejected = list(dict.fromkeys(each for side in features for each in side.rejected))
    said = [f"Left out: {each.path}: {each.reason}." for each in rejected[:NAMED_FILES]]
    more = len(rejected) - NAMED_FILES
    return said + ([f"... and {more:,} more files."] if more > 0 else [])
