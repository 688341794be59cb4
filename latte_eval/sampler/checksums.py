"""Whether the bytes of a checkpoint are those that were written, as far as its files tell.

A file of `torch.save` since version 1.6 is a zip archive with a CRC-32 of every record, which torch does not look at.
Older files and safetensors have no checksum: of these a run folder remembers what it saw (`latte_eval.files.seen`).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from latte_eval.core.errors import CheckpointError
from latte_eval.files.weights import file_sha256

# Bytes that are read at a time.
READ_BYTES = 2**22


def checked_sha256(files: Sequence[Path]) -> str:
    """sha256 (hex) of a file; of several, the sha256 over those of all.

    Raises `CheckpointError` for a record that is not what was written.
    """
    for file in files:
        check_records(file)
    hashes = [file_sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def check_records(path: Path) -> None:
    """Raise `CheckpointError` if a record of a zip archive does not have its checksum; other files have none."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return
    with zipfile.ZipFile(path) as archive:
        for record in with_checksums(archive):
            try:
                with archive.open(record) as file:
                    while file.read(READ_BYTES):
                        pass
            except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
                raise CheckpointError(
                    f"{path} is damaged: its record {record.filename} does not have the checksum that was written with "
                    f"it; copy or download it again"
                ) from error


def with_checksums(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The records of an archive; none where it was written without checksums, which torch can do: all are 0 then."""
    records = [record for record in archive.infolist() if record.file_size]
    return records if any(record.CRC for record in records) else []
