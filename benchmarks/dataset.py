"""`Dataset`: a benchmark of the published tables, and how to find its clips in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from latte_eval.benchmarks.benchmark import BENCHMARKS, Benchmark
from latte_eval.benchmarks.readers.places import VIDEO_SUFFIXES
from latte_eval.benchmarks.tree import Tree, open_tree
from latte_eval.core.choices import check_choice
from latte_eval.core.errors import ClipError, UsageError
from latte_eval.core.protocol import PUBLISHED_CLIPS, Protocol
from latte_eval.core.protocols import COUNTS, PROTOCOLS

if TYPE_CHECKING:
    from latte_eval.benchmarks.readers import FolderSource
    from latte_eval.files.team import Team
    from latte_eval.sampler.model import ModelConfig

DEFAULT_PROTOCOL = "latte"
# A published row was measured on every clip of its split; a few damaged ones may be missing.
WHOLE = 0.9

# How many names are looked at to tell one dataset from another.
SAMPLE = 200
SINGLE = ("train", "test", "validation")


@dataclass(frozen=True)
class Layout:
    """One of the ways in which a dataset may lie on disk.

    Attributes:
        title: what to call it.
        paths: where, below the folder that a person names, the clips may be; `{split}` stands for the split.
    """

    title: str
    paths: tuple[str, ...]

    def folders(self, split: str) -> list[str]:
        """The paths for one split; those that name a split are left out for `train+test` and `all`."""
        return [path.format(split=split) for path in self.paths if split in SINGLE or "{split}" not in path]

    def split_folders(self, split: str) -> list[str]:
        """Only the paths that name the split."""
        return [path.format(split=split) for path in self.paths if "{split}" in path]


@dataclass(frozen=True)
class Copy:
    """A known copy of a dataset, recognised by the size of its frames.

    Attributes:
        title: what to call it.
        comparable: what a distance measured on it can be compared with.
    """

    title: str
    comparable: str


@dataclass(frozen=True)
class Found:
    """Where the clips of a benchmark are.

    Attributes:
        path: folder or zip archive to open.
        within: the part of the archive that counts; empty where all of it does, and for folders.
        split: the split that was looked for.
        layout: how it is laid out.
        only: names of the videos that count (file or folder name without suffix), or None for all.
        drop: names of videos that are left out.
    """

    path: Path
    within: str
    split: str
    layout: Layout
    only: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()

    def keeps(self, video: str) -> bool:
        """Whether a video, named by its path below `path` or `within`, counts."""
        parts = {*PurePosixPath(video).parts, video_name(video)}
        dropped = any(part in self.drop or part.rpartition("_")[0] in self.drop for part in parts)
        return not dropped and (self.only is None or video_name(video) in self.only)


@dataclass(frozen=True, kw_only=True)
class Dataset(Benchmark):
    """A dataset of the published tables.

    Attributes:
        origin: where the data comes from, preprocessed copies first.
        licence: licence or request form.
        real_split: the split that the published numbers are measured against.
        stride: distance between real frames under the `latte` and `clean` protocols.
        checkpoint: the published weights.
        guidance_scale: of classifier-free guidance with the published weights.
        video_names: regular expression of a video's name as released.
        copies: (width, height) of the frames -> the known copy of that size.
        folder_names: names that its folder or archive may have in a folder of datasets, as in `table2 --data-dir`.
        expected: split -> number of videos, None where no count is published.
        bad_videos: name -> why it is left out.
        layouts: most specific first.
        advice: what has misled users.
    """

    origin: str
    licence: str
    real_split: str
    stride: int
    checkpoint: str
    video_names: str
    copies: Mapping[tuple[int, int], Copy]
    folder_names: tuple[str, ...]
    expected: Mapping[str, int | None]
    layouts: tuple[Layout, ...]
    advice: str
    guidance_scale: float = 1.0
    bad_videos: Mapping[str, str] = field(default_factory=dict)

    @property
    def sampler(self) -> dict[str, Any]:
        """How the published numbers were sampled."""
        return {"method": "ddpm", "steps": 250, "guidance_scale": self.guidance_scale, "clip_x0": False}

    @property
    def honours(self) -> frozenset[str]:
        """Splits are folders or lists; one that cannot be told from another is refused by `locate`."""
        return frozenset({"real_split"})

    def protocol(self, name: str | None = None) -> Protocol:
        """The named protocol with this dataset's own values, by default `latte`. Raises `ProtocolError`."""
        name = name or DEFAULT_PROTOCOL
        check_choice("--protocol", name, PROTOCOLS)
        own = {"real_split": self.real_split, "real_stride": self.stride, **dict.fromkeys(COUNTS, PUBLISHED_CLIPS)}
        named = PROTOCOLS[name]
        set_here = {field: own[field] for field in named.of_benchmark} | dict(named.on.get(self.name, {}))
        return named.protocol.replace(benchmark=self.name, **set_here)

    def open_real(
        self,
        folder: Path | None,
        protocol: Protocol,
        seed: int,
        progress: Callable[[int], None],
        team: Team | None = None,
    ) -> FolderSource:
        """The part of a folder that counts. Raises `UsageError` without a folder, `ClipError` for a wrong one."""
        from latte_eval.benchmarks.readers import FolderSource

        if folder is None:
            raise UsageError(f"give --real FOLDER: where {self.name} lies on this machine")
        found = self.locate(folder, protocol.real_split)
        return FolderSource.open(
            found.path, protocol, seed, "real", wanted=protocol.real_clips, classes=self.classes, within=found.within,
            keep=found.keeps, progress=progress, team=team,
        )  # fmt: skip

    def fits(self, config: ModelConfig) -> bool:
        """Whether a checkpoint has the classes of this dataset, and latents of the published VAE."""
        return config.classes == (len(self.classes) or None) and config.channels == 4

    def check_classes(self, classes: int | None) -> None:
        """Raise `UsageError` unless a checkpoint with so many classes fits; None is unconditional."""
        wanted = len(self.classes) or None
        if classes != wanted:
            has = "is unconditional" if classes is None else f"has {classes} classes"
            needs = "is unconditional" if wanted is None else f"has {wanted} classes"
            raise UsageError(
                f"the checkpoint {has}, {self.title} {needs}: it was trained on another dataset, or for another number "
                "than the published ones; leave --benchmark out and give --real DIR for one of its own"
            )

    def locate(self, root: Path, split: str | None = None) -> Found:
        """Find the clips of a split below `root`, a folder or zip archive in any of the known layouts.

        Raises:
            ClipError: there is nothing, another split, or another of the four datasets; the error says which.
        """
        split, tree = split or self.real_split, open_tree(root)
        whole = self.real_split == "train+test"
        only = read_split_lists(root).get(split) if whole else None
        by_folder = whole and split in SINGLE and only is None and root.name != split
        layout, folder = find_layout(self, tree, split, by_folder)
        self.check_split(tree, folder, split)
        self.check_told(tree, folder, split)
        check_dataset(self, tree, folder)
        path, within = (root / folder, "") if root.is_dir() else (root, folder)
        return Found(path, within, split, layout, only, frozenset(self.bad_videos))

    def folder_in(self, data: Path) -> Path | None:
        """Its folder or zip archive in a folder of datasets, or None."""
        names = [name + suffix for name in self.folder_names for suffix in ("", ".zip")]
        return next((data / name for name in names if (data / name).exists()), None)

    def check_split(self, tree: Tree, folder: str, split: str) -> None:
        """Raise `ClipError` if the folder, or what it holds, is named after another split."""
        place = tree.root / folder
        own = place.parent.name if place.name in ("videos", "images", "frames") else place.name
        for name in (own, *tree.listing(folder)[0]):
            said = said_split(name)
            if said and split in SINGLE and said != split:
                raise ClipError(
                    f"{place} is the {said} split of {self.title}; the published numbers are measured against "
                    f"{split}: give the {split} folder, or the one that holds both"
                )

    def check_told(self, tree: Tree, folder: str, split: str) -> None:
        """Raise `ClipError` for a split which the folder does not tell from the usual one: it would be a mere name.

        Where the usual split is both, `locate` has found the folder or the list of a single one.
        """
        if split == self.real_split or (split in SINGLE and self.real_split == "train+test"):
            return
        whole = "train+test" if self.real_split == "train+test" else "all"
        if split not in (whole, *SINGLE):
            raise ClipError(f"{self.title} as a whole is real_split={whole}; {split} would only be another name for it")
        around = [*tree.root.resolve().parts[-2:], *PurePosixPath(folder).parts]
        names = tree.listing(folder)[0] if split == whole else around
        if not any(said_split(name) in (SINGLE if split == whole else (split,)) for name in names):
            raise ClipError(
                f"{tree.root / folder} does not say which of its videos are {split}: give the folder that holds a "
                f"folder per split, or leave real_split at {self.real_split}"
            )


