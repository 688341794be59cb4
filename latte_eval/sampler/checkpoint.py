"""Checkpoints in every published layout: which weights of a file are taken, under which names, and whether they fit.

Latte's training script writes `{"ema": state_dict, "model": state_dict}`; others write `{"state_dict": ...}`, a bare
state dict, names with the prefixes of data parallelism (`module.`) or compilation (`_orig_mod.`), or safetensors.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.files.addresses import hub_advice, is_fetched
from latte_eval.files.seen import note_seen
from latte_eval.files.weights import file_sha256
from latte_eval.sampler.checksums import checked_sha256
from latte_eval.sampler.complete import with_tables
from latte_eval.sampler.families import LATTE, Family, state_dict_to_family
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.latte.recognise import LABELS, untraced_choices
from latte_eval.sampler.model import ModelConfig, VideoModel
from latte_eval.sampler.selection import ITERATION_KEYS, check_finite, select_state
from latte_eval.sampler.shards import files_of
from latte_eval.sampler.tensorfile import names_beside, read_tensor_file, suggestion
from latte_eval.sampler.told import heads_of_name, is_number, outer_notes, told_by_file

# The shipped checkpoints, by name, in the folder `embedded`.
EMBEDDED = {"demo": "demo.pt", "demo-early": "demo_early.pt", "demo-vdt": "demo_vdt.pt"}

# What files of them do not tell; a copy of one under another name is known by its content.
UNTOLD = {"heads": 4, "variant": 1, "temporal_position": "absolute", "classes": 4}
EMBEDDED_CHOICES = {"demo": UNTOLD, "demo-early": UNTOLD}

# Classes of the published label tables, which end with a row for the null class: UCF101 and ImageNet.
PUBLISHED_CLASSES = (101, 1000)


@dataclass(frozen=True, eq=False)
class Checkpoint(Mapping[str, Tensor]):
    """The weights of a Latte or VDT and where they came from; as a mapping, it is its own state dict.

    Attributes:
        name: what a person typed, without folders.
        path: the file.
        sha256: of the whole file; of a sharded one, over those of its files.
        size: bytes of the file.
        state: bare keys (`blocks.0.attn.qkv.weight`), tensors in the stored type, mapped from the file where possible.
        weights: which weights of the file were taken: `ema`, `model`, `state_dict`, `module`, or `bare`.
        iteration: training steps, where the file or its name tells.
        choices: what the file tells and the weights cannot, as arguments of `from_state_dict`.
        left_out: what stood among the weights and is none, such as `position_ids (int64)`.
        rebuilt: position tables that the file lacks and that were made from their formula.
        assumed_sizes: sizes that a rebuilt table needs and the file does not tell: `input_size`, `frames`.
    """

    name: str
    path: Path
    sha256: str
    size: int
    state: Mapping[str, Tensor] = field(repr=False)
    weights: str
    iteration: int | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    assumed_sizes: tuple[str, ...] = ()

    @property
    def family(self) -> Family:
        """Whether it is a Latte or a VDT, by its keys."""
        return state_dict_to_family(self.state)

    @property
    def licence(self) -> str | None:
        """What holds for its weights beside the licence of latte-eval, which is that of the shipped ones."""
        return None if self.name in EMBEDDED else self.family.licence

    @property
    def heads(self) -> int | None:
        """Attention heads, where the file tells."""
        return self.choices.get("heads")

    def build(self, heads: int | None = None, **choices: Any) -> VideoModel:
        """The model, in evaluation mode; `heads` and other arguments of `from_state_dict` that are not None
        override what the file tells.

        Raises `CheckpointError`, with the file's name, where they do not fit or nothing tells the heads.
        """
        given = {name: value for name, value in {"heads": heads, **choices}.items() if value is not None}
        if "classes" in given and LABELS not in self.state:
            raise CheckpointError(f"{self.path} is unconditional: it has no classes for --classes {given['classes']}")
        try:
            return self.family.build(self.state, **{**self.choices, **given})
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from error

    def assumed(self, config: ModelConfig, given: Iterable[str] = ()) -> list[str]:
        """Fields of a config that neither weights nor file tell, nor anybody gave."""
        visible = {"heads", *given, *self.choices}
        if isinstance(config, LatteConfig) and config.variant in (3, 4):
            visible.add("variant")
        if config.classes in (None, *PUBLISHED_CLASSES):
            visible.add("classes")
        return [name for name in (*self.family.choices, *self.assumed_sizes) if name not in visible]

    def unsaid(self, config: ModelConfig, given: Iterable[str] = ()) -> dict[str, list[str]]:
        """For a result: what was assumed, such as `variant=1`, rebuilt and left out; only what is not empty."""
        assumed = [f"{name}={getattr(config, name)}" for name in self.assumed(config, given)]
        found = {"assumed": assumed, "rebuilt": list(self.rebuilt), "left_out": list(self.left_out)}
        return {name: values for name, values in found.items() if values}

    def note_in(self, run: Path) -> None:
        """Have a run folder remember it. Raises `CheckpointError` if it was damaged since, as `note_seen` says."""
        if self.name not in EMBEDDED:
            note_seen(run, self.path, files_of(self.path), self.sha256)

    def __getitem__(self, key: str) -> Tensor:
        return self.state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)


def load_checkpoint(path: str | Path, weights: str | None = None) -> Checkpoint:
    """Open a checkpoint and check that it is a Latte's or a VDT's.

    Args:
        path: a file, the folder or index of a sharded one, `hf://owner/repo/file[@revision]`, `drive://ID`,
            or a name in `EMBEDDED`.
        weights: `ema` or `model`; None for EMA where there is one.

    Raises:
        CheckpointError: one sentence: the file is absent or damaged; or its weights are not those of a model, not the
            ones wanted, not tensors, or not finite.
        WeightsError: a file of the hub or of Google Drive that cannot be had.
    """
    file = locate(str(path))
    content = read_tensor_file(file)
    sha256, size = identity(file)
    taken, state, left_out = select_state(file, content, weights)
    told = told_by_file(content)
    try:
        state, rebuilt, assumed_sizes = with_tables(state, told)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    checkpoint = Checkpoint(
        name=str(path) if str(path) in EMBEDDED or is_fetched(str(path)) else file.name,
        path=file,
        sha256=sha256,
        size=size,
        state=state,
        weights=taken,
        iteration=iteration_of(outer_notes(content), file),
        choices=shipped_choices(sha256, size) or told_choices(told, state),
        left_out=left_out,
        rebuilt=rebuilt,
        assumed_sizes=assumed_sizes,
    )
    check_model(checkpoint)
    check_finite(file, state)
    return checkpoint


def identity(path: Path) -> tuple[str, int]:
    """sha256 and bytes of a checkpoint; of several files, the sha256 is over those of all.

    Raises `CheckpointError` where the files have checksums and do not agree with them.
    """
    files = files_of(path)
    return checked_sha256(files), sum(file.stat().st_size for file in files)


def shipped_choices(sha256: str, size: int) -> dict[str, Any]:
    """What is known of a shipped checkpoint, by its content; empty for any other."""
    for name, choices in EMBEDDED_CHOICES.items():
        file = embedded_file(name)
        if file.is_file() and file.stat().st_size == size and file_sha256(file) == sha256:
            return choices
    return {}


def told_choices(told: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a file tells and the weights cannot; heads also from the name of a published size."""
    family = state_dict_to_family(state)
    if family is not LATTE:
        return {name: told[name] for name in family.choices if name in told}
    choices = untraced_choices(told)
    kernel = state.get("x_embedder.proj.weight")
    width = kernel.shape[0] if kernel is not None and kernel.ndim else 0
    named = heads_of_name(told["model"], width) if "model" in told else None
    return choices if named is None else {"heads": named, **choices}


