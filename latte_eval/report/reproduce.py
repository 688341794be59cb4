"""The command that measures a result again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from latte_eval.benchmarks.benchmark import BENCHMARKS, benchmark_of_checkpoint
from latte_eval.core.protocol import DETECTOR_FIELDS, Protocol
from latte_eval.core.protocols import PROTOCOLS
from latte_eval.core.result import Result
from latte_eval.evaluation.opened_model import MODEL_CHOICES
from latte_eval.evaluation.request import Request
from latte_eval.metrics.metric import SPLITS
from latte_eval.sampler.pipeline_options import PIPELINE_OPTIONS, option_name
from latte_eval.sampler.pipelines import FIRST_FRAME
from latte_eval.sampler.samplers import SAMPLERS
from latte_eval.sampler.tasks import BY_MASK

# Values that need no option; the dtype follows from the device, so it is always typed.
PLAIN = {"eta": 0.0}

# Options of the sampler as a result records them, and as they are typed.
SAMPLER = {
    "method": "--sampler",
    "steps": "--steps",
    "guidance_scale": "--guidance-scale",
    "eta": "--eta",
    "dtype": "--dtype",
}

# How parts of clips are given, as a result records it and as it is typed; and what nobody needs to type.
TASK_OPTIONS = {"mask_rule": "--mask-rule", "conditioning": "--cond", "given_pixels": "--given-pixels",
                "conditions_latents": "--given-latents"}  # fmt: skip
TASK_DEFAULTS = {"mask_rule": "corrected", "conditioning": "mask", "given_pixels": "round-trip",
                 "conditions_latents": "mode"}  # fmt: skip

SEEDED_VAE = "vae-seeded"

# Stands for the file of prompts, whose name is not recorded.
PROMPTS = "PROMPTS.txt"
# Stands for the file of a mask, of which the hash is recorded.
MASK = "MASK.npy"

# Stands for the file of an array that was handed over in Python: its clips and its interval are those of such a file.
ARRAYS = {"fake_source": "FAKE.npy", "real_source": "REAL.npy"}

# The end of a real side's name where its features came from a file.
STATISTICS = re.compile(r" \([^()/]+\.safetensors\)$")


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
    words += [] if is_demo(first) else real_words(results)
    words += [*detector_words(results), *protocol_words(first), *sampler_words(first)]
    return [*words, *split_words(results), *sample_words(results)]


def sample_words(results: Sequence[Result]) -> list[str]:
    """`--samples K` of a paired metric."""
    found = {result.details["samples"] for result in results if "paired" in result.details} - {1}
    return [word for samples in found for word in ("--samples", str(samples))]


def split_words(results: Sequence[Result]) -> list[str]:
    """`--splits N` for a score over another number of them."""
    found = {result.details["splits"] for result in results if "splits" in result.details} - {SPLITS}
    return [word for splits in found for word in ("--splits", str(splits))]


def is_demo(result: Result) -> bool:
    """Whether the checkpoint's name tells the benchmark."""
    own = benchmark_of_checkpoint((result.checkpoint or {}).get("name"))
    return own is not None and own == benchmark_name(result)


def benchmark_name(result: Result) -> str | None:
    name = result.protocol_fields["benchmark"]
    return None if name == "none" else str(name)


def subject_words(result: Result) -> list[str]:
    """`--ckpt X` and what its file does not tell, `--generator X`, or the folder."""
    if result.checkpoint:
        given = {name: result.checkpoint.get(name) for name in MODEL_CHOICES}
        if result.checkpoint.get("weights") == "model":
            given["weights"] = "model"
        typed = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None]
        return ["--ckpt", pinned_name(result.checkpoint), *(word for pair in typed for word in pair)]
    if "generator" in result.fake_source:
        return ["--generator", str(result.fake_source["generator"])]
    return ["--fake", place_words(result, "fake_source")]


def pinned_name(checkpoint: dict[str, Any]) -> str:
    """A checkpoint as it is typed; of a repository of the hub the commit that was taken, whatever is there by now."""
    name, revision = str(checkpoint["name"]), checkpoint.get("revision")
    return f"{name.partition('@')[0]}@{revision}" if revision and name.startswith("hf://") else name


def place_words(result: Result, side: str) -> str:
    """The folder of one side as it is typed; a file's name for an array."""
    source = getattr(result, side)
    return ARRAYS[side] if "array" in source else str(source["name"])


def real_words(results: Sequence[Result]) -> list[str]:
    """`--benchmark B --real DIR`; the embedded benchmark has no folder."""
    benchmark = benchmark_name(results[0])
    words = ["--benchmark", benchmark] if benchmark else []
    names = [real_folder(place_words(result, "real_source")) for result in results if result.real_source]
    conditions = [(result.sampler or {}).get("conditions_of") for result in results]
    names += [str(name) for name in conditions if name]
    reads_folder = benchmark is None or BENCHMARKS[benchmark].needs_folder
    return words + (["--real", names[0]] if names and reads_folder else [])


def real_folder(name: str) -> str:
    """The folder of real videos, also where its features came from a file, as in `/data/UCF-101 (s.safetensors)`."""
    return STATISTICS.sub("", name)


