"""The arrays in a file by name, mapped from disk: npy, npz, pt of tensors alone, safetensors and HDF5.

Nothing that a file holds is run, no other file is opened because a file says so, and what cannot be mapped (compressed
data) is unpacked once into a temporary file within bounds. So memory does not grow with the file.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from latte_eval.benchmarks.readers.places import INFLATION_FLOOR, MOST_BYTES, MOST_INFLATION
from latte_eval.core.errors import UsageError
from latte_eval.files.spool import Spool

Arrays = dict[str, np.ndarray]

# Bytes that are unpacked at a time.
CHUNK_BYTES = 2**22

# Types of safetensors that numpy has.
SAFE_TYPES = {"U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "U32": np.uint32, "I32": np.int32,
              "U64": np.uint64, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
              "BOOL": np.bool_}  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """Bytes start..start+size of a file: a whole file, or a member of a tar archive, which is read where it lies."""

    path: Path
    start: int
    size: int

    @classmethod
    def whole(cls, path: Path) -> Stretch:
        return cls(path, 0, path.stat().st_size)

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.size == self.path.stat().st_size


class Within:
    """A stretch of an open file as a file of its own, for `zipfile`."""

    def __init__(self, file: IO[bytes], stretch: Stretch):
        self.file, self.first, self.size, self.position = file, stretch.start, stretch.size, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self.position, self.size)[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning of the file")
        self.position = base + offset
        return self.position

    def read(self, count: int | None = -1) -> bytes:
        left = max(0, self.size - self.position)
        count = left if count is None or count < 0 else min(count, left)
        self.file.seek(self.first + self.position)
        data = self.file.read(count)
        self.position += len(data)
        return data


def load_arrays(stretch: Stretch, suffix: str) -> Arrays:
    """The arrays of a file by name.

    Raises what numpy, torch, safetensors, h5py and zipfile raise for files that are damaged or hold more than arrays;
    `UsageError` where a reader is not installed.
    """
    return LOADERS[suffix.lower()](stretch)


def load_npy(stretch: Stretch) -> Arrays:
    """One array, mapped. Raises `ValueError` for Python objects, which would run code, and for a cut file."""
    with stretch.path.open("rb") as file:
        file.seek(stretch.start)
        header = read_header(file)
        begin = file.tell()
    if begin - stretch.start + header.bytes > stretch.size:
        raise ValueError(f"it is cut short: {header.bytes:,} bytes of values should follow, "
                         f"{max(0, stretch.size + stretch.start - begin):,} are there")  # fmt: skip
    return {"array": header.map(stretch.path, begin)}


@dataclass(frozen=True)
class Header:
    """What an npy file says of itself."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def map(self, file: Any, begin: int) -> np.ndarray:
        """The array in a file, from a byte on."""
        if 0 in self.shape:
            return np.zeros(self.shape, self.dtype)
        return np.memmap(file, self.dtype, "r", begin, self.shape, "F" if self.fortran else "C")


def read_header(file: IO[bytes]) -> Header:
    """The header of an npy file. Raises `ValueError` for a foreign one, and for an array of Python objects."""
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version[0]}.{version[1]} is of named fields, not of numbers alone")
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    header = Header(*read(file))
    if header.dtype.hasobject or header.dtype.fields:
        raise ValueError("it holds Python objects, which would run code when they are read; store numbers alone")
    if any(size < 0 for size in header.shape):
        raise ValueError(f"its header has the shape {header.shape}")
    return header


def load_npz(stretch: Stretch) -> Arrays:
    """The arrays of an archive: those that `np.savez` stored are mapped where they lie, compressed ones are unpacked.

    Raises `ValueError` for an archive that unpacks to absurdly much.
    """
    with stretch.path.open("rb") as file, zipfile.ZipFile(Within(file, stretch)) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        return {info.filename.removesuffix(".npy"): load_member(stretch, file, archive, info) for info in members}