def find_dataset(name: str) -> Dataset:
    """The dataset called `name`. Raises `UsageError` with a suggestion, and for a benchmark that is no dataset."""
    row = BENCHMARKS[name]
    if not isinstance(row, Dataset):
        raise UsageError(f"{name} is drawn on the fly: it has no folder; latte-eval fvd --benchmark {name} needs none")
    return row


def datasets() -> list[Dataset]:
    """Every dataset of the published tables."""
    return [row for row in BENCHMARKS.rows() if isinstance(row, Dataset)]


def said_split(name: str) -> str | None:
    """The split that the name of a folder or archive says: `sky_train` says `train`."""
    found = re.fullmatch(r"(?:sky_)?(train|test|val|validation)(?:\.zip)?", name.lower())
    return None if found is None else "validation" if found[1] == "val" else found[1]


def video_name(video: str) -> str:
    """The name of a video file or frame folder, without a video suffix."""
    path = PurePosixPath(video)
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name


def find_layout(benchmark: Dataset, tree: Tree, split: str, by_folder: bool) -> tuple[Layout, str]:
    """The first layout whose folder is there and holds videos.

    Args:
        by_folder: only a folder that is named after the split will do.

    Raises:
        ClipError: there is none; the error says what is there.
    """
    for layout in benchmark.layouts:
        for folder in layout.split_folders(split) if by_folder else layout.folders(split):
            if tree.has_folder(folder) and next(tree.videos(folder), None) is not None:
                return layout, folder
    if by_folder:
        raise ClipError(
            f"{tree.root} has neither {split}list01.txt nor a folder {split}: put the folder ucfTrainTestlist of "
            f"the official splits beside it"
        )
    folders, files = tree.listing("")
    shown = ", ".join([*folders[:3], *files[:3]]) or "nothing"
    raise ClipError(
        f"{tree.root} holds no videos and no frame folders of {benchmark.title} ({split}): it holds {shown}. "
        f"`latte-eval data list` shows the known layouts"
    )


