"""Faults of the machine at any moment: the run stops, or nothing changes; a file is rejected for its bytes alone."""

from __future__ import annotations

import builtins
import dataclasses
import errno
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_makers import moving_frames, write_frames, write_lossless
from PIL import Image

from latte_eval.benchmarks.readers import FolderSource, faults
from latte_eval.benchmarks.readers import video as video_module
from latte_eval.benchmarks.readers.arrays import load_videos
from latte_eval.benchmarks.readers.faults import machine_fault
from latte_eval.benchmarks.readers.packets import PacketCount
from latte_eval.core.errors import ClipError, MachineFault
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=4, size=8, real_selection="sorted")
NUMBERS = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EACCES)


def write_videos(folder: Path) -> Path:
    for i in range(3):
        write_lossless(folder / f"{i}.mkv", moving_frames(6, 16, 16) // (i + 1))
    (folder / "1.mkv").write_bytes(b"no video")
    return folder


def write_folders(folder: Path) -> Path:
    for i in range(3):
        write_frames(folder / str(i), moving_frames(5, 16, 16) // (i + 1))
    (folder / "1" / "000003.png").write_bytes((folder / "1" / "000003.png").read_bytes()[:-40])
    return folder


def write_zip(folder: Path) -> Path:
    write_videos(folder)
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, path.name)
    return folder.with_suffix(".zip")


def write_zipped_folders(folder: Path) -> Path:
    write_folders(folder)
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*.png")):
            file.write(path, path.relative_to(folder))
    return folder.with_suffix(".zip")


def write_tar(folder: Path) -> Path:
    write_videos(folder)
    with tarfile.open(folder.with_suffix(".tar"), "w") as file:
        for path in sorted(folder.iterdir()):
            file.add(path, path.name)
    return folder.with_suffix(".tar")


def write_arrays(folder: Path) -> Path:
    folder.mkdir()
    clips = np.stack([moving_frames(6, 16, 16) // (i + 1) for i in range(3)])
    np.save(folder / "a.npy", clips)
    np.savez(folder / "b.npz", clips)
    (folder / "c.npy").write_bytes((folder / "a.npy").read_bytes()[:-2000])
    return folder


def write_animations(folder: Path) -> Path:
    folder.mkdir()
    for i in range(2):
        first, *rest = [Image.fromarray(frame) for frame in moving_frames(6, 16, 16) // (i + 1)]
        first.save(folder / f"{i}.webp", save_all=True, append_images=rest, lossless=True)
    return folder


KINDS = {
    "videos": write_videos, "frames": write_folders, "zip of videos": write_zip, "zip of frames": write_zipped_folders,
    "tar of videos": write_tar, "arrays": write_arrays, "animations": write_animations,
}  # fmt: skip


class Machine:
    """Counts what is asked of the machine, and fails once: at the call `fails_at`, with the error `number`."""

    def __init__(self, root: Path):
        self.root, self.calls, self.fails_at, self.number = str(root), 0, -1, 0

    def asked(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise OSError(self.number, os.strerror(self.number))

    def open(self, file: Any, *arguments: Any, **options: Any) -> Any:
        mine = isinstance(file, str | os.PathLike) and str(file).startswith(self.root)
        if not mine:
            return OPEN(file, *arguments, **options)
        self.asked()
        return Watched(OPEN(file, *arguments, **options), self)

    def open_video(self, file: str, mode: str = "r", **options: Any) -> Any:
        self.calls += 1
        if self.calls == self.fails_at:
            av.error.err_check(-self.number)
        return OPEN_VIDEO(file, mode, **options)

    def temporary(self, **options: Any) -> Any:
        self.asked()
        return Watched(TEMPORARY(**options), self)


OPEN, OPEN_VIDEO, TEMPORARY = builtins.open, av.open, tempfile.NamedTemporaryFile


class Watched:
    """An opened file of which every read, write and flush is counted."""

    def __init__(self, file: Any, machine: Machine):
        self.file, self.machine = file, machine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> Watched:
        self.file.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self.file.__exit__(*error)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.file)

    def read(self, *size: int) -> bytes:
        self.machine.asked()
        return self.file.read(*size)

    def write(self, data: bytes) -> int:
        self.machine.asked()
        return int(self.file.write(data))

    def flush(self) -> None:
        self.machine.asked()
        self.file.flush()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoding_here: None) -> Machine:
    found = Machine(tmp_path)
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", found.open)
    monkeypatch.setattr(video_module.av, "open", found.open_video)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", found.temporary)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # calls in one order
    monkeypatch.setattr("latte_eval.benchmarks.readers.content.AT_ONCE", 1)
    return found


def read_all(path: Path) -> tuple[Any, ...]:
    """Everything that becomes part of a result."""
    load_videos.cache_clear()
    source = FolderSource.open(path, PROTOCOL, 0, "real")
    clips = source.clips(range(len(source)))
    told = [(each.path, each.reason) for each in source.rejected]
    return clips.pixels.tolist(), clips.indices, source.groups(clips.indices), told, source.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_a_passing_fault_never_changes_what_is_measured(kind: str, tmp_path: Path, machine: Machine) -> None:
    path = KINDS[kind](tmp_path / "data")
    machine.calls = 0
    expected, stopped = read_all(path), 0
    calls, random = machine.calls, np.random.default_rng(0)
    every = [(at, errno.EIO) for at in range(1, calls + 1)]
    some = [(int(random.integers(1, calls + 1)), number) for number in NUMBERS for _ in range(4)]
    for machine.fails_at, machine.number in every + some:
        machine.calls = 0
        try:
            assert read_all(path) == expected, (machine.fails_at, errno.errorcode[machine.number])
        except MachineFault as fault:
            assert errno.errorcode[machine.number] in str(fault) or "was read twice" in str(fault)
            stopped += 1
    assert stopped > len(every + some) / 2


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_lasts_stops_the_run(kind: str, number: int, tmp_path: Path, machine: Machine) -> None:
    path = KINDS[kind](tmp_path / "data")
    source = FolderSource.open(path, PROTOCOL, 0, "real")
    load_videos.cache_clear()
    machine.asked = lambda: (_ for _ in ()).throw(OSError(number, os.strerror(number)))  # type: ignore[method-assign]
    known = list(source.rejected)
    with pytest.raises(MachineFault, match=rf"{errno.errorcode[number]}\); .*run the same command again"):
        source.clips(range(len(source)))
    assert source.rejected == known


@pytest.mark.parametrize(("number", "advice"), [
    (errno.EMFILE, "ulimit -n"), (errno.ENOSPC, "set TMPDIR"), (errno.EDQUOT, "set TMPDIR"), (errno.EACCES, "chmod"),
    (errno.ENOMEM, "free some memory"), (errno.ESTALE, "look at the disk or network"),
])  # fmt: skip
def test_what_to_do_is_said(number: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "data")

    def refuse(**_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(MachineFault, match=f".mkv.* could not be read.*{advice}"):
        FolderSource.open(path, PROTOCOL, 0, "real")


def test_a_temporary_folder_that_fills_up_while_a_member_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of closing the file hides that of writing to it."""
    path = write_zip(tmp_path / "data")

    class Full(io.BytesIO):
        name = "full"

        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __exit__(self, *_: object) -> None:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: Full())
    with pytest.raises(MachineFault, match="ENOSPC"):
        FolderSource.open(path, PROTOCOL, 0, "real")


def caused(by: BaseException, error: Callable[[str], BaseException] = ClipError) -> BaseException:
    found = error("x")
    found.__cause__ = by
    return found


@pytest.mark.parametrize(("error", "is_fault"), [
    (OSError("image file is truncated"), False),
    (OSError(errno.EINVAL, "Invalid argument"), False),
    (caused(caused(OSError(errno.EIO, "Input/output error")), ValueError), True),
    (RuntimeError("PytorchStreamReader failed reading zip archive"), False),
    (ClipError("damaged: frame 3 does not decode"), False),
])  # fmt: skip
def test_what_is_a_fault(error: BaseException, is_fault: bool) -> None:
    assert (machine_fault(error) is not None) == is_fault


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("error", [
    caused(MemoryError()), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    caused(av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")),
])  # fmt: skip
def test_a_file_may_ask_for_more_memory_than_there_is(
    error: BaseException, short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is to blame only where it has not even what an ordinary video takes."""
    monkeypatch.setattr(faults, "MOST_AT_ONCE", 2**60 if short else 2**20)
    assert (machine_fault(error) is not None) == short


@pytest.mark.parametrize(("number", "is_fault"), [(errno.EIO, False), (errno.EPERM, False), (errno.EMFILE, True)])
def test_ffmpeg_says_some_numbers_of_bytes(number: int, is_fault: bool) -> None:
    with pytest.raises(av.error.FFmpegError) as caught:
        av.error.err_check(-number)
    assert (machine_fault(caught.value) is not None) == is_fault


def test_a_file_that_is_damaged_once_only_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoding_here: None
) -> None:
    folder, real, asked = write_videos(tmp_path / "data"), video_module.count_packets, []

    def cut_short(*arguments: Any) -> PacketCount:
        asked.append(arguments)
        found = real(*arguments)
        return found if len(asked) > 1 else dataclasses.replace(found, stored=3, shown=3)

    monkeypatch.setattr(video_module, "count_packets", cut_short)
    monkeypatch.setattr(video_module, "declared_frames", lambda *_: 6)
    monkeypatch.setattr(video_module, "container_kind", lambda path: "avi" if path.name == "0.mkv" else None)
    monkeypatch.setattr(video_module.av, "open", lambda file, **_: OPEN_VIDEO(file))
    with pytest.raises(MachineFault, match="0.mkv was read twice: first truncated: 3 of 6 frames; then without fault"):
        FolderSource.open(folder, PROTOCOL, 0, "real")