def detector_words(results: Sequence[Result]) -> list[str]:
    """`--detector NAME` for each that is not the default; for all where one would serve another metric too."""
    metrics = tuple(dict.fromkeys(result.metric for result in results))
    used = {result.metric: result.detector["name"] for result in results}
    benchmark = benchmark_name(results[0])
    protocol = Protocol.from_dict(results[0].protocol_fields)
    params = tuple(f"{field}={getattr(protocol, field)}" for field in DETECTOR_FIELDS)
    usual = Request(metrics=metrics, ckpt="x", benchmark=benchmark, params=params)
    unusual = sorted({name for metric, name in used.items() if name != usual.detector_for(metric)})
    asked = Request(metrics=metrics, ckpt="x", benchmark=benchmark, params=params, detectors=tuple(unusual))
    same = all(asked.detector_for(metric) == name for metric, name in used.items())
    names = unusual if same else sorted(set(used.values()))
    return [word for name in names for word in ("--detector", name)]


def protocol_words(result: Result) -> list[str]:
    """The protocol's stem, and every field in which the protocol differs from the one of that stem."""
    wanted, benchmark = Protocol.from_dict(result.protocol_fields), benchmark_name(result)
    usual = BENCHMARKS[benchmark].protocol().stem if benchmark else None
    named = wanted.stem if wanted.stem != usual or wanted.stem in PROTOCOLS else None
    stem = ["--protocol", named] if named else []
    base = Request(ckpt="x", benchmark=benchmark, protocol=named).resolved_protocol()
    changed = [name for name in base.differing_fields(wanted) if name not in ("stem", "benchmark")]
    words = list(stem)
    if {"real_clips", "fake_clips"} <= set(changed) and counts_were_met(result, wanted):
        words += ["--clips", str(wanted.fake_clips)]
        changed = [name for name in changed if name not in ("real_clips", "fake_clips")]
    return words + [word for name in changed for word in ("--param", f"{name}={value_text(getattr(wanted, name))}")]


def counts_were_met(result: Result, wanted: Protocol) -> bool:
    """Whether the protocol wants one number of clips from both sides and both had it: `--clips` asks for that."""
    count = wanted.fake_clips
    return wanted.real_clips == count == result.fake and (not result.real_source or result.real == count)


def value_text(value: Any) -> str:
    """A field as `--param` takes it."""
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return "none" if value is None else str(value)


def sampler_words(result: Result) -> list[str]:
    """Everything of the sampler that changes a clip."""
    sampler = result.sampler or {}
    name = benchmark_name(result)
    plain = {**PLAIN, "dtype": BENCHMARKS[name].sampler.get("dtype") if name else None}
    known = {key: value for key, value in sampler.items() if value != plain.get(key)}
    words = pipeline_words(known) if is_of_pipeline(sampler) else latte_words(known) + task_words(sampler)
    seed = sampler.get("seed", result.fake_source.get("seed"))
    return words + (["--seed", str(seed)] if seed else [])


def is_of_pipeline(sampler: dict[str, Any]) -> bool:
    """Whether it is the record of a pipeline of diffusers, of prompts or of images."""
    return "prompts_sha256" in sampler or sampler.get("task") == FIRST_FRAME


def pipeline_words(sampler: dict[str, Any]) -> list[str]:
    """For a pipeline of diffusers; a scheduler that no sampler names is the pipeline's own and is not typed."""
    names = {row.scheduler: name for name, row in zip(SAMPLERS, SAMPLERS.rows(), strict=True)}
    known = {**sampler, "method": names.get(str(sampler.get("method")))}
    told = [(option_name(name), value) for name in PIPELINE_OPTIONS if (value := sampler.get(name)) is not None]
    return [*(["--prompts", PROMPTS] if "prompts_sha256" in sampler else []), *setting_words(known),
            *(word for name, value in told for word in (name, plain_number(value)))]  # fmt: skip


def task_words(sampler: dict[str, Any]) -> list[str]:
    """What of every clip was given, where something was."""
    if "conditioning" not in sampler:
        return []
    of_file = ["--mask", MASK] if sampler["task"] == BY_MASK else ["--task", sampler["task"]]
    words = ["--given", sampler["given"]] if sampler["given"] else of_file
    usual = {option: TASK_DEFAULTS[name] for name, option in TASK_OPTIONS.items()}
    said = {option: sampler.get(name) for name, option in TASK_OPTIONS.items()}
    return words + [word for option, value in said.items() if value not in (None, usual[option])
                    for word in (option, str(value))]  # fmt: skip


def latte_words(sampler: dict[str, Any]) -> list[str]:
    """For a Latte checkpoint."""
    words = setting_words(sampler)
    if sampler.get("guidance_interval"):
        words += ["--guidance-interval", ",".join(map(plain_number, sampler["guidance_interval"]))]
    if "clip_x0" in sampler:
        words.append("--clip-x0" if sampler["clip_x0"] else "--no-clip-x0")
    return words + (["--vae", SEEDED_VAE] if sampler.get("codec") == SEEDED_VAE else [])


def setting_words(sampler: dict[str, Any]) -> list[str]:
    """Settings as options."""
    known = {name: sampler.get(name) for name in SAMPLER}
    return [word for name, value in known.items() if value is not None for word in (SAMPLER[name], plain_number(value))]


def plain_number(value: Any) -> str:
    """A number as short as possible without changing it; anything else as text."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
