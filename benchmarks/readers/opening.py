"""What a person may name as a place: a folder, an archive, one file of videos, or a text file that lists some."""

from __future__ import annotations

import csv
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latte_eval.benchmarks.readers.arrays import ARRAY_SUFFIXES, split_name
from latte_eval.benchmarks.readers.faults import refuse_fault
from latte_eval.benchmarks.readers.places import (
    BROKEN_LINK,
    FRAME_SUFFIXES,
    VIDEO_SUFFIXES,
    File,
    Folder,
    Place,
    ZipFolder,
    is_hidden,
    join,
    printable,
)
from latte_eval.benchmarks.readers.tars import TAR_SUFFIXES, open_shards, open_tar
from latte_eval.core.clips import Rejected
from latte_eval.core.errors import ClipError, UsageError

# Letters of a path that a message shows.
MOST_SHOWN = 300

LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".lst")

# What the column of paths is called in a list with a heading.
PATH_COLUMNS = ("path", "paths", "file", "files", "filename", "file_name", "filepath", "file_path", "video",
                "video_path", "videopath", "video_file")  # fmt: skip


@dataclass
class Chosen(Folder):
    """Files and folders that were named one by one.

    Attributes:
        chosen: their paths relative to the root, each once.
        array: name of the array that counts, of several in a file.
        name: what a person calls them.
    """

    chosen: tuple[str, ...] = ()
    array: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def is_one_array(self) -> bool:
        """Whether a person named one file of arrays and nothing else."""
        return len(self.chosen) == 1 and self.chosen[0].lower().endswith(ARRAY_SUFFIXES)

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """As `Folder.folders`, for what was chosen alone. What is not there is added to `rejected`."""
        grouped: dict[str, list[File]] = {}
        for path in self.chosen:
            self.add(path, grouped)
        yield from grouped.items()

    def add(self, path: str, grouped: dict[str, list[File]]) -> None:
        """Note a file, or everything below a folder, under the folder that it lies in. Raises `MachineFault`."""
        try:
            status = (self.root / path).stat()
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) not in BROKEN_LINK:
                refuse_fault(error, printable(path))
            reason = getattr(error, "strerror", error)
            self.rejected.append(Rejected(printable(path), f"is in the list, cannot be read: {reason}"))
            return
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            self.rejected.append(Rejected(printable(path), "is in the list, and a pipe or a device"))
        elif not stat.S_ISDIR(status.st_mode):
            folder, _, name = path.rpartition("/")
            grouped.setdefault(folder, []).append(File(name, status.st_size, status.st_mtime_ns))
        else:
            self.add_folder(path, grouped)

    def add_folder(self, path: str, grouped: dict[str, list[File]]) -> None:
        """Note everything below a folder."""
        inner = Folder(self.root / path)
        for folder, files in inner.folders():
            grouped.setdefault(join(path, folder) if folder else path, []).extend(files)
        self.rejected += [Rejected(join(path, each.path), each.reason) for each in inner.rejected]


def open_place(path: Path, within: str = "") -> Place:
    """A folder, a zip or tar archive, one video or array file (a folder of one) or a list of videos.

    `samples.npz:videos` is one of several arrays in a file.

    Raises `UsageError` for a path that does not exist, `ClipError` for another file.
    """
    path, array = split_name(path)
    if array:
        return Chosen(path.absolute().parent, chosen=(path.name,), array=array)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except OSError as error:
        raise ClipError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        if not stat.S_ISREG(mode):
            raise ClipError(f"{path} is a pipe or a device: videos are read more than once, from files")
        return open_file_place(path, within)
    shards = shards_in(path / within)
    return open_shards(path / within, shards) if shards else Folder(path / within)


def shards_in(folder: Path) -> list[Path]:
    """The tar archives of a folder that holds them instead of videos, frames and folders, as WebDataset writes them."""
    try:
        shown = [path for path in folder.iterdir() if not is_hidden(path.name)]
    except OSError:
        return []  # `Folder` says why
    tars = sorted(path for path in shown if path.suffix.lower() == ".tar")
    others = (path for path in shown if path.is_dir() or path.suffix.lower() in (*VIDEO_SUFFIXES, *FRAME_SUFFIXES))
    return tars if tars and next(others, None) is None else []