def embedded_file(name: str) -> Path:
    return Path(str(importlib.resources.files(__package__) / "embedded" / EMBEDDED[name]))


def locate(name: str) -> Path:
    """The local file of a checkpoint's name. Raises `CheckpointError` or `WeightsError`."""
    if name.startswith("hf://"):
        from latte_eval.files.download import fetch_hub_file

        return fetch_hub_file(name)
    if name.startswith("drive://"):
        from latte_eval.files.drive import fetch_drive_file

        return fetch_drive_file(name)
    if name in EMBEDDED:
        path = embedded_file(name)
        if not path.is_file():
            raise CheckpointError(f"this installation lacks {EMBEDDED[name]}, the {name} checkpoint; install it again")
        return path
    path = Path(name).expanduser()
    if not path.exists() and (advice := hub_advice(name)):
        raise CheckpointError(f"{name} is no file here: {advice}")
    if not path.exists() and len(Path(name).parts) == 1:
        close = suggestion(name, [*EMBEDDED, *names_beside(path)])
        raise CheckpointError(f"{name} does not exist{close}")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise CheckpointError(f"{name} is a pipe or a device: a checkpoint is read more than once, from a file")
    return path


def iteration_of(metadata: Mapping[str, Any], file: Path) -> int | None:
    """Training steps from the metadata, else from names such as `0100000.pt` or `model_step5000.pt`."""
    for key in ITERATION_KEYS:
        if is_number(metadata.get(key)) and metadata[key] >= 0:
            return int(metadata[key])
    found = re.search(r"(?:^|(?:step|iter|iteration)s?[-_=]?)(\d+)$", file.stem)
    return int(found[1]) if found else None


def check_model(checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError`, with the file's name, unless keys and shapes are those of a Latte or VDT.

    They do not depend on the heads, which may still be given.
    """
    shaping = [name for name in ("variant", "temporal_position") if name in checkpoint.choices]
    try:
        checkpoint.family.check(checkpoint.state, **{name: checkpoint.choices[name] for name in shaping})
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
