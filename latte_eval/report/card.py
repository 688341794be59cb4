"""Results in the metadata of a model card of the Hugging Face Hub: its `model-index`, in the README of a model.

Only the lines of `model-index` are written anew. Entries of others in it stay; those of latte-eval for the same metric,
protocol, detector and dataset are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte_eval import __version__
from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.compare.comparable import protocol_of
from latte_eval.compare.results import metric_of, results_of_one, subject
from latte_eval.core.errors import StoreError, first_line
from latte_eval.core.result import Result
from latte_eval.files.whole_files import write_whole

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

INDEX = "model-index"
TOOL = "latte-eval"

# `---`, lines of YAML, `---`, at the very beginning of a README.
BLOCK = re.compile(r"\A(?P<start>\ufeff?---[ \t]*\r?\n)(?P<yaml>(?:.*\r?\n)*?)(?P<end>---[ \t]*(?:\r?\n|\Z))")


def results_for_card(path: Path, of: str | None = None) -> list[Result]:
    """The newest result of each metric, protocol, detector and benchmark of one model.

    Raises `UsageError` where results are of several models and `of` does not say which, `StoreError` as `load_results`.
    """
    mine = sorted(results_of_one(path, of, "; a card is of one model"), key=lambda each: each.started)
    return list({identity(to_entry(each)): each for each in mine}.values())


def to_entry(result: Result) -> EvalResult:
    """A result as the Hub has it: the value, and in its arguments all that decides what it can stand beside."""
    from huggingface_hub import EvalResult

    benchmark = str(result.protocol_fields["benchmark"])
    args: dict[str, Any] = {
        "measured_by": TOOL, "version": result.code.get("version") or __version__, "protocol": result.protocol,
        "protocol_sha256": result.protocol_sha256, "protocol_fields": dict(result.protocol_fields),
        "interval": result.interval, "confidence": 0.95 if result.interval else None,
        "better": result.better, "fake_clips": result.fake, "real_clips": result.real or None,
        "detector": result.detector["name"], "detector_sha256": result.detector["sha256"],
        "comparable_with_published": result.detector["comparable"], "checkpoint": subject(result),
        "checkpoint_sha256": (result.checkpoint or {}).get("sha256"), "sampler": result.sampler,
        "started": result.started, "note": result.note,
    }  # fmt: skip
    kind, name = dataset_of(result, benchmark)
    return EvalResult(
        task_type="video-generation", task_name="Video generation", dataset_type=kind, dataset_name=name,
        dataset_split=str(result.protocol_fields["real_split"]), metric_type=result.metric, metric_value=result.value,
        metric_name=f"{metric_of(result).title} ({protocol_of(result).stem})", metric_config=result.protocol,
        metric_args={key: value for key, value in args.items() if value is not None},
    )  # fmt: skip


def dataset_of(result: Result, benchmark: str) -> tuple[str, str]:
    """Identifier and name of the dataset; of a folder, its name without the path."""
    if benchmark in BENCHMARKS:
        return benchmark, BENCHMARKS[benchmark].title
    side = result.real_source or result.fake_source
    name = Path(str(side["name"])).name or "clips"
    return re.sub(r"[^\w.-]+", "-", name).strip("-").lower() or "clips", name


def identity(entry: EvalResult) -> tuple[str, ...]:
    """What two measurements of one quantity have in common: the newer one takes the place of the older one."""
    args = entry.metric_args or {}
    return entry.dataset_type, entry.metric_type, str(entry.metric_config), str(args.get("detector"))


def results_to_index(results: Sequence[Result], model: str) -> list[dict[str, Any]]:
    """The `model-index` of these results alone."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    index: list[dict[str, Any]] = eval_results_to_model_index(model, [to_entry(each) for each in results])
    return index


def card_block(results: Sequence[Result], model: str | None = None) -> str:
    """A block of metadata with these results, as it begins a README."""
    return f"---\n{index_to_yaml(results_to_index(results, model or model_name(results)))}---\n"


def model_name(results: Sequence[Result]) -> str:
    """The name of the checkpoint without its suffix."""
    return Path(subject(results[0])).stem


