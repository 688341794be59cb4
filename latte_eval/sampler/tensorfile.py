"""Opening a file of tensors without running what it holds, and saying in one sentence why one cannot be opened."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from latte_eval.core.errors import CheckpointError, first_line
from latte_eval.sampler.inert_file import read_inert
from latte_eval.sampler.shards import index_of, read_shards

GIT_LFS = b"version https://git-lfs"
PRINTABLE = set(range(32, 127)) | {9, 10, 13} | set(range(128, 256))


def read_tensor_file(path: Path) -> Any:
    """What a torch or safetensors file holds, on the CPU, mapped rather than read where its format allows.

    The metadata of a safetensors file comes under the key `__metadata__`; several safetensors files are opened through
    their index, or the folder of it. Objects of a torch file that are no tensors come as `Inert` stand-ins.

    Raises:
        CheckpointError: no such file, not a file of tensors, or a damaged one.
    """
    if index := index_of(path):
        return read_shards(index, read_tensor_file)
    head = read_head(path)
    try:
        if path.suffix == ".safetensors" or head[8:9] == b"{":
            return read_safetensors(path)
        return read_torch(path, zipped=head.startswith(b"PK"))
    except CheckpointError:
        raise
    except Exception as error:  # damaged files fail in many ways, some of them in C++
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {first_sentence(error)}") from error


def read_head(path: Path) -> bytes:
    """The first bytes of a file that may hold tensors. Raises `CheckpointError` for a file that cannot."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name a checkpoint file{example_in(path)}")
    if not path.exists():
        raise CheckpointError(f"{path} does not exist{suggestion(path.name, names_beside(path))}")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise CheckpointError(f"{path} is empty (0 bytes); copy or download it again")
    if head.startswith(GIT_LFS):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the checkpoint itself; run `git lfs pull` there")
    if set(head) <= PRINTABLE:
        begin = head[:24].decode("latin-1")
        raise CheckpointError(f"{path} is a text file, not a checkpoint; it begins with {begin!r}")
    return head


def read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt", device="cpu") as file:
        return {"__metadata__": file.metadata() or {}, **{key: file.get_tensor(key) for key in file.keys()}}  # noqa: SIM118


def read_torch(path: Path, zipped: bool) -> Any:
    if zipped and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is cut short ({path.stat().st_size:,} bytes); copy or download it again")
    if zipped and is_script(path):
        raise CheckpointError(f"{path} is a TorchScript program, not a checkpoint; save the state dict of its model")
    return read_inert(path)


def is_script(path: Path) -> bool:
    """Whether an archive of torch holds a program beside its tensors."""
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2] == "constants.pkl" for name in archive.namelist())


def first_sentence(error: BaseException) -> str:
    return first_line(error).split(". ")[0].rstrip(".")


def names_beside(path: Path) -> list[str]:
    """Files of the folder in which `path` was expected."""
    return sorted(entry.name for entry in path.parent.iterdir() if entry.is_file()) if path.parent.is_dir() else []


def suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def example_in(folder: Path) -> str:
    found = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".pt", ".pth", ".ckpt", ".safetensors"))
    return f" in it, such as {found[-1]}" if found else ""
