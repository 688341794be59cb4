"""Features of a planned side that jobs have stored, or what of them is lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte_eval.core.errors import AbsentFile, DamagedFile
from latte_eval.core.features import Features
from latte_eval.files.plans import PlannedSide
from latte_eval.files.run_folder import FEATURES, Range, RunFolder, feature_key
from latte_eval.files.shards import Shard, checked_shard, join_shards, uncovered


@dataclass(frozen=True)
class Gathered:
    """What the shards of one side by one detector give.

    Attributes:
        target: candidates 0..target-1 are needed for the clips that are wanted, as far as is known.
        lacking: those of them that no usable shard holds.
        features: of the wanted clips, once nothing is lacking; fewer where the source has no more candidates.
        faults: shards that cannot be used, one sentence each.
    """

    target: int
    lacking: list[Range]
    features: Features | None
    faults: list[str]


def gather(run: RunFolder, side: PlannedSide, detector: Mapping[str, Any]) -> Gathered:
    """The stored features of the first clips of a side, each once; a candidate that could not be read gives way to the
    next, as in `extract`. Damaged shards, and those of other clips, count as absent."""
    shards, faults = usable_shards(run, feature_key(side.fingerprint, detector), side.candidates)
    target = side.goal
    while True:
        if lacking := uncovered([shard.span for shard in shards], (0, target)):
            return Gathered(target, lacking, None, faults)
        features = join_shards([shard.features for shard in shards], target)
        missing = side.goal - len(features)
        if missing <= 0 or target == side.limit:
            return Gathered(target, [], features.first(side.goal), faults)
        target = min(side.limit, target + missing)


def usable_shards(run: RunFolder, key: str, candidates: Sequence[str] | None) -> tuple[list[Shard], list[str]]:
    """Shards that hold what they should, and why others cannot be used."""
    shards, faults = list[Shard](), list[str]()
    for path in run.files(f"{FEATURES}/{key}", ".safetensors"):
        try:
            shard = checked_shard(path)
        except (AbsentFile, DamagedFile) as error:
            faults.append(said(path, str(error)))
            continue
        if misfit := shard.misfit(candidates):
            faults.append(f"{path.parent.name}/{path.name} {misfit}")
        else:
            shards.append(shard)
    return sorted(shards, key=lambda shard: shard.span), faults


def said(path: Path, text: str) -> str:
    """An error about a shard without its folder, and without what to do about it."""
    return f"{path.parent.name}/{path.name} {text.removeprefix(f'{path} ').partition(';')[0]}"
