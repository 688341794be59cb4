"""The command that measures a result again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from latte_eval.protocol import Protocol
from latte_eval.request import Request
from latte_eval.result import Result

# Options of the sampler as a result records them, and as they are typed.
SAMPLER = {
    "method": "--sampler",
    "steps": "--steps",
    "guidance_scale": "--guidance-scale",
    "eta": "--eta",
    "dtype": "--dtype",
}
PLAIN = {"eta": 0.0, "dtype": "fp32"}


def reproduce_command(results: Sequence[Result]) -> str:
    """One line for a shell that measures the same metrics on the same clips."""
    return shlex.join(["latte-eval", *reproduce_arguments(results)])


def reproduce_arguments(results: Sequence[Result]) -> list[str]:
    """The words of that command after `latte-eval`."""
    first, metrics = results[0], list(dict.fromkeys(result.metric for result in results))
    words = (
        [metrics[0]]
        if metrics[0] in ("fvd", "fid", "is") and len(metrics) == 1
        else ["evaluate", "--metrics", ",".join(metrics)]
    )
    words += subject_words(first)
    if is_demo(first):
        words += detector_words(results, demo=True)
    else:
        words += [*real_words(results), *detector_words(results, demo=False)]
    return [*words, *protocol_words(first), *sampler_words(first)]


def is_demo(result: Result) -> bool:
    return (
        bool(result.checkpoint)
        and (result.checkpoint or {})["name"] in ("demo", "demo-early")
        and (result.protocol_fields["benchmark"] == "shapes")
    )


def subject_words(result: Result) -> list[str]:
    """`--ckpt X`, or the folder."""
    if result.checkpoint:
        return ["--ckpt", str(result.checkpoint["name"])]
    return ["--fake", str(result.fake_source["name"])]


def real_words(results: Sequence[Result]) -> list[str]:
    """`--benchmark B --real DIR`; the embedded benchmark has no folder."""
    benchmark = results[0].protocol_fields["benchmark"]
    words = [] if benchmark == "none" else ["--benchmark", benchmark]
    names = [result.real_source["name"] for result in results if result.real_source]
    return words + (["--real", str(names[0])] if names and benchmark != "shapes" else [])


def detector_words(results: Sequence[Result], demo: bool) -> list[str]:
    """`--detector NAME` for each that is not the default."""
    metrics = tuple(dict.fromkeys(result.metric for result in results))
    usual = Request(metrics=metrics, ckpt="demo" if demo else "x")
    names = {r.detector["name"] for r in results if r.detector["name"] != usual.detector_for(r.metric)}
    return [word for name in sorted(names) for word in ("--detector", name)]


def protocol_words(result: Result) -> list[str]:
    """The protocol's stem, and every field in which this one differs from it."""
    fields = result.protocol_fields
    wanted = Protocol.from_dict(fields)
    benchmark = None if fields["benchmark"] == "none" else fields["benchmark"]
    stem = [] if fields["stem"] == "demo" else ["--protocol", fields["stem"]]
    base = Request(ckpt="x", benchmark=benchmark, protocol=stem[1] if stem else None).resolved_protocol()
    changed = [name for name in base.differing_fields(wanted) if name not in ("stem", "benchmark")]
    words = list(stem)
    if {"real_clips", "fake_clips"} <= set(changed) and wanted.real_clips == wanted.fake_clips:
        words += ["--clips", str(wanted.fake_clips)]
        changed = [name for name in changed if name not in ("real_clips", "fake_clips")]
    return words + [word for name in changed for word in ("--param", f"{name}={value_text(getattr(wanted, name))}")]


def value_text(value: Any) -> str:
    """A field as `--param` takes it."""
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return "none" if value is None else str(value)


def sampler_words(result: Result) -> list[str]:
    """Everything of the sampler that changes a clip."""
    sampler = result.sampler or {}
    if "prompts_sha256" in sampler:
        return ["--prompts", "FILE", "--steps", str(sampler["steps"]), "--seed", str(sampler["seed"])]
    known = {name: sampler.get(name) for name in SAMPLER}
    words = [
        word
        for name, value in known.items()
        if value is not None and value != PLAIN.get(name)
        for word in (SAMPLER[name], f"{value:g}" if isinstance(value, float) else str(value))
    ]
    if sampler.get("guidance_interval"):
        words += ["--guidance-interval", ",".join(f"{bound:g}" for bound in sampler["guidance_interval"])]
    if "clip_x0" in sampler:
        words.append("--clip-x0" if sampler["clip_x0"] else "--no-clip-x0")
    seed = sampler.get("seed", result.fake_source.get("seed"))
    return words + (["--seed", str(seed)] if seed else [])
