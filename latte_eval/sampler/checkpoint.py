"""Checkpoints in every published layout: which weights of a file are taken, under which names, and whether they fit.

Latte's training script writes `{"ema": state_dict, "model": state_dict}`; others write `{"state_dict": ...}`, a bare
state dict, names with the prefixes of data parallelism (`module.`) or compilation (`_orig_mod.`), or safetensors.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.files.addresses import hub_advice
from latte_eval.files.weights import file_sha256
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.latte.recognise import untraced_choices
from latte_eval.sampler.tensorfile import names_beside, read_tensor_file, suggestion

# The shipped checkpoints, by name, in the folder `embedded`.
EMBEDDED = {"demo": "demo.pt", "demo-early": "demo_early.pt"}

# Where a file keeps its weights, most wanted first: under a key, or under a prefix of flat names.
CONTAINERS = ("ema", "model", "state_dict", "module")
FLAT_CONTAINERS = ("ema.", "model.", "state_dict.")
# What data parallelism and compilation put before every name.
WRAPPERS = ("module.", "_orig_mod.")
ITERATION_KEYS = ("iteration", "train_steps", "step", "global_step")


@dataclass(frozen=True, eq=False)
class Checkpoint(Mapping[str, Tensor]):
    """The weights of a Latte and where they came from; as a mapping, it is its own state dict.

    Attributes:
        name: what a person typed, without folders.
        path: the file.
        sha256: of the whole file.
        size: bytes of the file.
        state: bare keys (`blocks.0.attn.qkv.weight`), tensors in the stored type, mapped from the file where possible.
        weights: which weights of the file were taken: `ema`, `model`, `state_dict`, `module`, or `bare`.
        iteration: training steps, where the file or its name tells.
        choices: what the file tells and the weights cannot, as arguments of `Latte.from_state_dict`.
    """

    name: str
    path: Path
    sha256: str
    size: int
    state: Mapping[str, Tensor] = field(repr=False)
    weights: str
    iteration: int | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heads(self) -> int | None:
        """Attention heads, where the file tells."""
        return self.choices.get("heads")

    def build(self, heads: int | None = None, **choices: Any) -> Latte:
        """The model, in evaluation mode; `heads` and other arguments of `Latte.from_state_dict` that are not None
        override what the file tells."""
        given = {name: value for name, value in {"heads": heads, **choices}.items() if value is not None}
        return Latte.from_state_dict(self.state, **{**self.choices, **given})

    def __getitem__(self, key: str) -> Tensor:
        return self.state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint and check that it is a Latte's.

    Args:
        path: a file, `hf://owner/repo/file[@revision]`, `demo` or `demo-early`.

    Raises:
        CheckpointError: one sentence: the file is absent, damaged, or could run code; or its weights are not those of
            a Latte, or not finite.
        WeightsError: a file of the hub that cannot be had.
    """
    file = locate(str(path))
    content = read_tensor_file(file)
    weights, state = select_state(file, content)
    metadata = file_metadata(content)
    checkpoint = Checkpoint(
        name=str(path) if str(path) in EMBEDDED or str(path).startswith("hf://") else file.name,
        path=file,
        sha256=file_sha256(file),
        size=file.stat().st_size,
        state=state,
        weights=weights,
        iteration=iteration_of(metadata, file),
        choices=untraced_choices(metadata),
    )
    check_latte(checkpoint)
    return checkpoint


def locate(name: str) -> Path:
    """The local file of a checkpoint's name. Raises `CheckpointError` or `WeightsError`."""
    if name.startswith("hf://"):
        from latte_eval.files.download import fetch_hub_file

        return fetch_hub_file(name)
    if name in EMBEDDED:
        path = Path(str(importlib.resources.files(__package__) / "embedded" / EMBEDDED[name]))
        if not path.is_file():
            raise CheckpointError(f"this installation lacks {EMBEDDED[name]}, the {name} checkpoint; install it again")
        return path
    path = Path(name).expanduser()
    if not path.exists() and (advice := hub_advice(name)):
        raise CheckpointError(f"{name} is no file here: {advice}")
    if not path.exists() and len(Path(name).parts) == 1:
        close = suggestion(name, [*EMBEDDED, *names_beside(path)])
        raise CheckpointError(f"{name} does not exist{close}")
    return path


def select_state(file: Path, content: Any) -> tuple[str, dict[str, Tensor]]:
    """Which weights are taken, and the state dict itself with bare keys. Raises `CheckpointError`."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file} holds a {type(content).__name__}, not a state dict")
    taken = "bare"
    tree: Mapping[str, Any] = without_notes(content)
    while inner := unwrapped(tree):
        container, tree = inner
        if container == "ema" or taken == "bare":
            taken = container or taken
    check_tensors(file, tree)
    return taken, dict(tree)


def unwrapped(tree: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The outermost container and the tree inside it; None where nothing is wrapped any more."""
    for container in CONTAINERS:
        if isinstance(tree.get(container), Mapping):
            return container, tree[container]
    for prefix in WRAPPERS:
        if tree and all(key.startswith(prefix) for key in tree):
            return "", without_prefix(tree, prefix)
    for prefix in FLAT_CONTAINERS:
        if any(key.startswith(prefix) for key in tree):
            return prefix[:-1], without_prefix(tree, prefix)
    return None


def without_prefix(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries that carry the prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in tree.items() if key.startswith(prefix)}


def without_notes(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Only what may be weights: a file may say beside them how they were made."""
    notes = {"__metadata__", "args", "config", "heads", "variant", "temporal_position", *ITERATION_KEYS}
    return {str(key): value for key, value in content.items() if key not in notes}


def file_metadata(content: Any) -> dict[str, Any]:
    """What a file says about itself beside its weights, in one flat dict."""
    parts = [content.get("__metadata__"), content.get("config"), content]
    flat: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Mapping):
            flat |= {str(key): as_number(value) for key, value in part.items() if isinstance(value, int | str)}
    return flat


def as_number(value: int | str) -> int | str:
    """Safetensors keeps numbers as text."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def iteration_of(metadata: Mapping[str, Any], file: Path) -> int | None:
    """Training steps from the metadata, else from names such as `0100000.pt` or `model_step5000.pt`."""
    for key in ITERATION_KEYS:
        if isinstance(metadata.get(key), int):
            return metadata[key]
    found = re.search(r"(?:^|(?:step|iter|iteration)s?[-_=]?)(\d+)$", file.stem)
    return int(found[1]) if found else None


def check_tensors(file: Path, state: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` unless every value is a finite floating-point tensor."""
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{file}: {key} holds a {type(value).__name__}, not a tensor")
        if not value.is_floating_point():
            raise CheckpointError(f"{file}: {key} is {value.dtype}, not floating-point")
        if not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            raise CheckpointError(f"{file}: {bad} of the {value.numel()} values of {key} are NaN or infinite")


def check_latte(checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError`, with the file's name, unless keys and shapes are those of a Latte."""
    shapes = {key: value.to("meta") for key, value in checkpoint.state.items()}
    try:
        Latte.from_state_dict(shapes, **checkpoint.choices)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
