"""Results as a person reads them on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latte_eval.core.numbers import interval_to_text, number_to_text
from latte_eval.core.result import Result
from latte_eval.sampler.pipeline_options import options_in_words


def results_to_text(results: Sequence[Result]) -> str:
    """One block per result; what they share, such as clips and protocol, is said once, at the end."""
    blocks = ["\n".join(value_lines(result)) for result in results]
    return "\n\n".join([*blocks, "\n".join(shared_lines(results))])


def value_lines(result: Result) -> list[str]:
    """The value, how sure it is, and what is noise."""
    lines = [f"{result.metric.upper():<9} {number_to_text(result.value)}{interval_text(result.interval)}"]
    if "table" in result.details:
        lines = demo_lines(result)
    if "paired" in result.details:
        lines += paired_lines(result.details["paired"])
    if "diversity" in result.details:
        lines.append(diversity_line(result))
    for parts in ("splits", "subsets"):
        if parts in result.details and "std" in result.details:
            lines[0] += f"   ± {number_to_text(result.details['std'])} over {result.details[parts]} {parts}"
    if "no_interval" in result.details:
        lines.append(f"interval  none: {result.details['no_interval']}")
    if result.corrected:
        lines.append(corrected_line(result.corrected))
    if result.floor:
        halves = " against ".join(f"{rows:,}" for rows in result.floor["rows"])
        lines.append(f"floor     {number_to_text(result.floor['value'])}: the real side against itself, {halves}")
    return [*lines, f"detector  {detector_text(result)}"]


def demo_lines(result: Result) -> list[str]:
    """The table of the embedded benchmark."""
    rows = result.details["table"]
    width = max(len(row["row"]) for row in rows)
    head = f"{'':<{width}}  {'FVD (demo)':>12}   95 % interval"
    lines = [f"{row['row']:<{width}}  {number_to_text(row['fvd']):>12}   {bounds(row['interval'])}" for row in rows]
    return [head, *lines]


def paired_lines(table: Sequence[dict[str, Any]]) -> list[str]:
    """A paired metric over generated positions and whole frames, of the model and of its anchors."""
    names = {"generated": "generated positions", "whole": "whole frames"}
    width = max(len(row["shown"]) for row in table)
    heads = [f"  {row['shown']:<{width}}  {names[row['positions']]:<19}" for row in table]
    values = [f"  {number_to_text(row['value'])}{interval_text(row['interval'])}" for row in table]
    best = [f"   best {number_to_text(row['best'])}{interval_text(row['best_interval'])}" if "best" in row else ""
            for row in table]  # fmt: skip
    return ["".join(parts) for parts in zip(heads, values, best, strict=True)]


def diversity_line(result: Result) -> str:
    """How different the samples of a clip are."""
    found, samples = result.details["diversity"], result.details["samples"]
    said = f"between {samples} samples of a clip; {found['more_diverse']} is more diverse"
    return f"diversity {number_to_text(found['value'])}{interval_text(found['interval'])}   {said}"


def corrected_line(corrected: dict[str, Any]) -> str:
    """The value without bias, or why there is none."""
    if "unidentified" in corrected:
        return f"corrected none: {corrected['unidentified']}"
    extra = corrected.get("systematic")
    systematic = f", systematic {number_to_text(extra)}" if extra is not None else ""
    return f"corrected {number_to_text(corrected['value'])}{interval_text(corrected['interval'])}{systematic}"


def detector_text(result: Result) -> str:
    parts = [result.detector["name"]]
    if result.detector.get("used") == "archive":
        parts.append("published archive")
    if result.note:
        parts.append(result.note)
    return "; ".join(parts)


def shared_lines(results: Sequence[Result]) -> list[str]:
    """What all results of one command have in common."""
    first = results[0]
    seeds = f", seeds {first.seeds[0]}-{first.seeds[1]}" if first.seeds else ""
    lines = [f"fake      {first.fake:,} clips of {first.fake_source['name']}{seeds}{rejected_text(first.fake_source)}"]
    real = next((result for result in results if result.real_source), None)
    if real and real.real_source:
        lines.append(f"real      {real.real:,} clips of {real.real_source['name']}{rejected_text(real.real_source)}")
    if first.sampler:
        lines.append(f"sampler   {sampler_text(first.sampler)}")
    if kept := first.fake_source.get("counted_frames"):
        frames = first.protocol_fields["frames"]
        lines.append(f"counted   {len(kept)} of {frames} frames of a clip: those that are generated")
    lines.append(f"protocol  {first.protocol}")
    return [*lines, f"seconds   {first.seconds:.0f}"]


def sampler_text(sampler: dict[str, Any]) -> str:
    """`ddim, 50 steps, guidance 1.0, clipped x0, fp32, codec identity`"""
    clipped = ", clipped x0" if sampler["clip_x0"] else ""
    task = f", task {sampler['task']}" if "task" in sampler else ""
    told = "".join(f", {each}" for each in options_in_words(sampler))
    return (f"{sampler['method']}, {sampler['steps']} steps, guidance {sampler['guidance_scale']:g}{clipped}, "
            f"{sampler['dtype']}, codec {sampler['codec']}{task}{told}")  # fmt: skip


def rejected_text(source: dict[str, Any]) -> str:
    return f" ({source['rejected']} files left out)" if source["rejected"] else ""


def interval_text(interval: Sequence[float] | None) -> str:
    return f"   95 % interval {bounds(interval)}" if interval else ""


def bounds(interval: Sequence[float] | None) -> str:
    return interval_to_text(interval) if interval else ""
