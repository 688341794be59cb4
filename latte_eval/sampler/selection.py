"""Which tensors of a file are the weights, in every layout that training scripts and their libraries write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.inert_pickle import Inert
from latte_eval.sampler.inert_tensors import STRANGE
from latte_eval.sampler.told import SECTIONS, text_of

ITERATION_KEYS = ("iteration", "train_steps", "step", "global_step")

# What may be asked for by `--weights`.
WANTED = ("ema", "model")

# Where a file keeps its weights, most wanted first, and what they are: under a key, or under a prefix of flat names.
# ema_pytorch writes `ema_model.` and `online_model.`, timm `state_dict_ema`.
CONTAINERS = {"ema": "ema", "ema_model": "ema", "model_ema": "ema", "state_dict_ema": "ema", "ema_state_dict": "ema",
              "model": "model", "state_dict": "state_dict", "module": "module"}  # fmt: skip
FLAT_CONTAINERS = {"ema.": "ema", "ema_model.": "ema", "model.": "model", "online_model.": "online",
                   "state_dict.": "state_dict"}  # fmt: skip
# What data parallelism and compilation put before every name.
WRAPPERS = ("module.", "_orig_mod.")

# Containers in containers, the prefixes of names among them: more than any training script nests.
MOST_CONTAINERS = 16

# The types in which weights are stored; torch has others of less than 16 bits.
WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

SAVE_ALONE = "save the weights alone: torch.save({'ema': ema.state_dict()}, path)"


def select_state(file: Path, content: Any, wanted: str | None = None) -> tuple[str, dict[str, Tensor], tuple[str, ...]]:
    """Which weights are taken, the state dict itself with bare keys, and what among it is no weight and is left out.

    No value is looked at: `check_finite` does that.

    Args:
        wanted: `ema` or `model`; None for EMA where there is one.

    Raises:
        CheckpointError: no state dict, not the weights that are wanted, or weights that are no plain tensors.
    """
    if isinstance(content, Inert):
        raise CheckpointError(f"{file} holds {text_of(content.kind)}, a Python object that is not built; {SAVE_ALONE}")
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file} holds a {type(content).__name__}, not a state dict")
    taken = "bare"
    tree: Mapping[str, Any] = without_notes(content)
    for _ in range(MOST_CONTAINERS):
        if not (inner := unwrapped(tree, wanted)):
            break
        kind, tree = inner
        taken = nearer(taken, kind, wanted)
    else:
        raise CheckpointError(
            f"{file} holds its weights in more than {MOST_CONTAINERS} containers, one in the other, or contains itself"
        )
    if wanted not in (None, taken):
        raise CheckpointError(f"{file} holds no {wanted} weights that are called so: {found_text(taken)}")
    return taken, *plain_weights(file, tree)


def nearer(taken: str, kind: str, wanted: str | None) -> str:
    """What weights are, one container further in."""
    if kind == "online":
        return "model"
    if kind == "ema" or taken == "bare" or (kind == wanted and taken != "ema"):
        return kind or taken
    return taken


def found_text(taken: str) -> str:
    if taken in WANTED:
        return f"it holds {taken} weights; --weights {taken} takes them"
    return "it does not say whether its weights are an average (EMA); leave --weights out"


def unwrapped(tree: Mapping[str, Any], wanted: str | None = None) -> tuple[str, Mapping[str, Any]] | None:
    """What the outermost container keeps, and the tree inside it; None where nothing is wrapped any more."""
    for container, kind in in_order(CONTAINERS, wanted):
        if isinstance(tree.get(container), Mapping):
            return kind, texts(tree[container])
    weights = [key for key, value in tree.items() if is_weight(value)]
    for prefix in WRAPPERS:
        if weights and all(key.startswith(prefix) for key in weights):
            return "", without_prefix(tree, prefix)
    for prefix, kind in in_order(FLAT_CONTAINERS, wanted):
        if any(key.startswith(prefix) for key in tree):
            return kind, without_prefix(tree, prefix)
    return None


def in_order(containers: Mapping[str, str], wanted: str | None) -> list[tuple[str, str]]:
    """EMA first, or last where the model's own weights are wanted."""
    return sorted(containers.items(), key=lambda item: (item[1] == "ema") == (wanted == "model"))


def texts(tree: Mapping[Any, Any]) -> dict[str, Any]:
    return {text_of(key): value for key, value in tree.items()}


def without_prefix(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries that carry the prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in tree.items() if key.startswith(prefix)}


def without_notes(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Only what may be weights: a file may say beside them how they were made."""
    notes = {*SECTIONS, "heads", "variant", "temporal_position", "classes", *ITERATION_KEYS}
    return {text_of(key): value for key, value in content.items() if key not in notes}


def is_weight(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def plain_weights(file: Path, tree: Mapping[str, Any]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The floating-point tensors, and what else there is, such as buffers of whole numbers.

    Raises `CheckpointError` where a weight is no such tensor, or an object stands among the weights.
    """
    weights = {key: value for key, value in tree.items() if is_weight(value)}
    others = {key: value for key, value in tree.items() if key not in weights}
    for key, value in others.items():
        if isinstance(value, Inert) or names_weight(key) or not weights:
            raise CheckpointError(f"{file}: {key} {no_weight(value)}")
    for key, value in weights.items():
        if problem := not_plain(value):
            raise CheckpointError(f"{file}: {key} {problem}")
    return weights, tuple(f"{key} ({kind_of(value)})" for key, value in others.items())


def not_plain(value: Tensor) -> str:
    """Why a tensor does not hold one stored value for each of its places; empty where it does."""
    if value.dtype not in WEIGHT_TYPES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in WEIGHT_TYPES)
        return f"is {str(value.dtype).removeprefix('torch.')}; weights are {known}: save them as one of these"
    stored = value.untyped_storage().nbytes() // value.itemsize
    if not value.numel():
        return f"is {tuple(value.shape)}: it has no values"
    if value.numel() > stored:
        return f"is {tuple(value.shape)}, {value.numel():,} values, of which its storage holds {stored:,}"
    return ""


def check_finite(file: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` where a value is NaN or infinite."""
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            raise CheckpointError(f"{file}: {bad} of the {value.numel()} values of {key} are NaN or infinite")


def names_weight(key: str) -> bool:
    """Whether a model keeps a weight under a name of this form."""
    return key in ("pos_embed", "temp_embed", "time_embed") or key.endswith((".weight", ".bias"))


def no_weight(value: Any) -> str:
    """What is wrong with a value that should be a weight."""
    if isinstance(value, Inert) and value.kind in STRANGE:
        return f"is {STRANGE[value.kind]}, not a plain one; {SAVE_ALONE}"
    if isinstance(value, Inert):
        return f"holds {text_of(value.kind)}, a Python object that could run code and is not built; {SAVE_ALONE}"
    if isinstance(value, Tensor):
        return f"is {value.dtype}, not floating-point"
    return f"holds a {type(value).__name__}, not a tensor"


def kind_of(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__
