"""A gate's verdict for people and machines: text, JSON, JUnit XML, Markdown, annotations of a GitHub job."""

from __future__ import annotations

import html
import math
from typing import Any
from xml.etree import ElementTree

from latte_eval.core.numbers import number_to_text
from latte_eval.gate.verdict import Judgement, Look, Verdict

SCHEMA = 1  # of the record

MARKS = {"pass": "✅", "regression": "❌", "not comparable": "⛔", "refused": "⛔", "inconclusive": "❔"}


def to_text(verdict: Verdict) -> str:
    """One block per rule, and the verdict at the end."""
    blocks = ["\n".join(judgement_lines(each, verdict)) for each in verdict.judgements]
    new, accepted = verdict.subjects
    end = f"{verdict.verdict.upper()}: {new} against {accepted}. {clips_sentence(verdict)}"
    return "\n\n".join([*blocks, *verdict.about.get("assumed", ()), end])


def judgement_lines(judgement: Judgement, verdict: Verdict) -> list[str]:
    """One rule: both numbers, the contrast, what would have been detectable."""
    head = f"{judgement.rule}  {judgement.verdict}"
    lines = [f"{head:<28}{values_text(judgement)}", *(f"  {text}" for text in sentences(judgement, verdict))]
    return [line.rstrip() for line in lines]


def values_text(judgement: Judgement) -> str:
    if judgement.new is None or judgement.accepted is None:
        return ""
    return f"new {number_to_text(judgement.new)}, accepted {number_to_text(judgement.accepted)}"


def sentences(judgement: Judgement, verdict: Verdict) -> list[str]:
    """Everything that is said about one rule, one sentence each."""
    if not judgement.looks:
        return list(judgement.sentences)
    lines = [*(look_text(look, len(judgement.looks) > 1) for look in judgement.looks), contrast_text(judgement)]
    # The spread beside a checkpoint that is far worse says nothing about an equal one.
    told = judgement.verdict != "regression" and judgement.meaningful
    lines += [detectable_text(judgement, verdict)] if told else []
    return [*lines, *judgement.sentences]


def look_text(look: Look, several: bool) -> str:
    """`1,024 clips: T = 3.1, standard error 1.2, T/se 2.58 against ±2.31`"""
    f = look.finding
    clips = f"{look.clips:,} clips: " if several else ""
    return (f"{clips}T = {number_to_text(f.excess)}, standard error {number_to_text(f.standard_error)}, "
            f"T/se {ratio(f.statistic)} "
            f"(regression above {look.boundary:.2f}, pass below -{look.boundary:.2f})")  # fmt: skip


def ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ("beyond all bounds" if value > 0 else "below all bounds")


def contrast_text(judgement: Judgement) -> str:
    """What T is, and the allowance in units of the metric."""
    rule, found = judgement.rule, judgement.looks[-1].finding
    sign = 1 if rule.sign == "+" else -1
    old = f"{1 + sign * rule.amount / 100:g} x accepted" if rule.relative else f"accepted {rule.sign} {rule.amount:g}"
    difference = f"new - ({old})" if rule.sign == "+" else f"({old}) - new"
    kind = "without bias, clip against clip" if found.paired else "number against number"
    allowance = f"{number_to_text(rule.margin(found.accepted))} of {number_to_text(found.accepted)}"
    return f"T is {difference}, {kind}; allowance {allowance}"


def detectable_text(judgement: Judgement, verdict: Verdict) -> str:
    """Which rule this budget can confirm."""
    rule, budget = judgement.meaningful, judgement.budget
    assert rule is not None
    text = f"{budget:,} clips can confirm {rule} (an equal checkpoint passes 8 times in 10) at {share(verdict)}"
    if judgement.verdict != "refused":
        return text
    return f"{judgement.rule} is tighter than what can be told: {text}; use --fail {rule}, or more --max-clips"


def share(verdict: Verdict) -> str:
    return f"{verdict.confidence * 100:g} % confidence"


def clips_sentence(verdict: Verdict) -> str:
    """How many clips it took and saved."""
    if verdict.clips == verdict.budget:
        return f"{verdict.clips:,} clips."
    return f"{verdict.clips:,} of {verdict.budget:,} clips were needed: {verdict.budget - verdict.clips:,} saved."


def to_record(verdict: Verdict) -> dict[str, Any]:
    """The verdict in JSON types; infinite statistics become null."""
    return {
        "schema": SCHEMA, "verdict": verdict.verdict, "exit_code": int(verdict.exit_code), "new": verdict.subjects[0],
        "accepted": verdict.subjects[1], "clips": verdict.clips, "budget": verdict.budget,
        "saved": verdict.budget - verdict.clips, "confidence": verdict.confidence, **verdict.about,
        "rules": [rule_record(each) for each in verdict.judgements],
    }  # fmt: skip