def open_file_place(path: Path, within: str) -> Place:
    """As `open_place`, for a file."""
    suffix = path.suffix.lower()
    if suffix in (*VIDEO_SUFFIXES, *ARRAY_SUFFIXES):
        return Chosen(path.absolute().parent, chosen=(path.name,))
    if path.name.lower().endswith(TAR_SUFFIXES):
        return open_tar(path)
    if suffix in LIST_SUFFIXES:
        return open_list(path)
    if suffix != ".zip" and not zipfile.is_zipfile(path):
        image = "; an image is a frame: name the folder that holds it" if suffix in FRAME_SUFFIXES else ""
        raise ClipError(
            f"{path} is neither a folder nor a zip archive, a video or a list of videos ({', '.join(LIST_SUFFIXES)}); "
            f"name the folder that holds the videos{image}"
        )
    return ZipFolder.open(path, within)


def open_list(path: Path) -> Chosen:
    """The videos and folders of frames that a text file names, one a line, relative to the folder of the list.

    The root is the innermost folder that holds all of them, so that a list has the clips of the folder it lists.

    Raises `ClipError` for a file that is no text or names nothing that is there.
    """
    try:
        named = listed_paths(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ClipError(f"{path} cannot be read as a list of videos: {error}") from error
    found = [os.path.normpath(path.absolute().parent / name) for name in dict.fromkeys(named)]
    if not any(is_there(each) for each in found):
        first = f"; the first is {found[0][:MOST_SHOWN]}" if found else ""
        raise ClipError(
            f"{path} lists {len(found):,} paths, none of which is there{first}. A list names one video a line, "
            f"relative to the folder of the list, or in a column called path"
        )
    return choose(found, str(path))


def choose(paths: Sequence[str], name: str) -> Chosen:
    """These absolute paths, under the innermost folder that holds all of them."""
    root = os.path.commonpath([Path(each).parent for each in paths])
    return Chosen(Path(root), chosen=tuple(dict.fromkeys(os.path.relpath(each, root) for each in paths)), name=name)


def open_paths(paths: Sequence[str | Path]) -> Chosen:
    """Videos, arrays and folders that are named one by one, as a list of them in a file. Raises `UsageError`."""
    found = [os.path.abspath(path) for path in dict.fromkeys(map(str, paths))]  # noqa: PTH100 a tilde is no letter
    if not any(is_there(each) for each in found):
        first = f"; the first is {found[0][:MOST_SHOWN]}" if found else ""
        raise UsageError(f"{len(found):,} paths were given, none of which is there{first}")
    return choose(found, f"{len(found):,} paths from {paths[0]} on")


def is_there(path: str) -> bool:
    """Whether a path leads to something; False for a text that no system takes for one."""
    try:
        Path(path).stat()
    except (OSError, ValueError):
        return False
    return True


def listed_paths(path: Path) -> list[str]:
    """The paths of a list: a column of a table, or the lines. Raises `OSError`, `UnicodeDecodeError`, `csv.Error`."""
    text = path.read_text(encoding="utf-8-sig")
    if delimiter := {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower()):
        return column_of_paths(list(csv.reader(text.splitlines(), delimiter=delimiter)))
    lines = [line.strip() for line in text.splitlines()]
    return [path_of_line(line, path.absolute().parent) for line in lines if line and not line.startswith("#")]


def column_of_paths(rows: list[list[str]]) -> list[str]:
    """The paths of a table: the column whose heading says so, else the first."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    heading = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = next((heading.index(name) for name in PATH_COLUMNS if name in heading), None)
    if column is not None:
        return [row[column].strip() for row in rows[1:] if len(row) > column]
    return [row[0].strip() for row in rows]


def path_of_line(line: str, folder: Path) -> str:
    """The path of a line; a label or a count may follow it, as in `Archery/v_Archery_g01_c01.avi 1`."""
    return line if len(line.split()) < 2 or is_there(str(folder / line)) else line.split()[0]