def index_to_yaml(index: list[dict[str, Any]]) -> str:
    """Lines of `model-index`."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    return yaml.safe_dump({INDEX: index}, sort_keys=False, allow_unicode=True, width=100)


def write_card(path: Path, results: Sequence[Result], model: str | None = None) -> int:
    """Write results into the README of a model; returns how many entries of others stayed.

    All other bytes stay as they are. A README that does not exist, or has no metadata, gets some. Raises `StoreError`
    where the metadata is no sound YAML, or the file cannot be read or written: then nothing is changed.
    """
    text = read_card(path)
    new, kept = merged_card(text, results, model, str(path))
    write_whole(path, new.encode())
    return kept


def read_card(path: Path) -> str:
    """The text of a README with its own ends of lines; empty where there is none."""
    if not path.exists():
        return ""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is no UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def merged_card(text: str, results: Sequence[Result], model: str | None, where: str) -> tuple[str, int]:
    """The text with the results in its metadata, and how many entries of others are in it."""
    block = BLOCK.match(text)
    if block is None and text.lstrip("\ufeff \t\r\n").startswith("---"):
        raise StoreError(f"{where}: the metadata that begins with --- has no --- at its end; nothing was written")
    yaml_text = block["yaml"].replace("\r\n", "\n") if block else ""
    data = read_yaml(yaml_text, where)
    index, kept = merged_index(data.get(INDEX), results, model, where)
    new = replaced_index(yaml_text, index_to_yaml(index), where)
    check_rest(data, read_yaml(new, where), where)
    if block is None:
        return f"---\n{new}---\n{text}", kept
    if "\r\n" in block["start"]:
        new = new.replace("\n", "\r\n")
    return block["start"] + new + block["end"] + text[block.end() :], kept


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """Metadata as a dictionary. Raises `StoreError` for what is none."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = "" if line is None else f" line {line + 2}"
        said = getattr(error, "problem", None) or first_line(error)
        raise StoreError(f"{where}{place}: the metadata is broken YAML: {said}; nothing was written") from error
    if data is not None and not isinstance(data, dict):
        raise StoreError(
            f"{where}: the metadata is a {type(data).__name__}, not names with values; nothing was written"
        )
    return data or {}


def merged_index(
    found: Any, results: Sequence[Result], model: str | None, where: str
) -> tuple[list[dict[str, Any]], int]:
    """A `model-index` with these results, without the earlier ones that they replace; and how many entries stay."""
    if not is_index(found):
        raise StoreError(f"{where}: {INDEX} is no list of models with results; mend or delete it, nothing was written")
    models = [dict(each) for each in found or []]
    names = [each.get("name") for each in models]
    name = model or (names[0] if names else model_name(results))
    mine = {identity(to_entry(each)) for each in results}
    place = names.index(name) if name in names else len(models)
    if place == len(models):
        models.append({"name": name, "results": []})
    kept = [left for group in models[place].get("results") or [] if (left := without(group, mine))["metrics"]]
    models[place]["results"] = [*kept, *results_to_index(results, str(name))[0]["results"]]
    return models, sum(len(group["metrics"]) for group in kept)


def is_index(found: Any) -> bool:
    """Whether metadata is a `model-index`, or there is none."""
    models = [] if found is None else found
    if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
        return False
    groups = [group for each in models for group in (each.get("results") or [])]
    return all(isinstance(group, dict) and isinstance(group.get("metrics"), list) for group in groups)


def without(group: dict[str, Any], mine: set[tuple[str, ...]]) -> dict[str, Any]:
    """A group of entries of one dataset, without those of latte-eval that are measured again."""
    dataset = group.get("dataset")
    kind = str(dataset.get("type")) if isinstance(dataset, dict) else ""
    return {**group, "metrics": [each for each in group["metrics"] if key_of(each, kind) not in mine]}


def key_of(metric: Any, dataset: str) -> tuple[str, ...] | None:
    """As `identity`, of an entry in a README; None for one of others."""
    args = metric.get("args") if isinstance(metric, dict) else None
    if not isinstance(args, dict) or args.get("measured_by") != TOOL:
        return None
    return dataset, str(metric.get("type")), str(metric.get("config")), str(args.get("detector"))


def replaced_index(text: str, index: str, where: str) -> str:
    """Lines of YAML with other lines of `model-index`, which come at the end where there were none."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    places = [number for number, (key, _) in enumerate(pairs) if key.value == INDEX]
    if len(places) > 1 or (pairs and root.flow_style):
        raise StoreError(f"{where}: {INDEX} cannot be told from the rest of the metadata; write a name a line")
    if not places:
        return (text if text.endswith("\n") or not text else text + "\n") + index
    start = pairs[places[0]][0].start_mark.index
    end = pairs[places[0] + 1][0].start_mark.index if places[0] + 1 < len(pairs) else len(text)
    return text[:start] + index + trailing_comments(text[start:end]) + text[end:]


def trailing_comments(lines: str) -> str:
    """Comments and empty lines after a value: they belong to what follows."""
    return re.search(r"(?:^[ \t]*(?:#.*)?\n)*\Z", lines, re.MULTILINE)[0]  # type: ignore[index]


def check_rest(before: dict[str, Any], after: dict[str, Any], where: str) -> None:
    """Raise `StoreError` where anything but `model-index` would read otherwise, as where an anchor lay in it."""
    if {**before, INDEX: None} != {**after, INDEX: None}:
        raise StoreError(f"{where}: other metadata refers into {INDEX}; write it out, nothing was written")
