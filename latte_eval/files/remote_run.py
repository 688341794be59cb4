"""A run folder behind an address: a local copy on which everything works, and what is written goes there at once.

Every shard, plan and results file is written here, whole, and then there, whole. Shards are read from there when they
are needed; their digests tell whether they arrived as they were written. results.jsonl is read, appended to and written
back: one process at a time may do so, the one that merges or that runs without --shard. `checkpoints.jsonl` stays on
the machine: it is about paths of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.request import url2pathname

from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.processes import world_size
from latte_eval.core.result import Result
from latte_eval.files.remote import RemoteFolder, is_address, parts_of, public_address
from latte_eval.files.run_folder import FEATURES, PREVIEWS, RunFolder, content_key, preview_key
from latte_eval.files.shards import Range, overlap, shard_span
from latte_eval.files.weights import cache_folder
from latte_eval.files.whole_files import write_replaceable

# Beside a file that is not known to have arrived there.
UNSENT = ".unsent"


def open_run(place: Path | str) -> RunFolder:
    """The run folder at a path or an address. Nothing is touched."""
    if isinstance(place, Path) or not is_address(place):
        return RunFolder(place)
    parts = parts_of(place)
    return RunFolder(url2pathname(parts.path)) if parts.scheme == "file" else RemoteRun(RemoteFolder(place))


class RemoteRun(RunFolder):
    """A run folder behind an address.

    Args:
        folder: need not hold anything yet.
    """

    def __init__(self, folder: RemoteFolder):
        super().__init__(local_copy(folder.public, "run"))
        self.folder = folder
        self.listed: dict[str, set[str]] = {}  # folder -> names there, when it was looked at last
        self.current: set[str] = set()  # shards that are here as they are there

    @property
    def place(self) -> str:
        return self.folder.public

    def make(self) -> RunFolder:
        """Make the local copy, see that the address can be written, and send what did not arrive last time.

        Raises `StoreError`; `UsageError` for processes of one torchrun on several machines, which share no local copy.
        """
        if world_size() > int(os.environ.get("LOCAL_WORLD_SIZE", world_size())):
            raise UsageError(f"--out {self.place} serves the processes of one machine: give each machine a "
                             "--shard K/N without torchrun, or a folder that all machines share")  # fmt: skip
        super().make()
        self.folder.check_writable()
        for mark in sorted(self.path.rglob(f"*{UNSENT}")):
            path = mark.with_name(mark.name.removesuffix(UNSENT).removeprefix("."))
            if path.is_file():  # another process may be about to write it
                self.send(path)
                mark.unlink(missing_ok=True)
        return self

    def name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def has(self, path: Path) -> bool:
        try:
            self.fetch([self.name(path)])
        except FileNotFoundError:
            return False
        return True

    def files(self, folder: str, suffix: str) -> list[Path]:
        names = [name for name in self.look(folder) if name.endswith(suffix) and name.rpartition("/")[0] == folder]
        self.fetch(names)
        return [self.path / name for name in sorted(names)]

    def write_file(self, path: Path, data: bytes) -> None:
        """Write a file here, then there. Raises `StoreError`; what is here is sent by the next run."""
        mark = path.with_name(f".{path.name}{UNSENT}")
        write_replaceable(mark, b"")
        super().write_file(path, data)
        self.send(path)
        mark.unlink(missing_ok=True)

    def send(self, path: Path) -> None:
        """Write a file there as it is here. Raises `StoreError`."""
        try:
            self.folder.write(self.name(path), path.read_bytes())
        except (StoreError, OSError) as error:
            raise StoreError(f"{error}; {path} is kept, and the same command sends it") from error
        self.current.add(self.name(path))

    def look(self, folder: str) -> set[str]:
        """The names below a folder there."""
        self.listed[folder] = set(self.folder.names(folder))
        return self.listed[folder]

    def fetch(self, names: Iterable[str]) -> None:
        """Bring files here as they are there; shards that this process has brought or written are not read again.

        Raises `StoreError`; `FileNotFoundError` for one that is absent.
        """
        wanted = [name for name in names if name not in self.current or not (self.path / name).is_file()]
        for name, data in self.folder.read(wanted):
            write_replaceable(self.path / name, data)
            if name.startswith((f"{FEATURES}/", f"{PREVIEWS}/")):
                self.current.add(name)

    def shards(self, kind: str, key: str) -> list[tuple[Range, Path]]:
        folder = f"{kind}/{key}"
        there = self.listed[folder] if folder in self.listed else self.look(folder)
        names = there | {name for name in self.current if name.startswith(f"{folder}/")}
        paths = [self.path / name for name in names if name.endswith(".safetensors")]
        return sorted((span, path) for path in paths if (span := shard_span(path)))

    def fetch_shards(self, kind: str, key: str, spans: Sequence[Range] | None) -> list[str]:
        """Look anew which shards are there, and bring those of some candidates; their names."""
        self.look(f"{kind}/{key}")
        found = [self.name(path) for span, path in self.shards(kind, key)
                 if spans is None or any(overlap(span, each) for each in spans)]  # fmt: skip
        self.fetch(found)
        return found

    def drop_unusable(
        self, key: str, count: int, candidates: Sequence[str] | None = None, within: Sequence[Range] | None = None
    ) -> None:
        names = self.fetch_shards(FEATURES, key, [(0, count)] if within is None else within)
        super().drop_unusable(key, count, candidates, within)
        for name in names:
            if not (self.path / name).exists():
                self.folder.remove(name)
                self.current.discard(name)
                self.listed[f"{FEATURES}/{key}"].discard(name)

    def read_features(
        self, key: str, count: int | None = None, candidates: Sequence[str] | None = None
    ) -> Features | None:
        self.fetch_shards(FEATURES, key, None if count is None else [(0, count)])
        return super().read_features(key, count, candidates)

    def read_previews(self, fingerprint: str, indices: Sequence[int]) -> dict[int, bytes]:
        self.fetch_shards(PREVIEWS, preview_key(fingerprint), [(index, index + 1) for index in indices])
        return super().read_previews(fingerprint, indices)

    def wait_for(self, kind: str, key: str, span: Range, name: str) -> None:
        self.look(f"{kind}/{key}")
        super().wait_for(kind, key, span, name)

    def append_results(self, results: Sequence[Result]) -> list[Result]:
        """As of a local folder. The file is read, appended to and written back: one process at a time may do so."""
        if not self.has(self.results_file):
            self.results_file.unlink(missing_ok=True)
        repeated = super().append_results(results)
        self.send(self.results_file)
        return repeated


def is_pulled(path: Path) -> bool:
    """Whether a path is in a local copy, so that what is written there reaches nobody."""
    return path.is_relative_to(cache_folder() / "remote")


def local_copy(public: str, purpose: str) -> Path:
    """Where the files of an address lie on this machine."""
    return cache_folder() / "remote" / content_key(public) / purpose


def pulled(address: str, suffix: str = "") -> Path:
    """A local copy of a run, of a folder of runs, or of one of their files, as they are now; it is to be read only.

    Args:
        suffix: of the files that are needed; all for an empty one.

    Raises:
        StoreError: there is nothing, or the store refuses.
    """
    if parts_of(address).scheme == "file":
        return Path(url2pathname(parts_of(address).path))
    above, _, file = address.rpartition("/") if address.endswith(".jsonl") else (address, "", "")
    folder, copy = RemoteFolder(above), local_copy(public_address(above), f"copy{suffix}")
    names = [name for name in folder.names() if name.endswith(suffix)]
    if not names or (file and file not in names):
        raise StoreError(f"{public_address(address)} holds no run; runs write one, as in latte-eval fvd ... --out URL")
    shutil.rmtree(copy, ignore_errors=True)
    for name, data in folder.read(names):
        write_replaceable(copy / name, data)
    return copy / file if file else copy
