"""Files of `torch.save` read through `inert_pickle`: zip archives, mapped from the disk, and the older streams."""

from __future__ import annotations

import io
import mmap
import pickletools
import struct
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.inert_pickle import Machine

# What a file of torch before 1.6 begins with, as its first pickle.
OLD_MAGIC = 0x1950A86A20F9469CFC6C

# Flags of a member that is encrypted or holds a difference to another file (APPNOTE of PKWARE, 4.4.4).
UNREADABLE = 0x1 | 0x20 | 0x40


def read_inert(path: Path) -> Any:
    """What a torch file holds; objects that are no tensors come as `Inert` stand-ins, and nothing is run.

    Raises:
        CheckpointError: not a file of `torch.save`. Damaged files raise whatever reading them raises.
    """
    return read_archive(path) if zipfile.is_zipfile(path) else read_stream(path)


def read_archive(path: Path) -> Any:
    """A zip archive: one pickle, and the values of every storage as a file beside it, which is mapped."""
    with zipfile.ZipFile(path) as archive:
        members = plain_members(path, archive)
    if "data.pkl" not in members:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: it is an archive without a data.pkl")
    program = content_of(path, members["data.pkl"])
    order = content_of(path, members["byteorder"]) if "byteorder" in members else b"little"
    if order != sys.byteorder.encode():
        raise CheckpointError(f"{path} was written with the bytes in {printed(order)} order; save it again here")
    whole = torch.UntypedStorage.from_file(str(path), False, path.stat().st_size)

    def fetch(key: str, dtype: torch.dtype, count: int) -> Tensor:
        member = members.get(f"data/{key}")
        if member is None:
            raise ValueError(f"it lacks storage {key}")
        if member.file_size != count * dtype.itemsize:
            raise ValueError(f"storage {key} holds {member.file_size} bytes, not {count} values of {dtype}")
        start = data_start(path, member)
        part = whole[start : start + member.file_size]
        return torch.empty(0, dtype=dtype).set_(part, 0, (count,), (1,)) if count else torch.empty(0, dtype=dtype)

    return Machine(fetch).read(io.BytesIO(program))


def plain_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by their names without the outermost folder.

    Raises `CheckpointError` for an archive that unpacks to more than it is, or that two readers could read differently.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.partition("/")[2]
        if info.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(f"{path} is compressed inside, as torch.save writes no file; save it again")
        if info.flag_bits & UNREADABLE:
            raise CheckpointError(f"{path} says that {printed(info.filename)} is encrypted or a patch; it is damaged")
        if name in members:
            raise CheckpointError(f"{path} holds {printed(info.filename)} twice: it is no file of torch.save")
        members[name] = info
    if sum(info.file_size for info in members.values()) > path.stat().st_size:
        raise CheckpointError(f"{path} says that it holds more than its {path.stat().st_size:,} bytes; it is damaged")
    return members


def printed(name: bytes | str) -> str:
    """A name of a file, in few characters that can be printed."""
    return ascii(name.decode("latin-1") if isinstance(name, bytes) else name)[1:-1][:100]


def content_of(path: Path, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member as they are: torch can leave out the checksums, which `checksums.py` compares."""
    with path.open("rb") as file:
        file.seek(data_start(path, member))
        return file.read(member.file_size)


def data_start(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of an archive's member begin: after a header of 30 bytes, its name and its padding."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return member.header_offset + 30 + int(name) + int(extra)


def read_stream(path: Path) -> Any:
    """Three pickles about the writer, the content, the keys of the storages, then their values one after the other."""
    # Of a map, no more is read than it has, whatever length a pickle states.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        if first_value(stream) != OLD_MAGIC:
            raise CheckpointError(f"{path} cannot be opened safely: it is damaged, or was not pickled by torch.save")
        for _ in range(2):
            skip_pickle(stream)
        start, widths = stream.tell(), {}

        def note(key: str, dtype: torch.dtype, count: int) -> Tensor:
            widths[key] = dtype.itemsize
            return torch.empty(count, dtype=dtype, device="meta")

        Machine(note).read(stream)
        keys = Machine(note).read(stream)
        if not isinstance(keys, list):
            raise ValueError("it does not list its storages")
        places = {str(key): skip_values(stream, widths[str(key)]) for key in keys}
        stream.seek(start)

        @cache
        def fetch(key: str, dtype: torch.dtype, count: int) -> Tensor:
            return values_of(stream, places[key], dtype, count)

        return Machine(fetch).read(stream)


def first_value(stream: Any) -> Any:
    """The value of the first pickle; None where there is none."""
    try:
        return Machine(lambda *_: torch.empty(0)).read(stream)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def skip_pickle(stream: Any) -> None:
    for _ in pickletools.genops(stream):
        pass


def skip_values(stream: Any, width: int) -> tuple[int, int]:
    """Where the values of the next storage begin, and how many bytes they have.

    Raises `ValueError` for a file that ends before them.
    """
    (count,) = struct.unpack("<q", stream.read(8))
    start, left = stream.tell(), len(stream) - stream.tell()
    if not 0 <= count * width <= left:
        raise ValueError(f"a storage of {count:,} values ends after {left // width:,}")
    stream.seek(count * width, 1)
    return start, count * width


def values_of(stream: Any, place: tuple[int, int], dtype: torch.dtype, count: int) -> Tensor:
    """The values of a storage. Raises `ValueError` where there are other than `count`."""
    start, size = place
    if size != count * dtype.itemsize:
        raise ValueError(f"a storage has {size:,} bytes, not {count:,} values of {dtype}")
    return (
        torch.frombuffer(bytearray(stream[start : start + size]), dtype=dtype) if size else torch.empty(0, dtype=dtype)
    )
