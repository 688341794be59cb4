"""Files of arrays that tell whether they are whole: safetensors with notes, and a digest of both.

The digest is a sha256 over the key of the file, its notes, and the name, type, shape and bytes of every array. So a
file with a flipped bit is known as damaged, and so is one in a place of another. Files of version 0.1 have none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latte_eval.core.errors import AbsentFile, DamagedFile, StoreError
from latte_eval.core.schemas import parse_json

# The note that holds the digest.
DIGEST = "digest"


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        arrays: by name.
        notes: JSON values by name.
        verified: whether a digest says that they are what was written; False for a file of version 0.1.
    """

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]
    verified: bool


def content_to_bytes(key: str, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> bytes:
    """One safetensors file; equal content gives equal bytes.

    Args:
        key: what the file is: it must be asked for under the same.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    texts = {name: json.dumps(value) for name, value in notes.items()}
    return with_texts(save(arrays), {**texts, DIGEST: json.dumps(content_digest(key, arrays, texts))})


def with_texts(data: bytes, texts: Mapping[str, str]) -> bytes:
    """A safetensors file with these texts in its header, in order of name: safetensors itself shuffles them."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps({"__metadata__": dict(sorted(texts.items())), **json.loads(data[8:end])}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def content_digest(key: str, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> str:
    """sha256 (hex) of arrays, notes and key."""
    shapes = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
    digest = hashlib.sha256(json.dumps([key, dict(texts), shapes], sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def read_content(path: Path, key: str, first_notes: Collection[str]) -> Content:
    """As `bytes_to_content`. Raises `StoreError` for a file that cannot be read, `AbsentFile` where there is none,
    `DamagedFile` for a damaged one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise AbsentFile(f"{path} cannot be read: {error.strerror}") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    return bytes_to_content(data, path, key, first_notes)


def bytes_to_content(data: bytes, path: Path, key: str, first_notes: Collection[str]) -> Content:
    """The inverse of `content_to_bytes`.

    Args:
        path: where the bytes came from, for the error.
        key: what the file should be.
        first_notes: the notes in such a file of version 0.1. One without a digest is taken for one of these only if it
            has no others: damage could have hit the name of the digest.

    Raises:
        DamagedFile: it is cut, holds other bytes than were written, or belongs elsewhere.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        length = int.from_bytes(data[:8], "little")
        texts = dict(parse_json(data[8 : 8 + length]).get("__metadata__") or {})
        arrays, digest = load(data), texts.pop(DIGEST, None)
        notes = {name: parse_json(text) for name, text in texts.items()}
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DamagedFile(f"{path} is damaged ({error})") from error
    if digest is None and set(notes) <= set(first_notes):
        return Content(arrays, notes, verified=False)
    if digest != json.dumps(content_digest(key, arrays, texts)):
        raise DamagedFile(f"{path} is damaged (its digest is not that of what it holds)")
    return Content(arrays, notes, verified=True)
