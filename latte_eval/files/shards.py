"""One shard: features or previews of a range of candidates, in one file of a run folder.

A shard carries a digest of what it holds, and of its place in the run folder. Shards of features also say which clip
each of their candidates was, where the number of a clip does not tell: in a folder, numbers move when files do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latte_eval.core.clips import Rejected
from latte_eval.core.errors import AbsentFile, DamagedFile, StoreError
from latte_eval.core.features import Features
from latte_eval.core.notices import notice
from latte_eval.core.schemas import Schema, is_count, is_pair_of_texts, is_text, list_of, or_none
from latte_eval.files.whole_arrays import Content, read_content
from latte_eval.files.whole_files import unfinished_path

# Clips in a shard: the most that a killed run loses per process.
SHARD_CLIPS = 32

# Notes of a shard of features by version 0.1; those of later ones may have more.
FIRST_NOTES = ("groups", "labels", "rejected")
NOTES = Schema({"rejected": list_of(is_pair_of_texts), "groups": list_of(is_text)},
               {"labels": or_none(list_of(is_count)), "candidates": or_none(list_of(is_text))})  # fmt: skip

Range = tuple[int, int]  # first candidate, and the one after the last


@dataclass(frozen=True)
class Shard:
    """Features of a range of candidates.

    Attributes:
        candidates: which clip each candidate of the range is; None where the file does not say.
        verified: whether its digest says that it is what was written; False for a file of version 0.1.
    """

    path: Path
    span: Range
    features: Features
    candidates: list[str] | None
    verified: bool

    def misfit(self, candidates: Sequence[str] | None) -> str:
        """Why it does not hold the clips that are asked for; nothing where it does.

        Args:
            candidates: which clip each candidate from 0 on is, as far as they are asked for; None where its number
                tells.
        """
        if candidates is None:
            return ""
        if self.candidates is None:
            return "does not say which clips it holds"
        wanted = candidates[slice(*self.span)]
        moved = [pair for pair in zip(self.candidates, wanted, strict=False) if pair[0] != pair[1]]
        if not moved:
            return ""
        return f"holds other clips: {len(moved):,} of {len(wanted):,}, such as {moved[0][0]} for {moved[0][1]}"


def shard_place(path: Path) -> str:
    """Where a shard belongs in any run folder: its kind, the key of its source and detector, its candidates."""
    return "/".join((*path.parts[-3:-1], path.stem))


def shard_span(path: Path) -> Range | None:
    """The candidates of a shard, by its name; None for another file."""
    found = re.fullmatch(r"(\d+)-(\d+)", path.stem)
    return (int(found[1]), int(found[2])) if found else None


def unusable(path: Path, belongs: Path, candidates: Sequence[str] | None) -> str:
    """Why a shard of features that belongs at a path cannot be used; nothing where it can."""
    try:
        shard = checked_shard(path, belongs)
    except AbsentFile:  # another job took it away
        return ""
    except DamagedFile as error:
        return str(error).removeprefix(f"{path} ").partition(";")[0]
    return shard.misfit(candidates)


def drop(path: Path, candidates: Sequence[str] | None) -> None:
    """Delete a shard that cannot be used, with a notice.

    It is moved aside before it is looked at once more: another job may have put a good one in its place meanwhile.
    """
    aside = unfinished_path(path)
    try:
        path.rename(aside)
        why = unusable(aside, path, candidates)
        aside.unlink() if why else aside.replace(path)
    except FileNotFoundError:  # another job was first
        return
    except OSError as error:
        raise StoreError(f"{path} cannot be used, nor deleted ({error.strerror}); delete it") from error
    if why:
        notice(f"{path} {why}: it is made again")


def overlap(one: Range, other: Range) -> bool:
    """Whether two ranges have a candidate in common."""
    return one[0] < other[1] and other[0] < one[1]


def uncovered(spans: Iterable[Range], span: Range) -> list[Range]:
    """What of a range none of these ranges covers, as ranges of at most one shard."""
    covered = np.zeros(span[1] - span[0], bool)
    for start, stop in spans:
        covered[max(0, start - span[0]) : max(0, stop - span[0])] = True
    return list(runs_of(~covered, span[0]))


def runs_of(flags: np.ndarray, first: int) -> Iterator[Range]:  # [N] bool
    """Ranges of consecutive true flags, counted from `first`, cut where a shard ends."""
    start: int | None = None
    for index, flag in enumerate([*flags, False], start=first):
        if start is not None and (not flag or index % SHARD_CLIPS == 0):
            yield start, index
            start = None
        if flag and start is None:
            start = index


def read_shard(path: Path, belongs: Path | None = None) -> Content:
    """Arrays and notes of a shard, from a folder that need not be writable.

    Args:
        belongs: where it belongs, if it is not there.

    Raises:
        StoreError: it cannot be read.
        DamagedFile: it is not what was written there.
    """
    try:
        return read_content(path, shard_place(belongs or path), FIRST_NOTES)
    except DamagedFile as error:
        raise DamagedFile(f"{error}; delete it and run the same command again") from error


def checked_shard(path: Path, belongs: Path | None = None) -> Shard:
    """A shard of features with a row, a group and, where there are classes, a label for each clip.

    Arguments and errors as of `read_shard`.
    """
    content, span = read_shard(path, belongs), shard_span(belongs or path)
    arrays, notes = content.arrays, content.notes
    indices, groups, labels = arrays.pop("indices", None), notes.get("groups"), notes.get("labels")
    count, candidates = -1 if indices is None else len(indices), notes.get("candidates")
    lists = [groups, *([labels] if labels else []), *(arrays.values() if count else ())]
    fault = NOTES.fault(notes) or not is_column(indices) or any(each is None or len(each) != count for each in lists)
    if fault or span is None:
        raise DamagedFile(f"{path} is no whole shard of features; delete it and run the same command again")
    assert indices is not None and groups is not None
    rejected = [Rejected(where, reason) for where, reason in notes["rejected"]]
    features = Features(arrays, [int(index) for index in indices], groups, rejected, labels)
    return Shard(path, span, features, candidates, content.verified)


def is_column(indices: np.ndarray | None) -> bool:
    """Whether an array holds the index of each clip of a shard."""
    return indices is not None and indices.ndim == 1 and indices.dtype.kind == "i"


def join_shards(shards: Sequence[Features], count: int | None) -> Features:
    """Clips of several shards in order of their index, each once; labels only where every shard has them."""
    filled = [shard for shard in shards if len(shard)]
    names = sorted(set.intersection(*(set(shard.outputs) for shard in filled))) if filled else []
    joined = Features(
        outputs={name: np.concatenate([shard.outputs[name] for shard in filled]) for name in names},
        indices=[index for shard in filled for index in shard.indices],
        groups=[group for shard in filled for group in shard.groups],
        rejected=list(dict.fromkeys(each for shard in shards for each in shard.rejected)),
        labels=joined_labels(filled),
    )
    known, rows = np.unique(np.array(joined.indices, np.int64), return_index=True)
    wanted = rows if count is None else rows[known < count]
    return joined if wanted.tolist() == list(range(len(joined))) else joined.take(wanted)


def joined_labels(shards: Sequence[Features]) -> list[int] | None:
    """The classes of the clips of several shards; None unless every shard has them."""
    if not shards or any(shard.labels is None for shard in shards):
        return None
    return [int(label) for shard in shards for label in shard.labels or ()]
