"""Records of JSON with a digest of themselves: a digit that flipped in a file is seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from latte_eval.core.errors import StoreError

# The field that holds the digest.
DIGEST = "digest"


def record_digest(record: Mapping[str, Any]) -> str:
    """sha256 (hex) of all fields of a record as JSON gives them back, but for the digest."""
    fields = json.loads(json.dumps({name: value for name, value in record.items() if name != DIGEST}))
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def with_digest(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its digest as the last field."""
    return {**record, DIGEST: record_digest(record)}


def check_digest(record: Mapping[str, Any], where: str, what: str, remedy: str) -> None:
    """Raise `StoreError`, with what to do, where a record has a digest that is not its own; those of version 0.1 have
    none."""
    if DIGEST in record and record[DIGEST] != record_digest(record):
        raise StoreError(f"{where} is damaged or was edited: its digest is not that of its {what}; {remedy}")