def rule_record(judgement: Judgement) -> dict[str, Any]:
    found = judgement.looks[-1].finding if judgement.looks else None
    return {
        "rule": str(judgement.rule), "metric": judgement.rule.metric, "verdict": judgement.verdict,
        "new": judgement.new, "accepted": judgement.accepted, "paired": found.paired if found else None,
        "allowance": judgement.rule.margin(found.accepted) if found else None,
        "detectable": detectable(judgement), "meaningful": str(judgement.meaningful) if judgement.meaningful else None,
        "looks": [look_record(look) for look in judgement.looks], "notes": list(judgement.sentences),
    }  # fmt: skip


def detectable(judgement: Judgement) -> float | None:
    """The smallest allowance that the budget can confirm, in units of the metric."""
    tightest = judgement.tightest
    return tightest.margin(judgement.looks[-1].finding.accepted) if tightest else None


def look_record(look: Look) -> dict[str, Any]:
    f = look.finding
    statistic = f.statistic if math.isfinite(f.statistic) else None
    return {"clips": look.clips, "T": f.excess, "standard_error": f.standard_error, "statistic": statistic,
            "boundary": look.boundary, "degrees": f.degrees, "verdict": look.verdict}  # fmt: skip


def to_outputs(verdict: Verdict) -> list[str]:
    """`name=value` lines, as a GitHub step gives them to the steps after it."""
    return [f"verdict={verdict.verdict}", f"clips={verdict.clips}"]


def to_junit(verdict: Verdict) -> str:
    """One test case per rule: a regression fails, what could not be judged is an error."""
    counts = [each.verdict for each in verdict.judgements]
    errors = [each for each in counts if each not in ("pass", "regression")]
    suite = ElementTree.Element("testsuite", name="latte-eval gate", tests=str(len(counts)), errors=str(len(errors)),
                                failures=str(counts.count("regression")), skipped="0")  # fmt: skip
    for judgement in verdict.judgements:
        case = ElementTree.SubElement(suite, "testcase", classname="latte-eval.gate", name=str(judgement.rule))
        text = printable("\n".join(judgement_lines(judgement, verdict)))
        if judgement.verdict == "pass":
            ElementTree.SubElement(case, "system-out").text = text
        else:
            kind = "failure" if judgement.verdict == "regression" else "error"
            ElementTree.SubElement(case, kind, message=f"{judgement.rule} {judgement.verdict}").text = text
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def printable(text: str) -> str:
    """Text without the control characters that XML forbids."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def to_markdown(verdict: Verdict) -> str:
    """A summary for the page of a job; names from outside are escaped."""
    new, accepted = (escape(name) for name in verdict.subjects)
    lines = [f"### {MARKS[verdict.verdict]} latte-eval gate: {verdict.verdict}", "",
             f"{new} against {accepted}. {clips_sentence(verdict)}", "",
             "| rule | verdict | new | accepted | T | standard error | can be confirmed |",
             "| --- | --- | --: | --: | --: | --: | --: |",
             *(markdown_row(each) for each in verdict.judgements)]  # fmt: skip
    notes = [f"- {escape(str(each.rule))}: {escape(text)}" for each in verdict.judgements for text in each.sentences]
    notes += [f"- {escape(text)}" for text in verdict.about.get("assumed", ())]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def markdown_row(judgement: Judgement) -> str:
    found = judgement.looks[-1].finding if judgement.looks else None
    cells = [str(judgement.rule), f"{MARKS[judgement.verdict]} {judgement.verdict}",
             *("" if value is None else number_to_text(value) for value in (judgement.new, judgement.accepted)),
             *(map(number_to_text, (found.excess, found.standard_error)) if found else ("", "")),
             str(judgement.meaningful or "")]  # fmt: skip
    return "| " + " | ".join(map(escape, cells)) + " |"


def escape(text: str) -> str:
    """Text on one line, in which neither HTML nor Markdown finds markup."""
    text = html.escape(" ".join(printable(text).split()), quote=False)
    return "".join(f"\\{c}" if c in "\\|`*_[]#" else c for c in text)


def to_annotations(verdict: Verdict) -> str:
    """Workflow commands that GitHub shows beside the job."""
    return "\n".join(annotation(each, verdict) for each in verdict.judgements)


def annotation(judgement: Judgement, verdict: Verdict) -> str:
    level = {"pass": "notice", "inconclusive": "warning"}.get(judgement.verdict, "error")
    text = "\n".join(line.strip() for line in judgement_lines(judgement, verdict))
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(character, code)
    return f"::{level} title=latte-eval gate::{text}"