def check_dataset(benchmark: Dataset, tree: Tree, folder: str) -> None:
    """Raise `ClipError` if the names are those of another of the four datasets."""
    names = [video_name(video) for video in islice(tree.videos(folder), SAMPLE)]
    if share_of_names(benchmark, names) > 0.1:
        return
    for other in datasets():
        if other.name != benchmark.name and share_of_names(other, names) > 0.5:
            example = next(name for name in names if re.fullmatch(other.video_names, name))
            raise ClipError(
                f"{tree.root} is {other.title}, not {benchmark.title}: its videos are called like {example}. "
                f"Use --benchmark {other.name}, or give another folder"
            )


def share_of_names(benchmark: Dataset, names: list[str]) -> float:
    """Share of the names that are written as this dataset writes them."""
    return sum(bool(re.fullmatch(benchmark.video_names, name)) for name in names) / max(1, len(names))


def read_split_lists(root: Path) -> dict[str, frozenset[str]]:
    """`train` and `test` -> video names, from trainlist01.txt and testlist01.txt in or beside `root`.

    Raises `ClipError` for a list that is no text.
    """
    found = {}
    for split in ("train", "test"):
        for folder in (root, root / "ucfTrainTestlist", root.parent / "ucfTrainTestlist", root.parent):
            path = folder / f"{split}list01.txt"
            if path.is_file():
                try:
                    lines = path.read_text(encoding="utf-8").splitlines()
                except (OSError, UnicodeDecodeError) as error:
                    raise ClipError(f"{path} cannot be read as a list of videos: {error}") from error
                found[split] = frozenset(video_name(line.split()[0]) for line in lines if line.strip())
                break
    return found