def load_member(stretch: Stretch, file: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array of an archive, its checksum compared."""
    check_inflation(info.filename, info.file_size, info.compress_size)
    if info.compress_type != zipfile.ZIP_STORED:
        return unpack(archive, info)
    with archive.open(info) as member:
        while member.read(CHUNK_BYTES):  # at the end, zipfile compares the checksum
            pass
    # Behind 30 bytes and two lengths, a name and further fields (APPNOTE 6.3.10, 4.3.7).
    file.seek(stretch.start + info.header_offset + 26)
    lengths = file.read(4)
    begin = info.header_offset + 30 + sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
    return load_npy(Stretch(stretch.path, stretch.start + begin, info.file_size))["array"]


def check_inflation(name: str, size: int, packed: int) -> None:
    """Raise `ValueError` for data that would unpack to more than arrays of clips do."""
    if size > max(INFLATION_FLOOR, MOST_INFLATION * packed) or (size > MOST_BYTES and size > packed):
        raise ValueError(f"{name} is refused: {size:,} bytes unpacked from {packed:,}; store it without compression, "
                         "as np.savez does")  # fmt: skip


def unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One compressed array of an archive, in a temporary file. Raises `ValueError`, `zlib.error`, `MachineFault`."""
    with archive.open(info) as member:
        header, spool = read_header(member), Spool()
        while data := member.read(CHUNK_BYTES):
            spool.add_bytes(data)
    if spool.size != header.bytes:
        raise ValueError(f"{info.filename} holds {spool.size:,} bytes of values, its header says {header.bytes:,}")
    return spool.array(header.shape, header.dtype, "F" if header.fortran else "C")


def load_torch(stretch: Stretch) -> Arrays:
    """The tensors of a file, mapped where torch wrote it as an archive, with `weights_only`: no code of it is run."""
    import torch

    mapped = zipfile.is_zipfile(stretch.path)
    loaded = torch.load(stretch.path, map_location="cpu", weights_only=True, mmap=mapped)
    named = loaded if isinstance(loaded, dict) else {"tensor": loaded}
    return {str(name): to_numpy(str(name), value, stretch.size) for name, value in named.items()
            if isinstance(value, torch.Tensor)}  # fmt: skip


def to_numpy(name: str, tensor: Any, size: int) -> np.ndarray:
    """A tensor as an array of the same memory. Raises `ValueError` for one that repeats the values of a small file."""
    import torch

    if tensor.numel() * tensor.element_size() > size:
        raise ValueError(f"{name} says it has {tensor.numel():,} values, its file {size:,} bytes")
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def load_safetensors(stretch: Stretch) -> Arrays:
    """The arrays of a safetensors file, mapped. Raises `SafetensorError`, and `ValueError` for types numpy lacks."""
    from safetensors import safe_open

    with safe_open(stretch.path, "numpy"):  # checks the header, and that its stretches cover the file
        pass
    with stretch.path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: map_safe(stretch.path, 8 + length, name, each) for name, each in header.items()}


def map_safe(path: Path, begin: int, name: str, about: dict[str, Any]) -> np.ndarray:
    """One array of a safetensors file, mapped."""
    if about["dtype"] not in SAFE_TYPES:
        raise ValueError(f"{name} is {about['dtype']}: store uint8")
    return Header(tuple(about["shape"]), False, np.dtype(SAFE_TYPES[about["dtype"]])).map(
        path, begin + about["data_offsets"][0]
    )


def load_hdf5(stretch: Stretch) -> Arrays:
    """The datasets of an HDF5 file by path: mapped where they lie in one piece, else unpacked into a temporary file.

    Raises `ValueError` for a file that leads to other files, `UsageError` where h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError(f"{stretch.path} needs h5py to be read: pip install 'latte-eval[h5]'") from error
    with h5py.File(stretch.path, "r", locking=False) as file:
        return {name: load_dataset(stretch.path, name, each) for name, each in datasets(file, "", set())}


def datasets(group: Any, prefix: str, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """The datasets below a group, each once. Raises `ValueError` for a link into another file."""
    import h5py

    for name in group:
        link, path = group.get(name, getlink=True), f"{prefix}{name}"
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{path} leads to another file, {link.filename}: put the data into this one")
        if isinstance(link, h5py.SoftLink):
            continue  # what it leads to has a name of its own
        found = group.get(name)
        if (place := h5py.h5o.get_info(found.id).addr) in seen:
            continue
        seen.add(place)
        if isinstance(found, h5py.Group):
            yield from datasets(found, f"{path}/", seen)
        elif isinstance(found, h5py.Dataset):
            yield path, found


def load_dataset(path: Path, name: str, found: Any) -> np.ndarray:
    """One dataset. Raises `ValueError` for values that lie in other files, and for absurd sizes."""
    if found.external or found.is_virtual:
        raise ValueError(f"{name} has its values in other files: put them into this one")
    if found.dtype.hasobject or found.dtype.fields or found.shape is None:
        return np.zeros(0)  # texts and records are no clips
    header, begin = Header(found.shape, False, found.dtype), found.id.get_offset()
    check_inflation(name, header.bytes, found.id.get_storage_size())
    if begin is not None:
        return header.map(path, begin)
    spool = Spool()
    for each in range(len(found) if found.ndim > 1 else 0):
        spool.add(found[each])
    return spool.array(found.shape, found.dtype) if found.ndim > 1 else found[()]


LOADERS: dict[str, Callable[[Stretch], Arrays]] = {
    ".npy": load_npy, ".npz": load_npz, ".pt": load_torch, ".pth": load_torch, ".safetensors": load_safetensors,
    ".h5": load_hdf5, ".hdf5": load_hdf5,
}  # fmt: skip

# Those that are read within a tar archive, where they lie.
IN_ARCHIVES = (".npy", ".npz")
