"""Files of `torch.save` read through `inert_pickle`: zip archives, mapped from the disk, and the older streams."""

from __future__ import annotations

import io
import pickletools
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.inert_pickle import Machine

# What a file of torch before 1.6 begins with, as its first pickle.
OLD_MAGIC = 0x1950A86A20F9469CFC6C


def read_inert(path: Path) -> Any:
    """What a torch file holds; objects that are no tensors come as `Inert` stand-ins, and nothing is run.

    Raises:
        CheckpointError: not a file of `torch.save`. Damaged files raise whatever reading them raises.
    """
    return read_archive(path) if zipfile.is_zipfile(path) else read_stream(path)


def read_archive(path: Path) -> Any:
    """A zip archive: one pickle, and the values of every storage as a file beside it, which is mapped."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        program, order = archive.read(members["data.pkl"]), b"little"
        if "byteorder" in members:
            order = archive.read(members["byteorder"])
    if order.decode() != sys.byteorder:
        raise CheckpointError(f"{path} was written on a {order.decode()}-endian machine; save it again on this one")
    whole = torch.UntypedStorage.from_file(str(path), False, path.stat().st_size)

    def fetch(key: str, dtype: torch.dtype, count: int) -> Tensor:
        member = members[f"data/{key}"]
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != count * dtype.itemsize:
            raise ValueError(f"storage {key} holds {member.file_size} bytes, not {count} values of {dtype}")
        start = data_start(path, member)
        part = whole[start : start + member.file_size]
        return torch.empty(0, dtype=dtype).set_(part, 0, (count,), (1,)) if count else torch.empty(0, dtype=dtype)

    return Machine(fetch).read(io.BytesIO(program))


def data_start(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of an archive's member begin: after a header of 30 bytes, its name and its padding."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return member.header_offset + 30 + int(name) + int(extra)


def read_stream(path: Path) -> Any:
    """Three pickles about the writer, the content, the keys of the storages, then their values one after the other."""
    with path.open("rb") as file:
        if first_value(path, file) != OLD_MAGIC:
            raise CheckpointError(f"{path} cannot be opened safely: it is damaged, or was not pickled by torch.save")
        for _ in range(2):
            skip_pickle(file)
        start, widths = file.tell(), {}

        def note(key: str, dtype: torch.dtype, count: int) -> Tensor:
            widths[key] = dtype.itemsize
            return torch.empty(count, dtype=dtype, device="meta")

        Machine(note).read(file)
        raw = {str(key): raw_values(file, widths[str(key)]) for key in Machine(note).read(file)}
        file.seek(start)
        return Machine(lambda key, dtype, count: values_of(raw[key], dtype, count)).read(file)


def first_value(path: Path, file: io.BufferedReader) -> Any:
    """The value of the first pickle; None where there is none."""
    try:
        return Machine(lambda *_: torch.empty(0)).read(file)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def skip_pickle(file: io.BufferedReader) -> None:
    for _ in pickletools.genops(file):
        pass


def raw_values(file: io.BufferedReader, width: int) -> bytes:
    """The number of values, then the values. Raises `ValueError` for a file that ends before them."""
    (count,) = struct.unpack("<q", file.read(8))
    raw = file.read(max(count, 0) * width)
    if len(raw) != count * width:
        raise ValueError(f"a storage of {count} values ends after {len(raw) // width}")
    return raw


def values_of(raw: bytes, dtype: torch.dtype, count: int) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=dtype, count=count) if raw else torch.empty(0, dtype=dtype)
