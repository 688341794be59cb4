"""What a checkpoint file says about its model beside the weights: our own fields, or a training script's options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from typing import Any

from latte_eval.sampler.inert_pickle import Inert
from latte_eval.sampler.latte.config import PUBLISHED_SIZES

# Under which keys of a file training scripts keep their options, most telling first.
SECTIONS = ("config", "args", "model_config", "model_args", "hparams", "hyper_parameters", "cfg", "options",
            "__metadata__")  # fmt: skip

# What a Latte's field is called by different scripts, our own word first.
NUMBERS = {
    "heads": ("heads", "num_heads", "num_attention_heads", "n_heads", "n_head"),
    "variant": ("variant",),
    "classes": ("classes", "num_classes", "n_classes"),
    "frames": ("frames", "num_frames"),
    "input_size": ("input_size", "latent_size", "sample_size"),
    "image_size": ("image_size",),
}
MODEL_NAMES = ("model", "model_name", "arch")
# Options inside options: `config.model.params.num_heads` and no deeper.
DEPTH = 4

# No key or text of a model's options is longer, and no size or step larger.
LONGEST_TEXT, LARGEST_NUMBER = 200, 2**53


def told_by_file(content: Any) -> dict[str, Any]:
    """Fields of `LatteConfig`, `image_size` and `model` (a name such as `Latte-XL/2`) that a file states."""
    flat = flat_notes(content)
    found: dict[str, Any] = {}
    for field, names in NUMBERS.items():
        values = [flat[name] for name in names if is_count(flat.get(name))]
        found |= {field: values[0]} if values else {}
    if isinstance(flat.get("temporal_position"), str):
        found["temporal_position"] = flat["temporal_position"]
    model = [flat[name] for name in MODEL_NAMES if isinstance(flat.get(name), str)]
    return found | ({"model": model[0]} if model else {})


def heads_of_name(name: str, width: int) -> int | None:
    """Heads of `Latte-XL/2` and the like; None for a name that is no published size, or one of another width."""
    match = re.search(r"(?:^|-)(S|B|L|XL)/\d$", name)
    if not match or PUBLISHED_SIZES[match[1]][1] != width:
        return None
    return PUBLISHED_SIZES[match[1]][2]


def is_count(value: Any) -> bool:
    return is_number(value) and value > 0


def is_number(value: Any) -> bool:
    """Whether a value is a whole number that a file may mean: Python's have no end, and are slow or refused as text."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def text_of(key: Any) -> str:
    """A key as text that can be printed on one line; keys of a Latte stay as they are."""
    if isinstance(key, int) and not is_number(key):
        return f"a whole number of {key.bit_length():,} bits"
    text = key if isinstance(key, str) else repr(key)
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT // 2]}... ({len(text):,} characters)"
    return text if text.isprintable() else ascii(text)[1:-1]


def flat_notes(content: Any) -> dict[str, Any]:
    """Numbers and texts beside the weights in one dict; what stands further out, and in an earlier section, wins."""
    if not isinstance(content, Mapping):
        return {}
    flat = outer_notes(content)
    for section in SECTIONS:
        for key, value in scalars(content.get(section), DEPTH):
            flat.setdefault(key, value)
    return flat


def outer_notes(content: Any) -> dict[str, Any]:
    """The numbers and texts that a file itself holds, without those of a training script's options."""
    flat: dict[str, Any] = {}
    for part in (content, content.get("config"), content.get("__metadata__")) if isinstance(content, Mapping) else ():
        for key, value in scalars(part, 1):
            flat.setdefault(key, value)
    return flat


def scalars(options: Any, depth: int) -> Iterator[tuple[str, int | str]]:
    """The numbers and texts of options and of the options in them, the outer ones first, everything once."""
    level, seen = [options], set[int]()
    for _ in range(depth):
        entries = [(text_of(key), plain(value)) for part in level for key, value in as_mapping(part).items()]
        yield from ((key, as_number(value)) for key, value in entries if is_note(value))
        seen |= {id(part) for part in level}
        level = list({id(value): value for _, value in entries if id(value) not in seen}.values())


def is_note(value: Any) -> bool:
    """Whether a value is a number or a text that can say something of a model."""
    return isinstance(value, str | bool) or is_number(value)


def as_mapping(options: Any) -> Mapping[Any, Any]:
    """Options as a dict: a dict, a Namespace, or the stand-in of an object that holds its own in its state."""
    if isinstance(options, argparse.Namespace):
        return vars(options)
    if not isinstance(options, Inert):
        return options if isinstance(options, Mapping) else {}
    state = options.state if isinstance(options.state, Mapping) else {}
    # OmegaConf keeps the entries of a DictConfig as its `_content`.
    content = state.get("_content")
    return content if isinstance(content, Mapping) else {**options.items, **state}


def plain(value: Any) -> Any:
    """The value of an OmegaConf node, which keeps it as its `_val`."""
    if isinstance(value, Inert) and isinstance(value.state, Mapping) and "_val" in value.state:
        return value.state["_val"]
    return value


def as_number(value: int | str) -> int | str:
    """Safetensors keeps numbers as text."""
    if not isinstance(value, str):
        return value
    text = text_of(value)
    return int(text) if text.isdecimal() and text.isascii() else text
