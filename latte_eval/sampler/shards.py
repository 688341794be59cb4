"""Weights in several files, as diffusers and transformers save large models: shards, and an index of what is where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latte_eval.core.errors import CheckpointError
from latte_eval.core.schemas import is_path, parse_json
from latte_eval.sampler.told import text_of

INDEX = ".index.json"


def index_of(path: Path) -> Path | None:
    """The index that a path is, or that lies in it as a folder; None for anything else."""
    if path.is_dir():
        return min(path.glob(f"[!.]*{INDEX}"), default=None)
    return path if path.name.endswith(INDEX) and path.is_file() else None


def files_of(path: Path) -> list[Path]:
    """Every file that a checkpoint consists of. Raises `CheckpointError` for an index that is damaged."""
    index = index_of(path)
    return [path] if index is None else [index, *shards(index)]


def shards(index: Path) -> list[Path]:
    """The shards of an index, each once. Raises `CheckpointError` where one is absent."""
    found = [index.parent / name for name in sorted(set(weight_map(index).values()))]
    for shard in found:
        if not shard.is_file():
            raise CheckpointError(
                f"{index} names {text_of(shard.name)}, which is not beside it; copy all {len(found)} shards"
            )
    return found


def weight_map(index: Path) -> dict[str, str]:
    """Names of weights to names of shards."""
    try:
        places = parse_json(index.read_bytes())["weight_map"]
        bad = [n for n in places.values() if not is_path(n) or Path(n).name != n or n.endswith(INDEX)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is damaged: it is no index of shards with a weight_map") from error
    if bad or not places:
        named = text_of(bad[0]) if bad else "no shards"
        raise CheckpointError(f"{index} names {named}: shards are files of weights that lie beside their index")
    return dict(places)


def read_shards(index: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    """The weights of all shards, and the config.json beside them under `config`.

    Args:
        read: opens one shard.

    Raises:
        CheckpointError: an index or config that is damaged, a shard that is absent, or one that lacks its weights.
    """
    content: dict[str, Any] = {}
    places = weight_map(index)
    for shard in shards(index):
        held = read(shard)
        if not isinstance(held, Mapping):
            raise CheckpointError(f"{shard} holds a {type(held).__name__}, not a state dict")
        content |= {key: value for key, value in held.items() if places.get(key, shard.name) == shard.name}
    lacking = [key for key in places if key not in content]
    if lacking:
        named = text_of(lacking[0])
        raise CheckpointError(f"{index} names {named}, which its shard lacks; copy or download the shards again")
    return {**content, "config": config_beside(index)}


def config_beside(index: Path) -> dict[str, Any]:
    file = index.parent / "config.json"
    try:
        found = parse_json(file.read_bytes()) if file.is_file() else {}
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged: {error}") from error
    return found if isinstance(found, dict) else {}
